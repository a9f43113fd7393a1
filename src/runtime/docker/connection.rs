//! One call to the engine: a request on a connection of its own, and its answer, whole or piece by piece.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use http_body_util::{BodyExt, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use serde_json::Value;
use tokio::net::UnixStream;

use crate::web::wire::{self, Answer, Wire};

/// The largest answer that is read whole; what is asked here gives some tens of kilobytes.
const ANSWER: usize = 8 * 1024 * 1024;

/// The longest line of a stream of JSON documents: an event with all labels of a container.
const LINE: usize = 1024 * 1024;

/// The length of what goes before each piece of a program's output: which stream, three zeros, how much (big endian).
/// Source: Docker's API, `ContainerAttach`, "Stream format".
const HEAD: usize = 8;

/// Standard error, in that first byte.
const STDERR: u8 = 2;

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// Nobody listens, or not to this user.
    #[error(transparent)]
    Unreachable(#[from] io::Error),
    /// The connection ended, or what came over it is not HTTP.
    #[error(transparent)]
    Lost(#[from] hyper::Error),
    /// The engine answered, and would not.
    #[error("{message}")]
    Refused { status: StatusCode, message: String },
    /// The engine answered, and not as its API says.
    #[error("its answer is not understood: {0}")]
    Strange(String),
}

impl CallError {
    fn strange(detail: impl ToString) -> Self {
        Self::Strange(detail.to_string())
    }
}

/// What is asked: method and path with its query, and JSON where it takes some.
pub(super) struct Call<'a> {
    method: Method,
    path: String,
    body: Option<&'a Value>,
}

impl<'a> Call<'a> {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::of(Method::GET, path.into())
    }

    pub(super) fn post(path: impl Into<String>) -> Self {
        Self::of(Method::POST, path.into())
    }

    pub(super) fn delete(path: impl Into<String>) -> Self {
        Self::of(Method::DELETE, path.into())
    }

    fn of(method: Method, path: String) -> Self {
        Self {
            method,
            path,
            body: None,
        }
    }

    /// With these parameters; a path may be given some once.
    pub(super) fn query(mut self, pairs: &[(&str, &str)]) -> Self {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(pairs);
        self.path = format!("{}?{}", self.path, query.finish());
        self
    }

    pub(super) fn json(mut self, body: &'a Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Asks the engine behind this socket. What it refuses is an error; else the answer's body is still to come.
    pub(super) async fn send(self, socket: &Path) -> Result<Stream, CallError> {
        let stream = UnixStream::connect(socket).await?;
        let wire = Wire::over(Box::new(stream)).await?;
        let body = self.body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(self.method)
            .uri(self.path)
            .header(HOST, "docker")
            .header(CONTENT_TYPE, "application/json")
            .body(wire::whole(body))
            .map_err(CallError::strange)?;
        let answer = wire.send(request).await?;
        let status = answer.response.status();
        let stream = Stream::of(answer);
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(stream);
        }
        // Who stands before the engine, a proxy say, may answer with any text.
        let text = stream.text().await?;
        let answer = serde_json::from_slice::<Value>(&text).unwrap_or_default();
        let message = match answer["message"].as_str() {
            Some(message) => message.to_owned(),
            None => format!("HTTP status {status}: {}", String::from_utf8_lossy(&text)),
        };
        Err(CallError::Refused { status, message })
    }
}

/// An answer that comes. Whatever waits for more of it can be dropped: nothing that has come is lost.
pub(super) struct Stream {
    answer: Answer,
    /// What has come and was not given out.
    come: VecDeque<u8>,
    /// How much of a piece of output is still to come or to be given out ...
    due: usize,
    /// ... and whether it is of standard error.
    stderr: bool,
}

impl Stream {
    fn of(answer: Answer) -> Self {
        Self {
            answer,
            come: VecDeque::new(),
            due: 0,
            stderr: false,
        }
    }

    /// All of it, as JSON; `null` where it is empty.
    pub(super) async fn whole(self) -> Result<Value, CallError> {
        let text = self.text().await?;
        match text.is_empty() {
            true => Ok(Value::Null),
            false => serde_json::from_slice(&text).map_err(CallError::strange),
        }
    }

