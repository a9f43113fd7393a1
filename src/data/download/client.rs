//! Asking a server: name, TCP, TLS, one request, each with a deadline; redirects are followed within HTTPS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, LOCATION, USER_AGENT,
};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rumqttc::tokio_rustls::TlsConnector;
use rumqttc::tokio_rustls::rustls::crypto::ring;
use rumqttc::tokio_rustls::rustls::pki_types::pem::PemObject;
use rumqttc::tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use rumqttc::tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Error, Url};

const CONNECT: Duration = Duration::from_secs(15);
const HANDSHAKE: Duration = Duration::from_secs(15);
const ANSWER: Duration = Duration::from_secs(60);

const MOST_REDIRECTS: usize = 5;

/// An answer, and who gave it in the end.
pub(super) struct Reply {
    pub response: Response<Incoming>,
    pub url: Url,
}

/// Asks for `url` with these headers, and for what it leads to.
pub(super) async fn get(
    url: &Url,
    ca_file: Option<&Path>,
    headers: &[(HeaderName, String)],
) -> Result<Reply, Error> {
    let config = Arc::new(trust(ca_file)?);
    let mut url = url.clone();
    for _ in 0..=MOST_REDIRECTS {
        let response = ask(&url, config.clone(), headers).await?;
        let location = response.headers().get(LOCATION);
        if !response.status().is_redirection() {
            return Ok(Reply { response, url });
        }
        let Some(location) = location.and_then(|location| location.to_str().ok()) else {
            return Err(Error::Refused(url, response.status()));
        };
        url = url.join(location).map_err(|_| {
            let shown = location.chars().take(100).collect();
            Error::Astray(url.clone(), shown, "only https is followed")
        })?;
    }
    Err(Error::Astray(
        url,
        "yet another place".into(),
        "that was the last redirect",
    ))
}

/// What `Content-Length` says.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn ask(
    url: &Url,
    config: Arc<ClientConfig>,
    headers: &[(HeaderName, String)],
) -> Result<Response<Incoming>, Error> {
    let unreachable = |why: String| Error::Unreachable(url.clone(), why);
    let late = |what: &str, limit: Duration| {
        unreachable(format!("it took more than {} s to {what}", limit.as_secs()))
    };
    let tcp = timeout(CONNECT, TcpStream::connect((url.host.as_str(), url.port)))
        .await
        .map_err(|_| late("connect", CONNECT))?
        .map_err(|error| unreachable(error.to_string()))?;
    let name = ServerName::try_from(url.host.clone())
        .map_err(|error| Error::Untrusted(url.clone(), error.to_string()))?;
    let tls = timeout(HANDSHAKE, TlsConnector::from(config).connect(name, tcp))
        .await
        .map_err(|_| late("shake hands (TLS)", HANDSHAKE))?
        .map_err(|error| match error.kind() {
            // What rustls makes of a certificate that it does not like.
            std::io::ErrorKind::InvalidData => Error::Untrusted(url.clone(), error.to_string()),
            _ => unreachable(error.to_string()),
        })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(tls))
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    // Ends with the body or with the sender.
    tokio::spawn(connection);
    let mut request = Request::get(&url.path)
        .header(HOST, url.authority())
        .header(ACCEPT, "*/*")
        // The file as it is, and its SHA-256 that of the file.
        .header(ACCEPT_ENCODING, "identity")
        .header(USER_AGENT, concat!("ostler/", env!("CARGO_PKG_VERSION")));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| unreachable(error.to_string()))?;
    timeout(ANSWER, sender.send_request(request))
        .await
        .map_err(|_| late("answer", ANSWER))?
        .map_err(|error| unreachable(error.to_string()))
}

fn trust(ca_file: Option<&Path>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let bad = |why: String| Error::Trust(format!("{}: {why}", path.display()));
            let text = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&text) {
                let certificate = certificate.map_err(|error| bad(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| bad(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(bad("holds no certificate in PEM".to_owned()));
            }
        }
        None => {
            // Of the many that a system holds, some old one that cannot be read is no reason to trust none.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                let why = "the system trusts no certificate authority: install `ca-certificates`";
                return Err(Error::Trust(why.to_owned()));
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let versions = builder.with_safe_default_protocol_versions();
    let versions = versions.map_err(|error| Error::Trust(error.to_string()))?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}
