//! One connection, from its first byte to its last: every wait on the peer has an end.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::door::Door;
use super::hall::{Hall, Visit};
use super::patience::Patience;
use super::reception::Stream;
use super::route;
use super::server::DRAIN;

/// How long the head of a request may take, and how long a connection may be idle.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);

/// How long a peer may let an answer wait.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);

/// How long a connection without an event stream may last.
const LIFE: Duration = Duration::from_secs(600);

/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// The most header lines of a request.
const MAX_HEADERS: usize = 64;

/// Serves one connection to its end.
pub(super) async fn serve(
    stream: Stream,
    door: Door,
    place: OwnedSemaphorePermit,
    hall: Arc<Hall>,
    cut: CancellationToken,
) {
    let visit = Visit {
        door,
        streams: Arc::default(),
    };
    let service = service_fn(|request| {
        let hall = hall.clone();
        let visit = visit.clone();
        async move { Ok::<_, Infallible>(route::answer(&hall, &visit, request).await) }
    });
    let io = TokioIo::new(Patience::new(stream, WRITE_DEADLINE));
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .serve_connection(io, service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = cut.cancelled() => return,
        () = hall.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            cut.run_until_cancelled(connection).await.unwrap_or(Ok(()))
        }
        () = sleep(LIFE) => {
            connection.as_mut().graceful_shutdown();
            match visit.streams.load(Ordering::Relaxed) {
                true => cut.run_until_cancelled(connection).await.unwrap_or(Ok(())),
                false => timeout(DRAIN, connection).await.unwrap_or(Ok(())),
            }
        }
    };
    // A reader of events has no other way to leave than to hang up.
    let left = visit.streams.load(Ordering::Relaxed);
    if let Err(error) = ended
        && !left
    {
        hall.counts.broken_connections.add(1);
        tracing::debug!(?door, %error, "a connection broke");
    }
    drop(place);
}
