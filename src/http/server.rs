//! Accepts connections, bounds them, serves them and drains them.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::door::Door;
use super::patience::Patience;
use super::{Counts, Settings, State, route, socket};

/// Connections that are served at a time: so many over TCP and as many over the unix socket, so that
/// whoever fills the one does not lock out the other.
const CONNECTIONS: usize = 32;

/// Event streams at a time, of both kinds.
const STREAMS: usize = 16;

/// How long the head of a request may take, and how long a connection may be idle.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);

/// How long a peer may let an answer wait.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);

/// How long a connection without an event stream may last.
const LIFE: Duration = Duration::from_secs(600);

/// How long an answer that is under way may take once its connection is to end.
const DRAIN: Duration = Duration::from_secs(5);

/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// The most header lines of a request.
const MAX_HEADERS: usize = 64;

/// How long to wait after the system gave no connection: doubled each time, up to the second.
const ACCEPT_BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Why the API cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A TCP address cannot be had.
    #[error("cannot listen on {address}: {source}; see [http] listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The unix socket cannot be made.
    #[error("cannot listen on {}: {source}; see [http] socket", path.display())]
    Socket {
        /// The socket's path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody answers there.
    #[error("another agent is running: it answers at {}", .0.display())]
    AnotherAgent(PathBuf),
    /// Something else is there.
    #[error("{} is not a socket: remove it, or set another [http] socket", .0.display())]
    NotASocket(PathBuf),
}

/// The API, listening.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    _file: socket::SocketFile,
    hall: Arc<Hall>,
}

/// What all connections share.
pub(super) struct Hall {
    pub settings: Settings,
    pub state: State,
    pub counts: Counts,
    pub streams: Arc<Semaphore>,
    /// Set when the server is to end: event streams end with it.
    pub stop: CancellationToken,
}

impl std::fmt::Debug for Hall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hall")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// One connection, as the rooms behind it know it.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    /// Through which door it came.
    pub door: Door,
    /// Whether an event stream was begun on it.
    pub streams: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

type Stream = Either<TcpStream, UnixStream>;

impl Server {
    /// Listens on everything that `settings` name; `stop` ends it.
    pub async fn bind(
        settings: Settings,
        state: State,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let (unix, file) = socket::bind(&settings.socket).await?;
        let mut listeners = vec![Listener::Unix(unix)];
        for &address in &settings.listen {
            let listener = TcpListener::bind(address)
                .await
                .map_err(|source| Error::Listen { address, source })?;
            listeners.push(Listener::Tcp(listener));
        }
        let hall = Hall {
            settings,
            state,
            counts: Counts::default(),
            streams: Arc::new(Semaphore::new(STREAMS)),
            stop,
        };
        Ok(Self {
            listeners,
            _file: file,
            hall: Arc::new(hall),
        })
    }

    /// The TCP addresses, with the ports that the system chose where 0 was asked for.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let of_tcp = |listener: &Listener| match listener {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(_) => None,
        };
        self.listeners.iter().filter_map(of_tcp).collect()
    }

    /// Serves until it is told to stop; then answers what is under way, for a few seconds, and cuts the rest off.
    pub async fn run(self) {
        let cut = CancellationToken::new();
        let tasks = TaskTracker::new();
        let tcp = Arc::new(Semaphore::new(CONNECTIONS));
        let unix = Arc::new(Semaphore::new(CONNECTIONS));
        for listener in self.listeners {
            let places = match &listener {
                Listener::Tcp(_) => tcp.clone(),
                Listener::Unix(_) => unix.clone(),
            };
            let reception = Reception {
                places,
                hall: self.hall.clone(),
                tasks: tasks.clone(),
                cut: cut.clone(),
            };
            tasks.spawn(reception.accept_until_stopped(listener));
        }
        self.hall.stop.cancelled().await;
        tasks.close();
        if timeout(DRAIN, tasks.wait()).await.is_err() {
            tracing::warn!(
                connections = tasks.len(),
                "cutting off requests that are still under way"
            );
            cut.cancel();
            tasks.wait().await;
        }
    }
}

/// What a listener needs to take connections in.
struct Reception {
    places: Arc<Semaphore>,
    hall: Arc<Hall>,
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl Reception {
    async fn accept_until_stopped(self, listener: Listener) {
        let (first, longest) = ACCEPT_BACK_OFF;
        let mut back_off = first;
        while let Some(accepted) = self.hall.stop.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, door)) => {
                    back_off = first;
                    self.seat(stream, door);
                }
                Err(error) if concerns_one_connection(&error) => {}
                // Out of descriptors or memory: the listener is sound, so wait until others let go of some.
                Err(error) => {
                    self.hall.counts.accept_errors.add(1);
                    tracing::warn!(%error, "cannot accept a connection");
                    let _ = self.hall.stop.run_until_cancelled(sleep(back_off)).await;
                    back_off = longest.min(back_off * 2);
                }
            }
        }
    }

    /// Serves a connection, or turns it away where no place is free.
    fn seat(&self, stream: Stream, door: Door) {
        match self.places.clone().try_acquire_owned() {
            Ok(place) => {
                self.hall.counts.connections.add(1);
                self.tasks.spawn(serve(
                    stream,
                    door,
                    place,
                    self.hall.clone(),
                    self.cut.clone(),
                ));
            }
            Err(_) => {
                self.hall.counts.refused_connections.add(1);
                turn_away(&stream);
            }
        }
    }
}

impl Listener {
    async fn accept(&self) -> io::Result<(Stream, Door)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are small and whole: there is nothing to gather.
                let _ = stream.set_nodelay(true);
                Ok((Either::Left(stream), Door::Tcp(peer.ip())))
            }
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Either::Right(stream), Door::Unix))
            }
        }
    }
}

/// accept(2): an error that is already pending on the new connection is passed on as if it were accept's.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted,
        NetworkDown, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
    )
}

/// Says why, where that can be said without waiting, and hangs up.
fn turn_away(stream: &Stream) {
    const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let _ = match stream {
        Either::Left(stream) => stream.try_write(FULL),
        Either::Right(stream) => stream.try_write(FULL),
    };
}

/// Serves one connection to its end.
async fn serve(
    stream: Stream,
    door: Door,
    place: OwnedSemaphorePermit,
    hall: Arc<Hall>,
    cut: CancellationToken,
) {
    let visit = Visit {
        door,
        streams: Arc::default(),
    };
    let service = service_fn(|request| {
        let hall = hall.clone();
        let visit = visit.clone();
        async move { Ok::<_, Infallible>(route::answer(&hall, &visit, request).await) }
    });
    let io = TokioIo::new(Patience::new(stream, WRITE_DEADLINE));
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .serve_connection(io, service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = cut.cancelled() => return,
        () = hall.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            cut.run_until_cancelled(connection).await.unwrap_or(Ok(()))
        }
        () = sleep(LIFE) => {
            connection.as_mut().graceful_shutdown();
            match visit.streams.load(Ordering::Relaxed) {
                true => cut.run_until_cancelled(connection).await.unwrap_or(Ok(())),
                false => timeout(DRAIN, connection).await.unwrap_or(Ok(())),
            }
        }
    };
    if let Err(error) = ended {
        hall.counts.broken_connections.add(1);
        tracing::debug!(?door, %error, "a connection broke");
    }
    drop(place);
}
