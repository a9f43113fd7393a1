//! `GET /v1/events`: the feed as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::StatusCode;
use hyper::body::{Bytes, Frame};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use super::hall::{Hall, Visit};
use super::reply::{self, Problem, Reply};
use crate::feed::Update;

/// A comment is sent where nothing happens for so long: proxies and readers see that the stream lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Sent first: a browser that is cut off comes back after two seconds.
const HELLO: &str = "retry: 2000\n\n";

/// What a reader has missed.
#[derive(Serialize)]
struct Lagged {
    missed: u64,
}

struct Reader {
    updates: Receiver<Update>,
    hall: Arc<Hall>,
    greeted: bool,
    _place: OwnedSemaphorePermit,
}

/// Begins a stream. The reader gets every update from the moment that it sees the answer's head.
pub(super) fn stream(hall: &Arc<Hall>, visit: &Visit) -> Result<Reply, Problem> {
    let Some(place) = hall.stream_place(visit.door) else {
        hall.counts.refused_streams.add(1);
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too-many-streams",
            "too many event streams are open: close one, or ask again later",
        ));
    };
    visit.streams.store(true, Ordering::Relaxed);
    let reader = Reader {
        updates: hall.state.engine.feed().subscribe(),
        hall: hall.clone(),
        greeted: false,
        _place: place,
    };
    let frames = stream::unfold(reader, |mut reader| async {
        let text = reader.next().await?;
        let frame: Result<_, Infallible> = Ok(Frame::data(Bytes::from(text)));
        Some((frame, reader))
    });
    let body = StreamBody::new(frames).boxed_unsync();
    Ok(reply::with_body(StatusCode::OK, "text/event-stream", body))
}

impl Reader {
    /// The next piece of the stream; `None` where it ends.
    async fn next(&mut self) -> Option<String> {
        if !self.greeted {
            self.greeted = true;
            return Some(HELLO.to_owned());
        }
        let update = timeout(KEEP_ALIVE, self.updates.recv());
        match self.hall.stop.run_until_cancelled(update).await? {
            Ok(Ok(update)) => Some(written(&update)),
            Ok(Err(RecvError::Lagged(missed))) => {
                self.hall.counts.lagged_updates.add(missed);
                Some(event("lagged", &Lagged { missed }))
            }
            Ok(Err(RecvError::Closed)) => None,
            Err(_) => Some(": still here\n\n".to_owned()),
        }
    }
}

fn written(update: &Update) -> String {
    match update {
        Update::Operation(record) => event("operation", record),
        Update::Refusal(refusal) => event("refusal", refusal),
        Update::Workload(report) => event("workload", report),
        Update::Telemetry(telemetry) => event("telemetry", telemetry),
        Update::Event(happened) => event("event", happened),
    }
}

/// One event. JSON as it is written here has no line break, so one `data` line holds it.
fn event(name: &str, data: &impl Serialize) -> String {
    match serde_json::to_string(data) {
        Ok(data) => format!("event: {name}\ndata: {data}\n\n"),
        Err(error) => format!(": an update could not be written: {error}\n\n"),
    }
}
