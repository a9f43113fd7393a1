//! Takes connections in, as many as there are places, and turns the others away.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::serve;
use super::door::Door;
use super::hall::Hall;
use super::server::Error;
use crate::protocol::Level;
use crate::supervise;

/// How long to wait after the system gave no connection: doubled each time, up to the second.
const ACCEPT_BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Where connections come from.
#[derive(Debug)]
pub(super) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
    /// For the Bobcat-compatible API.
    Bobcat(TcpListener),
}

/// A connection of either kind.
pub(super) type Stream = Either<TcpStream, UnixStream>;

/// What a listener needs to take connections in.
#[derive(Clone)]
pub(super) struct Reception {
    pub places: Arc<Semaphore>,
    pub hall: Arc<Hall>,
    pub tasks: TaskTracker,
    pub cut: CancellationToken,
}

impl Reception {
    /// Listens on an address that could not be had yet, as soon as it can be.
    pub async fn keep_listening(
        self,
        address: SocketAddr,
        what: &str,
        kind: fn(TcpListener) -> Listener,
    ) {
        let engine = self.hall.state.engine.clone();
        let report = |message: String| {
            tracing::error!("{message}");
            engine.tell(Level::Error, "part-failed", message);
        };
        let part = format!("the {what} on {address}");
        let listening = supervise::keep_running(&part, supervise::POLICY, report, || {
            let reception = self.clone();
            async move {
                let listener = TcpListener::bind(address)
                    .await
                    .map_err(|source| Error::Listen { address, source })?;
                reception.accept_until_stopped(kind(listener)).await;
                Ok::<_, Error>(())
            }
        });
        self.hall.stop.run_until_cancelled(listening).await;
    }

    /// Takes in whoever comes, until the server is told to stop; no error of accept(2) ends it.
    pub async fn accept_until_stopped(self, listener: Listener) {
        let (first, longest) = ACCEPT_BACK_OFF;
        let mut back_off = first;
        while let Some(accepted) = self.hall.stop.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, door)) => {
                    back_off = first;
                    self.seat(stream, door);
                }
                Err(error) if concerns_one_connection(&error) => {}
                // Out of descriptors or memory: the listener is sound, so wait until others let go of some.
                Err(error) => {
                    self.hall.counts.accept_errors.add(1);
                    tracing::warn!(%error, "cannot accept a connection");
                    let _ = self.hall.stop.run_until_cancelled(sleep(back_off)).await;
                    back_off = longest.min(back_off * 2);
                }
            }
        }
    }

    /// Serves a connection, or turns it away where no place is free.
    fn seat(&self, stream: Stream, door: Door) {
        match self.places.clone().try_acquire_owned() {
            Ok(place) => {
                self.hall.counts.connections.add(1);
                let hall = self.hall.clone();
                let serve = serve(stream, door, place, hall, self.cut.clone());
                self.tasks.spawn(serve.boxed());
            }
            Err(_) => {
                self.hall.counts.refused_connections.add(1);
                turn_away(&stream);
            }
        }
    }
}

impl Listener {
    async fn accept(&self) -> io::Result<(Stream, Door)> {
        match self {
            Listener::Tcp(listener) | Listener::Bobcat(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are small and whole: there is nothing to gather.
                let _ = stream.set_nodelay(true);
                let door = match self {
                    Listener::Bobcat(_) => Door::Bobcat(peer.ip().to_canonical()),
                    Listener::Tcp(_) | Listener::Unix(_) => Door::Tcp(peer.ip()),
                };
                Ok((Either::Left(stream), door))
            }
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Either::Right(stream), Door::Unix))
            }
        }
    }
}

/// accept(2): an error that is already pending on the new connection is passed on as if it were accept's.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted,
        NetworkDown, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
    )
}

/// Says why, where that can be said without waiting, and hangs up.
fn turn_away(stream: &Stream) {
    const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let _ = match stream {
        Either::Left(stream) => stream.try_write(FULL),
        Either::Right(stream) => stream.try_write(FULL),
    };
}
