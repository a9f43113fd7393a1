//! Reaching the broker: name, TCP, TLS, each with a deadline and an error that says which of them it was.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::tokio_rustls::TlsConnector;
use rumqttc::tokio_rustls::rustls::ClientConfig;
use rumqttc::tokio_rustls::rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::capped::Capped;
use super::explain;
use crate::config::BrokerUrl;

const RESOLVE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(10);
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long the kernel keeps sending what is not acknowledged before it gives the connection up.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// All of the above, and the broker's word that we are welcome.
pub(super) const DEADLINE: Duration = Duration::from_secs(40);

/// A connection, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// Connects to the broker; the kind of the error is of no use, its text is.
pub(super) async fn dial(
    broker: BrokerUrl,
    tls: Option<Arc<ClientConfig>>,
) -> io::Result<Capped<Box<dyn Stream>>> {
    let tcp = connect(&broker).await?;
    let stream: Box<dyn Stream> = match tls {
        None => Box::new(tcp),
        Some(config) => {
            let name = ServerName::try_from(broker.host.clone())
                .map_err(|error| io::Error::other(format!("`{}`: {error}", broker.host)))?;
            let handshake = TlsConnector::from(config).connect(name, tcp);
            let encrypted = within(HANDSHAKE, handshake, || "shake hands (TLS)".to_owned()).await;
            Box::new(encrypted.map_err(|error| explain::tls(&error))?)
        }
    };
    Ok(Capped::new(stream))
}

async fn connect(broker: &BrokerUrl) -> io::Result<TcpStream> {
    let host = &broker.host;
    let addresses = within(RESOLVE, lookup_host((host.as_str(), broker.port)), || {
        format!("resolve the name `{host}`")
    })
    .await
    .map_err(|error| io::Error::other(format!("the name `{host}` does not resolve: {error}")))?;
    let mut last = io::Error::other(format!("the name `{host}` has no address"));
    for address in addresses {
        let tcp = within(CONNECT, TcpStream::connect(address), || {
            format!("connect to {address}")
        });
        match tcp.await {
            Ok(tcp) => {
                notice_silence(&tcp)?;
                return Ok(tcp);
            }
            Err(error) => last = io::Error::other(format!("no connection to {address}: {error}")),
        }
    }
    Err(last)
}

/// Lets the kernel find out that the other side is gone, in seconds and not in hours.
fn notice_silence(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    let keepalive = TcpKeepalive::new()
        .with_time(UNACKNOWLEDGED)
        .with_interval(UNACKNOWLEDGED / 3);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}

async fn within<T>(
    deadline: Duration,
    work: impl Future<Output = io::Result<T>>,
    what: impl FnOnce() -> String,
) -> io::Result<T> {
    match timeout(deadline, work).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::other(format!(
            "it took more than {} s to {}",
            deadline.as_secs(),
            what()
        ))),
    }
}
