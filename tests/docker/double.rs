//! A double of the engine: for what the real one does not do on request.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ostler::protocol::RunState;
use ostler::runtime::docker::Docker;
use ostler::runtime::{Error, Runtime, Stopped};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::GRACE;

const STOP: &str = "POST /containers/miner/stop?t=20";
const KILL: &str = "POST /containers/miner/kill?signal=SIGKILL";

/// What the double does with a request.
enum Answer {
    Reply(u16, String),
    Never,
}

/// An engine with one container, of which only this is known: how it is, and what becomes of a request.
struct Double {
    directory: TempDir,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Double {
    /// `answer` gets the request's method and target.
    fn start(answer: impl FnMut(&str) -> Answer + Send + 'static) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(directory.path().join("sock")).expect("a socket");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(Mutex::new(answer));
        tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                while let Ok((connection, _)) = listener.accept().await {
                    let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                    tokio::spawn(serve(connection, move |request| {
                        seen.lock().expect("no panic").push(request.to_owned());
                        (answer.lock().expect("no panic"))(request)
                    }));
                }
            }
        });
        Self { directory, seen }
    }

    fn docker(&self) -> Docker {
        Docker::new(self.socket(), "miner".into()).expect("a name")
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("sock")
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").clone()
    }
}

async fn serve(mut connection: UnixStream, answer: impl FnOnce(&str) -> Answer) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if connection.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8(head).expect("text");
    let request = head.split(" HTTP/1.1").next().unwrap_or_default();
    match answer(request) {
        Answer::Never => std::future::pending().await,
        Answer::Reply(status, body) => {
            let length = body.len();
            let reply = format!(
                "HTTP/1.1 {status} Whatever\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            // Whoever asked may have gone.
            let _ = connection.write_all(reply.as_bytes()).await;
        }
    }
}

fn container(state: &str) -> Answer {
    Answer::Reply(
        200,
        format!(r#"{{"Id": "3b1f6c0f2a7d9e", "State": {state}}}"#),
    )
}

fn done() -> Answer {
    Answer::Reply(204, String::new())
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_cannot_stop_a_container_is_asked_to_kill_it() {
    let mut killed = false;
    let double = Double::start(move |request| match request {
        STOP => Answer::Never,
        KILL => {
            killed = true;
            done()
        }
        _ if killed => container(r#"{"Status": "exited", "ExitCode": 137}"#),
        _ => container(r#"{"Status": "running", "Running": true}"#),
    });
    assert_eq!(double.docker().stop(GRACE).await.unwrap(), Stopped::Killed);
    let look = "GET /containers/miner/json";
    // No version is asked for: each engine answers at its own.
    assert_eq!(double.seen(), [look, STOP, KILL, look]);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_can_neither_stop_nor_kill_ends_the_stop() {
    let double = Double::start(|request| match request {
        STOP | KILL => Answer::Never,
        _ => container(r#"{"Status": "running"}"#),
    });
    let error = double.docker().stop(GRACE).await.unwrap_err();
    assert!(matches!(error, Error::Unresponsive { .. }), "{error:?}");
    assert!(
        error.to_string().contains("kill container miner"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_believed_only_when_it_is_seen() {
    let double = Double::start(|request| match request {
        STOP => Answer::Reply(
            500,
            r#"{"message": "did not receive an exit event"}"#.into(),
        ),
        KILL => done(),
        _ => container(r#"{"Status": "running"}"#),
    });
    let error = double.docker().stop(GRACE).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("even after a kill"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_container_must_be_removed_by_hand() {
    let double = Double::start(|_| container(r#"{"Status": "dead", "Dead": true}"#));
    let docker = double.docker();
    assert_eq!(docker.inspect().await.unwrap().state, RunState::Dead);
    for error in [
        docker.start().await.unwrap_err(),
        docker.stop(GRACE).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("docker rm -f"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_understood_is_told() {
    let double = Double::start(|_| Answer::Reply(200, "<html>".into()));
    let error = double.docker().inspect().await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("not understood"), "{error}");

    // Who stands before the engine has words of his own.
    for (status, body, told) in [
        (403, "<html>no", "HTTP status 403 Forbidden: <html>no"),
        (500, "", "HTTP status 500 Internal Server Error"),
        (404, "page not found", "does not exist"),
    ] {
        let double = Double::start(move |_| Answer::Reply(status, body.into()));
        let error = double.docker().inspect().await.unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }

    // An engine of tomorrow may know states that are not known here.
    let double = Double::start(|_| container(r#"{"Status": "dancing"}"#));
    let inspection = double.docker().inspect().await.unwrap();
    assert_eq!(inspection.state, RunState::Unknown);
    assert_eq!(
        inspection.reason.as_deref(),
        Some("the engine says it is dancing")
    );
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_ends_its_events_at_once_does_not_make_the_agent_spin() {
    let double = Double::start(|_| Answer::Reply(200, String::new()));
    let docker = double.docker();
    let mut wakes = 0;
    let minute = tokio::time::sleep(Duration::from_secs(60));
    tokio::pin!(minute);
    loop {
        tokio::select! {
            () = &mut minute => break,
            () = docker.changed() => wakes += 1,
        }
        assert!(wakes < 60, "it wakes again and again");
    }
    assert!(wakes > 2, "it gave up");
    // From the first event that the engine remembers: none is missed while the request is on its way.
    let requests = double.seen();
    let mut events = requests
        .iter()
        .filter(|request| request.contains("/events"));
    assert!(events.all(|request| request.starts_with("GET /events?since=1&")));
    assert!(requests.len() > 4, "{requests:?}");
}
