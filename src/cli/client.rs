//! Asks the agent over its unix socket: HTTP/1.1, every wait with a deadline.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::Exit;
use super::events::Events;
use crate::protocol::{Command, Operation, OperationRecord, Refusal};
use crate::web::wire::{self, Answer, Body, Wire};

/// How long the socket may take to open.
const CONNECT: Duration = Duration::from_secs(5);

/// How long an answer may take; the agent itself gives up on a log after 60 s.
const ANSWER: Duration = Duration::from_secs(75);

/// The largest answer that is read.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// How often a command is sent whose answer was lost; its id sees to it that it runs once.
const TRIES: usize = 3;

/// Why the agent gave no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens there.
    #[error("no agent answers at {}: is it running? (systemctl status ostler)", socket.display())]
    Absent {
        /// The agent's unix socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The socket's permissions do not let this user in.
    #[error(
        "this user may not talk to the agent at {}: be root, or join the group ostler (usermod -aG ostler USER) and log in again",
        socket.display()
    )]
    Denied {
        /// The agent's unix socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is there and says nothing.
    #[error("the agent at {} did not answer within {} s: see its log (journalctl -u ostler)", socket.display(), deadline.as_secs())]
    Silent {
        /// The agent's unix socket.
        socket: PathBuf,
        /// How long was waited.
        deadline: Duration,
    },
    /// The connection ended before the answer did.
    #[error("the agent at {} hung up before its answer was complete", socket.display())]
    Broken {
        /// The agent's unix socket.
        socket: PathBuf,
        /// What the connection said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A command was refused.
    #[error("the agent refused this: {}", .0.failure.message)]
    Refused(Box<Refusal>),
    /// A question was refused.
    #[error("{message}")]
    Answered {
        /// The status of the answer.
        status: StatusCode,
        /// For people.
        message: String,
        /// The whole answer.
        body: Value,
    },
    /// The answer is none that this program knows.
    #[error("the answer of the agent at {} is not understood: is it of another version?", socket.display())]
    Strange {
        /// The agent's unix socket.
        socket: PathBuf,
        /// Where it stopped making sense.
        source: serde_json::Error,
    },
}

impl Error {
    /// The status that a program ends with after this.
    pub fn exit(&self) -> Exit {
        match self {
            Error::Denied { .. } => Exit::NotPermitted,
            Error::Refused(_) => Exit::Refused,
            Error::Answered { status, .. } if status.is_client_error() => Exit::Refused,
            // It says itself what it could not do; without a word, it had no place for the question.
            Error::Answered { body, .. } if !body.is_null() => Exit::Failure,
            Error::Absent { .. }
            | Error::Silent { .. }
            | Error::Broken { .. }
            | Error::Answered { .. }
            | Error::Strange { .. } => Exit::Unavailable,
        }
    }

    /// The agent's own words, for programs.
    pub fn json(&self) -> Option<Value> {
        match self {
            Error::Refused(refusal) => serde_json::to_value(refusal).ok(),
            Error::Answered { body, .. } => Some(body.clone()),
            Error::Absent { .. }
            | Error::Denied { .. }
            | Error::Silent { .. }
            | Error::Broken { .. }
            | Error::Strange { .. } => None,
        }
    }

    /// Whether the agent may have got the question all the same.
    fn lost_the_answer(&self) -> bool {
        matches!(self, Error::Silent { .. } | Error::Broken { .. })
    }
}

/// The agent, as the command line sees it.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Of the agent that listens there.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Asks for something that is there to be read.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let reply = self.send(request(Method::GET, path, Bytes::new())).await?;
        let status = reply.response.status();
        let body = self.whole(reply).await?;
        match status.is_success() {
            true => self.understand(&body),
            false => Err(self.answered(status, &body)),
        }
    }

    /// Gives a command with an id: it runs once, however often it has to be sent.
    pub async fn command(
        &self,
        operation: Operation,
        command: &Command,
    ) -> Result<OperationRecord, Error> {
        let body = serde_json::to_vec(command).map_err(|source| self.strange(source))?;
        let path = format!("/v1/commands/{operation}");
        let mut tries = 1;
        loop {
            match self.command_once(&path, body.clone().into()).await {
                Err(error) if error.lost_the_answer() && tries < TRIES => {
                    tries += 1;
                    sleep(Duration::from_secs(1)).await;
                }
                answer => return answer,
            }
        }
    }

    async fn command_once(&self, path: &str, body: Bytes) -> Result<OperationRecord, Error> {
        let reply = self.send(request(Method::POST, path, body)).await?;
        let status = reply.response.status();
        let body = self.whole(reply).await?;
        if status.is_success() {
            return self.understand(&body);
        }
        match serde_json::from_slice(&body) {
            Ok(refusal) => Err(Error::Refused(Box::new(refusal))),
            Err(_) => Err(self.answered(status, &body)),
        }
    }

    /// Listens to everything that happens from now on.
    pub async fn events(&self) -> Result<Events, Error> {
        let reply = self
            .send(request(Method::GET, "/v1/events", Bytes::new()))
            .await?;
        match reply.response.status() {
            StatusCode::OK => Ok(Events::new(reply)),
            status => {
                let body = self.whole(reply).await?;
                Err(self.answered(status, &body))
            }
        }
    }

    async fn send(&self, request: Request<Body>) -> Result<Answer, Error> {
        let stream = timeout(CONNECT, UnixStream::connect(&self.socket))
            .await
            .map_err(|_| self.silent(CONNECT))?
            .map_err(|source| self.no_connection(source))?;
        let answer = async { Wire::over(Box::new(stream)).await?.send(request).await };
        timeout(ANSWER, answer)
            .await
            .map_err(|_| self.silent(ANSWER))?
            .map_err(|source| self.broken(source.into()))
    }

    async fn whole(&self, mut reply: Answer) -> Result<Bytes, Error> {
        let body = Limited::new(reply.response.body_mut(), MAX_ANSWER).collect();
        match timeout(ANSWER, body).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(source)) => Err(self.broken(source)),
            Err(_) => Err(self.silent(ANSWER)),
        }
    }

    fn understand<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(body).map_err(|source| self.strange(source))
    }

    fn answered(&self, status: StatusCode, body: &[u8]) -> Error {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let message = match body["error"]["message"].as_str() {
            Some(message) => message.to_owned(),
            None => format!("the agent answers {status}"),
        };
        Error::Answered {
            status,
            message,
            body,
        }
    }

    fn no_connection(&self, source: io::Error) -> Error {
        let socket = self.socket.clone();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Error::Denied { socket, source },
            _ => Error::Absent { socket, source },
        }
    }

    fn silent(&self, deadline: Duration) -> Error {
        Error::Silent {
            socket: self.socket.clone(),
            deadline,
        }
    }

    fn broken(&self, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
        Error::Broken {
            socket: self.socket.clone(),
            source,
        }
    }

    fn strange(&self, source: serde_json::Error) -> Error {
        Error::Strange {
            socket: self.socket.clone(),
            source,
        }
    }
}

fn request(method: Method, path: &str, body: Bytes) -> Request<Body> {
    let mut request = Request::new(wire::whole(body));
    *request.method_mut() = method;
    // Every path here is made of checked names; one that is none would lead nowhere.
    *request.uri_mut() = path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    for (name, value) in [
        (HOST, "ostler"),
        (ACCEPT, "application/json, text/event-stream"),
        (CONTENT_TYPE, "application/json"),
    ] {
        headers.insert(name, hyper::header::HeaderValue::from_static(value));
    }
    request
}
