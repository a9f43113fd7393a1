//! Asking the node: JSON-RPC over HTTP on loopback, bounded in time and size.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use crate::web::wire::{self, Wire};

/// For one question, whatever the node does.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// The largest answer that is read: a header of the beacon chain with its cross-links has some kilobytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// How much of a text of the node's is passed on, in bytes.
const TEXT: usize = 200;

/// JSON-RPC's own number for a method that is not there.
const NO_SUCH_METHOD: i64 = -32601;

/// Where the methods are: the same by both names, but a node may serve only one of the two.
const NAMESPACES: [&str; 2] = ["hmyv2", "hmy"];

/// Why the node gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens there.
    #[error("nothing answers at {address}: {source}; is the node up, and is its RPC there?")]
    Unreachable {
        /// Where the RPC should be.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is there and says nothing, or not all.
    #[error("{method} at {address} was not answered within {} s", deadline.as_secs())]
    Silent {
        /// Where the RPC is.
        address: SocketAddr,
        /// What was asked.
        method: String,
        /// How long was waited.
        deadline: Duration,
    },
    /// What came is no answer: no HTTP, broken off, too large.
    #[error("{method} at {address} was not answered: {detail}")]
    Broken {
        /// Where the RPC is.
        address: SocketAddr,
        /// What was asked.
        method: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The node answers that it cannot.
    #[error("{method}: the node says: {message} ({code})")]
    Failed {
        /// What was asked.
        method: String,
        /// JSON-RPC's number.
        code: i64,
        /// The node's own words.
        message: String,
    },
    /// The answer is none that is known.
    #[error("{method}: the node's answer is not understood: {source}")]
    Strange {
        /// What was asked.
        method: String,
        /// Where it stopped making sense.
        source: serde_json::Error,
    },
}

impl Error {
    /// Whether the node answers, and does not know the method.
    pub fn is_unknown_method(&self) -> bool {
        matches!(
            self,
            Error::Failed {
                code: NO_SUCH_METHOD,
                ..
            }
        )
    }
}

/// A node's RPC.
#[derive(Clone, Copy, Debug)]
pub struct Rpc {
    address: SocketAddr,
}

/// An answer of JSON-RPC 2.0.
#[derive(Deserialize)]
struct Answer<T> {
    result: Option<T>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

impl Rpc {
    /// The RPC that listens there. Nothing is asked yet.
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Asks a method without parameters, by its name without a namespace: `latestHeader`. Takes [`DEADLINE`] at most.
    ///
    /// # Errors
    /// Where there is no answer, or none that can be used.
    pub async fn ask<T: DeserializeOwned>(&self, method: &str) -> Result<T, Error> {
        let ask = async {
            let mut outcome = self.ask_by_name(&name(0, method)).await;
            for namespace in 1..NAMESPACES.len() {
                match &outcome {
                    Err(error) if error.is_unknown_method() => {
                        outcome = self.ask_by_name(&name(namespace, method)).await;
                    }
                    _ => break,
                }
            }
            outcome
        };
        match tokio::time::timeout(DEADLINE, ask).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::Silent {
                address: self.address,
                method: method.to_owned(),
                deadline: DEADLINE,
            }),
        }
    }

    async fn ask_by_name<T: DeserializeOwned>(&self, method: &str) -> Result<T, Error> {
        let body = self.exchange(method).await?;
        let strange = |source| Error::Strange {
            method: method.to_owned(),
            source,
        };
        let answer: Answer<T> = serde_json::from_slice(&body).map_err(strange)?;
        if let Some(Failure { code, message }) = answer.error {
            return Err(Error::Failed {
                method: method.to_owned(),
                code,
                message: bounded(&message),
            });
        }
        let missing = || serde::de::Error::custom("it has neither a result nor an error");
        answer.result.ok_or_else(|| strange(missing()))
    }

    /// The body of an answer.
    async fn exchange(&self, method: &str) -> Result<Bytes, Error> {
        let broken = |detail: String| Error::Broken {
            address: self.address,
            method: method.to_owned(),
            detail: bounded(&detail),
        };
        let stream =
            TcpStream::connect(self.address)
                .await
                .map_err(|source| Error::Unreachable {
                    address: self.address,
                    source,
                })?;
        // Ends with this call, however that ends.
        let wire = Wire::over(Box::new(stream))
            .await
            .map_err(|error| broken(error.to_string()))?;
        let question =
            serde_json::json!({ "jsonrpc": "2.0", "id": "1", "method": method, "params": [] });
        let request = Request::post("/")
            .header(HOST, self.address.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(wire::whole(question.to_string()))
            .map_err(|error| broken(error.to_string()))?;
        let mut answer = wire
            .send(request)
            .await
            .map_err(|error| broken(error.to_string()))?;
        let status = answer.response.status();
        if status != StatusCode::OK {
            return Err(broken(format!("HTTP status {status}")));
        }
        match Limited::new(answer.response.body_mut(), MAX_ANSWER)
            .collect()
            .await
        {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) => Err(broken(error.to_string())),
        }
    }
}

fn name(namespace: usize, method: &str) -> String {
    format!("{}_{method}", NAMESPACES[namespace])
}

/// The beginning of a text, on one line.
fn bounded(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.floor_char_boundary(TEXT) {
        end if end == text.len() => text,
        end => format!("{}…", &text[..end]),
    }
}
