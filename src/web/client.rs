//! One request on a connection of its own, each part of it with a deadline.

use std::io;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, HOST, HeaderName, USER_AGENT};
use hyper::{Request, StatusCode};
use rumqttc::tokio_rustls::TlsConnector;
use rumqttc::tokio_rustls::rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::wire::{self, Answer, Stream, Wire};
use super::{Url, tls};

use crate::blocking::spawn_blocking;

/// What the agent calls itself.
const AGENT: &str = concat!("ostler/", env!("CARGO_PKG_VERSION"));

/// How long name and connection may take, then the TLS, then the head of the answer.
const CONNECT: Duration = Duration::from_secs(15);
const HANDSHAKE: Duration = Duration::from_secs(15);
const ANSWER: Duration = Duration::from_secs(60);

/// Why there is no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system's trusted authorities, or those in the file, cannot be used.
    #[error("{0}")]
    Trust(String),
    /// Nobody is there.
    #[error("{url} cannot be reached: {source}")]
    Unreachable {
        /// What was asked.
        url: Url,
        /// What the system said.
        source: io::Error,
    },
    /// Whoever is there is not who it should be.
    #[error("{url} cannot be trusted: {detail}")]
    Untrusted {
        /// What was asked.
        url: Url,
        /// What is wrong with its certificate.
        detail: String,
    },
    /// It is there and says nothing, or not all.
    #[error("{url} did not answer within {} s", deadline.as_secs())]
    Silent {
        /// What was asked.
        url: Url,
        /// How long was waited.
        deadline: Duration,
    },
    /// What came cannot be kept.
    #[error("what {url} gave cannot be written: {source}")]
    Unwritten {
        /// What was asked.
        url: Url,
        /// What the system said.
        source: io::Error,
    },
    /// Who is there does not have it, or does not say whether: a store that may not be listed forbids what it has not.
    #[error("{url} gave no answer: HTTP status {status}")]
    NotFound {
        /// What was asked.
        url: Url,
        /// 404, 403 or 410.
        status: u16,
    },
    /// What came is no answer that can be used.
    #[error("{url} gave no answer: {detail}")]
    Broken {
        /// What was asked.
        url: Url,
        /// What is wrong with it.
        detail: String,
    },
}

impl Error {
    pub(super) fn broken(url: &Url, detail: impl ToString) -> Self {
        Self::Broken {
            url: url.clone(),
            detail: detail.to_string(),
        }
    }

    pub(super) fn silent(url: &Url, deadline: Duration) -> Self {
        Self::Silent {
            url: url.clone(),
            deadline,
        }
    }

    /// Whether trying again may help.
    pub fn is_passing(&self) -> bool {
        match self {
            Error::Unreachable { .. }
            | Error::Silent { .. }
            | Error::NotFound { .. }
            | Error::Broken { .. } => true,
            Error::Trust(_) | Error::Untrusted { .. } | Error::Unwritten { .. } => false,
        }
    }
}

/// Connects: name, TCP, and TLS with whom the authority in this file vouches for, or where there is none the system's.
///
/// # Errors
/// Where nobody is there, or somebody else.
pub async fn connect(url: &Url, ca_file: Option<&Path>) -> Result<Wire, Error> {
    let stream = dial(url, ca_file).await?;
    let wire = Wire::over(stream).await;
    wire.map_err(|error| Error::broken(url, error))
}

async fn dial(url: &Url, ca_file: Option<&Path>) -> Result<Box<dyn Stream>, Error> {
    let unreachable = |source| Error::Unreachable {
        url: url.clone(),
        source,
    };
    let untrusted = |detail: String| Error::Untrusted {
        url: url.clone(),
        detail,
    };
    let tcp = timeout(CONNECT, TcpStream::connect((url.host(), url.port())))
        .await
        .map_err(|_| Error::silent(url, CONNECT))?
        .map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    if !url.tls() {
        return Ok(Box::new(tcp));
    }
    let name = ServerName::try_from(url.host().to_owned())
        .map_err(|error| untrusted(error.to_string()))?;
    let ca_file = ca_file.map(Path::to_owned);
    let config = spawn_blocking(move || tls::config(ca_file.as_deref())).await;
    let config = config
        .map_err(|error| Error::Trust(error.to_string()))?
        .map_err(Error::Trust)?;
    let encrypted = timeout(HANDSHAKE, TlsConnector::from(config).connect(name, tcp))
        .await
        .map_err(|_| Error::silent(url, HANDSHAKE))?
        .map_err(|error| match error.kind() {
            // What rustls makes of a certificate that it does not like.
            io::ErrorKind::InvalidData => untrusted(error.to_string()),
            _ => unreachable(error),
        })?;
    Ok(Box::new(encrypted))
}

/// Asks for it as it is, without compression, and with these headers too; whatever the answer says, it is one. Redirects are
/// not followed.
///
/// # Errors
/// Where none comes.
pub async fn ask(
    url: &Url,
    ca_file: Option<&Path>,
    headers: &[(HeaderName, String)],
) -> Result<Answer, Error> {
    let wire = connect(url, ca_file).await?;
    let mut request = Request::get(url.path())
        .header(HOST, url.authority())
        .header(ACCEPT, "*/*")
        .header(ACCEPT_ENCODING, "identity")
        .header(USER_AGENT, AGENT);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request
        .body(wire::whole(Bytes::new()))
        .map_err(|error| Error::broken(url, error))?;
    timeout(ANSWER, wire.send(request))
        .await
        .map_err(|_| Error::silent(url, ANSWER))?
        .map_err(|error| Error::broken(url, error))
}

/// The same of an answer that gives what was asked for.
pub(super) async fn ask_for_all(url: &Url) -> Result<Answer, Error> {
    let answer = ask(url, None, &[]).await?;
    match answer.response.status() {
        StatusCode::OK => Ok(answer),
        status @ (StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE) => {
            Err(Error::NotFound {
                url: url.clone(),
                status: status.as_u16(),
            })
        }
        status => Err(Error::broken(url, format!("HTTP status {status}"))),
    }
}

/// What is there: an answer with status 200 and at most so many bytes. Redirects are not followed.
///
/// # Errors
/// Where it does not come within `deadline`, or is no such answer.
pub async fn get(url: &Url, most: usize, deadline: Duration) -> Result<Bytes, Error> {
    let fetch = async {
        let mut answer = ask_for_all(url).await?;
        let body = Limited::new(answer.response.body_mut(), most).collect();
        let body = body.await.map_err(|error| Error::broken(url, error))?;
        Ok(body.to_bytes())
    };
    timeout(deadline, fetch)
        .await
        .unwrap_or_else(|_| Err(Error::silent(url, deadline)))
}
