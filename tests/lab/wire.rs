//! HTTP byte by byte, so that a test can send what no client would.

#![allow(dead_code, reason = "each suite uses its own part of this")]

use std::path::Path;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::inn::{Agent, DEADLINE, TOKEN};

/// A connection of either kind.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A connection that is kept.
pub struct Wire {
    io: Box<dyn Io>,
    buffer: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    /// The body, which must be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value of a header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let named = |line: &'_ &str| line.to_ascii_lowercase().starts_with(&format!("{name}:"));
        self.head
            .lines()
            .find(named)
            .map(|line| line[name.len() + 1..].trim())
            .unwrap_or_default()
    }

    /// The reason in an error or a refusal.
    pub fn reason(&self) -> String {
        let body = self.json();
        let failure = match body.get("error") {
            Some(error) => error,
            None => &body["failure"],
        };
        failure["reason"].as_str().unwrap_or_default().to_owned()
    }
}

impl Wire {
    pub async fn tcp(agent: &Agent) -> Self {
        Self::new(TcpStream::connect(agent.address).await.unwrap())
    }

    pub async fn unix(socket: &Path) -> Self {
        Self::new(UnixStream::connect(socket).await.unwrap())
    }

    pub fn new(io: impl Io + 'static) -> Self {
        Self {
            io: Box::new(io),
            buffer: Vec::new(),
        }
    }

    /// Sends bytes as they are; that the other side has hung up already is no error here.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = timeout(DEADLINE, self.io.write_all(bytes.as_ref()))
            .await
            .expect("what is sent is taken in time");
    }

    /// The next bytes; `false` at the end.
    async fn more(&mut self) -> bool {
        let read = timeout(DEADLINE, self.io.read_buf(&mut self.buffer))
            .await
            .expect("something comes in time");
        // Whoever is hung up on while sending may meet a reset instead of an end.
        read.unwrap_or(0) > 0
    }

    /// Reads one answer; `None` where the other side hung up instead.
    pub async fn reply(&mut self) -> Option<Reply> {
        let end = loop {
            match find(&self.buffer, b"\r\n\r\n") {
                Some(end) => break end + 4,
                None if self.more().await => {}
                None => return None,
            }
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut reply = Reply {
            status,
            head,
            body: String::new(),
        };
        if status == 100 {
            return Box::pin(self.reply()).await;
        }
        if let Ok(length) = reply.header("content-length").parse::<usize>() {
            while self.buffer.len() < length {
                assert!(self.more().await, "the body broke off");
            }
            reply.body = String::from_utf8(self.buffer.drain(..length).collect()).unwrap();
        }
        Some(reply)
    }

    /// Sends a request and reads its answer.
    pub async fn reply_to(&mut self, request: &str) -> Reply {
        self.send(request).await;
        self.reply().await.expect("an answer")
    }

    /// Reads until the text comes, and gives all up to its end.
    pub async fn until(&mut self, text: &str) -> String {
        let end = loop {
            match find(&self.buffer, text.as_bytes()) {
                Some(end) => break end + text.len(),
                None => assert!(self.more().await, "the stream ended before {text:?}"),
            }
        };
        String::from_utf8_lossy(&self.buffer.drain(..end).collect::<Vec<_>>()).into_owned()
    }

    /// Whether the other side hangs up, whatever it says before.
    pub async fn ends(&mut self) -> bool {
        while self.more().await {}
        true
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// `GET` over TCP without a token.
pub async fn get(agent: &Agent, path: &str) -> Reply {
    ask(
        agent,
        &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
    )
    .await
}

/// Sends this over a TCP connection of its own, and reads the answer.
pub async fn ask(agent: &Agent, request: &str) -> Reply {
    Wire::tcp(agent).await.reply_to(request).await
}

/// A command, as bytes, with the token.
pub fn command(operation: &str, body: &str) -> String {
    format!(
        "POST /v1/commands/{operation} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// `POST`s a command over TCP with the token.
pub async fn post(agent: &Agent, operation: &str, body: &str) -> Reply {
    ask(agent, &command(operation, body)).await
}
