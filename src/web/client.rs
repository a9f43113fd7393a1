//! One request on a connection of its own.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Body, Bytes};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rumqttc::tokio_rustls::TlsConnector;
use rumqttc::tokio_rustls::rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::{Url, tls};

/// What the agent calls itself.
pub(super) const AGENT: &str = concat!("ostler/", env!("CARGO_PKG_VERSION"));

/// Why there is no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody is there, or no TLS can be had with them.
    #[error("{url} cannot be reached: {source}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What the system or TLS said.
        source: io::Error,
    },
    /// It is there and says nothing, or not all.
    #[error("{url} did not answer within {} s", deadline.as_secs())]
    Silent {
        /// What was asked.
        url: String,
        /// How long was waited.
        deadline: Duration,
    },
    /// What came cannot be kept.
    #[error("what {url} gave cannot be written: {source}")]
    Unwritten {
        /// What was asked.
        url: String,
        /// What the system said.
        source: io::Error,
    },
    /// What came is no answer that can be used.
    #[error("{url} gave no answer: {detail}")]
    Broken {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        detail: String,
    },
}

/// A connection on which one request can be sent; it ends with this.
pub struct Sent<B> {
    /// Sends it.
    pub sender: SendRequest<B>,
    _connection: AbortOnDropHandle<()>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects: name, TCP, TLS. Callers bound the time that it takes.
///
/// # Errors
/// Where nobody is there.
pub async fn connect<B>(url: &Url) -> Result<Sent<B>, Error>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: std::error::Error + Send + Sync,
{
    let stream = dial(url).await.map_err(|source| Error::Unreachable {
        url: url.to_string(),
        source,
    })?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Error::Broken {
            url: url.to_string(),
            detail: error.to_string(),
        })?;
    let connection = tokio::spawn(async move {
        // What goes wrong is told to whoever sends on it.
        let _ = connection.await;
    });
    Ok(Sent {
        sender,
        _connection: AbortOnDropHandle::new(connection),
    })
}

async fn dial(url: &Url) -> io::Result<Box<dyn Stream>> {
    let tcp = TcpStream::connect((url.host(), url.port())).await?;
    tcp.set_nodelay(true)?;
    if !url.tls() {
        return Ok(Box::new(tcp));
    }
    let name = ServerName::try_from(url.host().to_owned()).map_err(io::Error::other)?;
    let config = tokio::task::spawn_blocking(tls::config)
        .await
        .map_err(io::Error::other)??;
    let encrypted = TlsConnector::from(config).connect(name, tcp).await?;
    Ok(Box::new(encrypted))
}

/// What is there: an answer with status 200 and at most so many bytes. Redirects are not followed.
///
/// # Errors
/// Where it does not come within `deadline`, or is no such answer.
pub async fn get(url: &Url, most: usize, deadline: Duration) -> Result<Bytes, Error> {
    timeout(deadline, fetch(url, most))
        .await
        .unwrap_or_else(|_| {
            Err(Error::Silent {
                url: url.to_string(),
                deadline,
            })
        })
}

async fn fetch(url: &Url, most: usize) -> Result<Bytes, Error> {
    let broken = |detail: String| Error::Broken {
        url: url.to_string(),
        detail,
    };
    let mut connection = connect::<Empty<Bytes>>(url).await?;
    let request = Request::get(url.path())
        .header(HOST, url.authority())
        .header(USER_AGENT, AGENT)
        .body(Empty::new())
        .map_err(|error| broken(error.to_string()))?;
    let response = connection
        .sender
        .send_request(request)
        .await
        .map_err(|error| broken(error.to_string()))?;
    if response.status() != StatusCode::OK {
        return Err(broken(format!("HTTP status {}", response.status())));
    }
    match Limited::new(response.into_body(), most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => Err(broken(error.to_string())),
    }
}
