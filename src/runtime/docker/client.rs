//! The way to the engine: a connection for every call, a deadline on each, and what its errors mean.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::StatusCode;
use serde_json::Value;

use super::Error;
use super::connection::{Call, CallError, Stream};

/// How much of a text of the engine is passed on, in bytes.
const TEXT: usize = 512;

/// Knows where the engine is and what is asked of it.
pub(super) struct Client {
    socket: PathBuf,
    subject: String,
}

impl Client {
    /// `subject` is what the calls are about, for messages: `container miner`.
    pub(super) fn new(socket: PathBuf, subject: String) -> Self {
        Self { socket, subject }
    }

    /// Where the engine listens.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks, and gives the JSON of the whole answer, whatever is in it; `null` where it is empty.
    pub(super) async fn ask(
        &self,
        deadline: Duration,
        action: &str,
        call: Call<'_>,
    ) -> Result<Value, Error> {
        let ask = async { call.send(&self.socket).await?.whole().await };
        self.within(deadline, action, ask).await
    }

    /// Asks for what comes piece by piece; the deadline is for its beginning.
    pub(super) async fn open(
        &self,
        deadline: Duration,
        action: &str,
        call: Call<'_>,
    ) -> Result<Stream, Error> {
        self.within(deadline, action, call.send(&self.socket)).await
    }

    /// Waits for an answer. Dropping a call closes its connection.
    pub(super) async fn within<T>(
        &self,
        deadline: Duration,
        action: &str,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(deadline, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.error(action, deadline, error)),
            Err(_) => Err(self.unresponsive(action, deadline)),
        }
    }

    /// The engine did not answer.
    pub(super) fn unresponsive(&self, action: &str, deadline: Duration) -> Error {
        Error::Unresponsive {
            runtime: self.describe(),
            action: self.action(action),
            deadline,
        }
    }

    /// There is no such container.
    pub(super) fn missing(&self) -> Error {
        Error::Missing {
            runtime: self.describe(),
            workload: self.subject.clone(),
        }
    }

    /// The engine answered, and what was asked cannot be done.
    pub(super) fn refused(&self, action: &str, detail: &str) -> Error {
        Error::Refused {
            runtime: self.describe(),
            action: self.action(action),
            detail: bounded(detail),
        }
    }

    /// What came of a call, in the words of a runtime.
    pub(super) fn error(&self, action: &str, deadline: Duration, error: CallError) -> Error {
        let absent = |detail: String| Error::Absent {
            runtime: self.describe(),
            detail,
        };
        match &error {
            CallError::Refused {
                status: StatusCode::NOT_FOUND,
                ..
            } => self.missing(),
            CallError::Refused { message, .. } => self.refused(action, message),
            CallError::Strange(_) => self.refused(action, &error.to_string()),
            CallError::Unreachable(_) | CallError::Lost(_) => match io_kind(&error) {
                // A local socket does not wait where the engine's queue of connections is full.
                Some(io::ErrorKind::WouldBlock) => self.unresponsive(action, deadline),
                Some(kind) => absent(explain(kind).into()),
                None => absent(format!("it ended the connection ({})", innermost(&error))),
            },
        }
    }

    fn describe(&self) -> String {
        format!("Docker engine at {}", self.socket.display())
    }

    fn action(&self, verb: &str) -> String {
        format!("{verb} {}", self.subject)
    }
}

/// What went wrong and what to do.
fn explain(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound => {
            "there is no such socket; is Docker installed, and is it started?"
        }
        io::ErrorKind::ConnectionRefused => "nobody listens there; the engine is not started",
        io::ErrorKind::PermissionDenied => {
            "permission denied; add the agent's user to the group `docker`, or run it as root"
        }
        _ => "the connection was lost; the engine was stopped or has crashed",
    }
}

fn io_kind(error: &CallError) -> Option<io::ErrorKind> {
    // Transparent: its own source is that of the I/O error.
    if let CallError::Unreachable(error) = error {
        return Some(error.kind());
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

fn innermost(error: &CallError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The beginning of a text, without its line ends: it goes into one line of a report.
pub(super) fn bounded(text: &str) -> String {
    let text = text.trim().replace(['\n', '\r'], " ");
    match text.floor_char_boundary(TEXT) {
        end if end == text.len() => text,
        end => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client::new("/run/docker.sock".into(), "container miner".into())
    }

    fn answer(status: StatusCode, message: &str) -> CallError {
        CallError::Refused {
            status,
            message: message.into(),
        }
    }

    fn text(error: CallError) -> String {
        client()
            .error("start", Duration::from_secs(5), error)
            .to_string()
    }

    #[test]
    fn an_error_says_where_and_what_to_do() {
        assert_eq!(
            text(answer(StatusCode::NOT_FOUND, "No such container: miner")),
            "container miner does not exist in Docker engine at /run/docker.sock"
        );
        assert_eq!(
            text(answer(StatusCode::CONFLICT, "no space left on device\n")),
            "Docker engine at /run/docker.sock cannot start container miner: no space left on device"
        );
        assert_eq!(
            text(CallError::Strange("no JSON".into())),
            "Docker engine at /run/docker.sock cannot start container miner: its answer is not understood: no JSON"
        );
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(text(denied.into()).contains("group `docker`"));
    }

    #[test]
    fn a_full_queue_of_connections_is_a_hung_engine() {
        let full = io::Error::from(io::ErrorKind::WouldBlock);
        let error = client().error("start", Duration::ZERO, full.into());
        assert!(matches!(error, Error::Unresponsive { .. }), "{error}");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let cut = bounded(&"é".repeat(TEXT));
        assert_eq!(cut.chars().count(), TEXT / 2 + 1);
        assert_eq!(bounded(" one\ntwo\n"), "one two");
    }
}
