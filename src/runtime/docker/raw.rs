//! Calls whose whole answer counts: the library's types know the fields of one version of the engine, and drop others.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;

use bollard::errors::Error as EngineError;

use super::Error;
use super::client::Client;

/// The largest answer that is read; what is asked here gives some tens of kilobytes.
const ANSWER: usize = 8 * 1024 * 1024;

impl Client {
    /// Asks and gives the JSON of the answer, whatever is in it; `null` where it is empty.
    pub(super) async fn raw(
        &self,
        deadline: Duration,
        action: &str,
        (method, path): (Method, &str),
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        match timeout(deadline, self.exchange(action, method, path, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.unresponsive(action, deadline)),
        }
    }

    async fn exchange(
        &self,
        action: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        let lost = |err: std::io::Error| self.error(action, Duration::ZERO, EngineError::from(err));
        let broken = |error: hyper::Error| lost(std::io::Error::other(error));
        let stream = UnixStream::connect(self.socket()).await.map_err(lost)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "docker")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| self.refused(action, &error.to_string()))?;
        let ask = async {
            let answer = sender.send_request(request).await.map_err(broken)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER).collect().await;
            let body = body.map_err(|error| lost(std::io::Error::other(error)))?;
            Ok((status, body.to_bytes()))
        };
        // The connection is driven here, and ends with the call.
        let (status, body) = tokio::select! {
            answer = ask => answer?,
            ended = connection => {
                ended.map_err(broken)?;
                return Err(lost(std::io::ErrorKind::UnexpectedEof.into()));
            }
        };
        let answer: Value = match body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&body)
                .map_err(|error| self.refused(action, &error.to_string()))?,
        };
        if status.is_success() {
            return Ok(answer);
        }
        let message = answer["message"].as_str().unwrap_or_default().to_owned();
        let error = EngineError::DockerResponseServerError {
            status_code: status.as_u16(),
            message,
        };
        Err(self.error(action, Duration::ZERO, error))
    }
}
