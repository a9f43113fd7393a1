//! One request on a connection of its own, over whatever carries it.
//!
//! Whoever asks over HTTP asks through this: what the library makes of a kind of stream and a kind of body is in the
//! program once, not once for each who asks.

use std::convert::Infallible;

use futures_util::FutureExt;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;

/// What carries a connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What a request brings along.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A body that is there whole; an empty one brings none.
pub fn whole(bytes: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(bytes.into()).boxed_unsync()
}

/// A connection on which one request can be sent; it ends with this.
pub struct Wire {
    sender: SendRequest<Body>,
    connection: AbortOnDropHandle<()>,
}

/// What came of a request: its body comes as long as this is there.
pub struct Answer {
    /// Its head, and the body.
    pub response: Response<Incoming>,
    _connection: AbortOnDropHandle<()>,
}

impl Wire {
    /// Speaks over this; nothing is sent yet.
    ///
    /// # Errors
    /// Where the stream is broken already.
    pub async fn over(stream: Box<dyn Stream>) -> Result<Self, hyper::Error> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // What goes wrong is told to whoever sends on it, or reads from it.
        let connection = tokio::spawn(connection.map(drop).boxed());
        Ok(Self {
            sender,
            connection: AbortOnDropHandle::new(connection),
        })
    }

    /// Sends it; there is no deadline here.
    ///
    /// # Errors
    /// Where the connection ends before the head of an answer has come.
    pub async fn send(mut self, request: Request<Body>) -> Result<Answer, hyper::Error> {
        let response = self.sender.send_request(request).await?;
        Ok(Answer {
            response,
            _connection: self.connection,
        })
    }
}