    async fn text(mut self) -> Result<Bytes, CallError> {
        let body = Limited::new(self.answer.response.body_mut(), ANSWER).collect();
        let body = body
            .await
            .map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(lost) => CallError::Lost(*lost),
                Err(error) => CallError::strange(error),
            })?;
        Ok(body.to_bytes())
    }

    /// The next of many JSON documents, each on a line.
    pub(super) async fn document(&mut self) -> Result<Option<Value>, CallError> {
        let mut seen = 0;
        loop {
            if let Some(end) = self.come.range(seen..).position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.come.drain(..=seen + end).collect();
                if line.iter().all(u8::is_ascii_whitespace) {
                    seen = 0;
                    continue;
                }
                return serde_json::from_slice(&line)
                    .map(Some)
                    .map_err(CallError::strange);
            }
            seen = self.come.len();
            if seen > LINE {
                return Err(CallError::strange("a line of it has no end"));
            }
            if !self.more().await? {
                let left = self.come.iter().all(u8::is_ascii_whitespace);
                return match left {
                    true => Ok(None),
                    false => Err(CallError::strange("it ends within a line")),
                };
            }
        }
    }

    /// The next bytes of a program's output, and whether they are of its standard error.
    pub(super) async fn output(&mut self) -> Result<Option<(bool, Vec<u8>)>, CallError> {
        loop {
            if self.due > 0 && !self.come.is_empty() {
                let piece: Vec<u8> = self.come.drain(..self.due.min(self.come.len())).collect();
                self.due -= piece.len();
                return Ok(Some((self.stderr, piece)));
            }
            if self.due == 0 && self.come.len() >= HEAD {
                let head: Vec<u8> = self.come.drain(..HEAD).collect();
                let [stream, 0, 0, 0, a, b, c, d] = head[..] else {
                    return Err(CallError::strange("its output is in no known form"));
                };
                self.stderr = stream == STDERR;
                self.due = u32::from_be_bytes([a, b, c, d]) as usize;
                continue;
            }
            if !self.more().await? {
                return match self.come.is_empty() && self.due == 0 {
                    true => Ok(None),
                    false => Err(CallError::strange("its output is cut off")),
                };
            }
        }
    }

    /// The next bytes as they come: what a program with a terminal writes.
    pub(super) async fn bytes(&mut self) -> Result<Option<Bytes>, CallError> {
        loop {
            match self.answer.response.body_mut().frame().await {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    async fn more(&mut self) -> Result<bool, CallError> {
        let bytes = self.bytes().await?;
        let has_come = bytes.is_some();
        self.come.extend(bytes.as_deref().unwrap_or_default());
        Ok(has_come)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// An answer that comes in these pieces.
    async fn answer(pieces: Vec<Vec<u8>>) -> Stream {
        let (near, mut far) = tokio::io::duplex(64);
        tokio::spawn(async move {
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                far.read_buf(&mut asked).await.unwrap();
            }
            let head: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
            for piece in std::iter::once(head).chain(pieces.iter().map(Vec::as_slice)) {
                // Whoever has read enough is gone.
                let _ = far.write_all(piece).await;
                tokio::task::yield_now().await;
            }
        });
        let wire = Wire::over(Box::new(near)).await.unwrap();
        let request = Request::new(wire::whole(Bytes::new()));
        Stream::of(wire.send(request).await.unwrap())
    }

    fn piece(stream: u8, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0][..], &length, text.as_bytes()].concat()
    }

    #[tokio::test]
    async fn documents_are_read_line_by_line_however_they_come() {
        let text = b"{\"a\":1}\n\r\n{\"a\":\"\xc3\xa9\"}\r\n";
        let mut stream = answer(text.iter().map(|byte| vec![*byte]).collect()).await;
        let first = stream.document().await.unwrap().unwrap();
        let second = stream.document().await.unwrap().unwrap();
        assert_eq!((&first["a"], &second["a"]), (&1.into(), &"é".into()));
        assert!(stream.document().await.unwrap().is_none());
        for (wrong, told) in [
            (b"{\"a\":".to_vec(), "ends within a line"),
            (b"no JSON\n".to_vec(), "not understood"),
            (vec![b'x'; LINE + 2], "has no end"),
        ] {
            let error = answer(vec![wrong]).await.document().await.unwrap_err();
            assert!(error.to_string().contains(told), "{error}");
        }
    }

    #[tokio::test]
    async fn output_is_told_from_errors_however_it_comes() {
        let all = [
            piece(1, "one"),
            piece(2, "two"),
            piece(1, ""),
            piece(1, "é"),
        ]
        .concat();
        for size in [1, 3, all.len()] {
            let mut stream = answer(all.chunks(size).map(Vec::from).collect()).await;
            let (mut output, mut errors) = (Vec::new(), Vec::new());
            while let Some((is_error, piece)) = stream.output().await.unwrap() {
                if is_error { &mut errors } else { &mut output }.extend(piece);
            }
            assert_eq!((&output[..], &errors[..]), ("oneé".as_bytes(), &b"two"[..]));
        }
        for (wrong, told) in [
            (b"plain text".to_vec(), "no known form"),
            (piece(1, "cut")[..9].to_vec(), "cut off"),
            (piece(1, "cut")[..5].to_vec(), "cut off"),
        ] {
            let mut stream = answer(vec![wrong]).await;
            let error = loop {
                if let Err(error) = stream.output().await {
                    break error;
                }
            };
            assert!(error.to_string().contains(told), "{error}");
        }
    }
}
