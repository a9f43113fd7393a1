//! Listens, serves until it is told to stop, and drains.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bobcat::look_around;
use super::hall::Hall;
use super::reception::{Listener, Reception};
use super::{Settings, State, socket};

/// Connections that are served at a time: so many over TCP, and as many over the unix socket and to the Bobcat-compatible
/// API, so that whoever fills one of them does not lock out the others.
const CONNECTIONS: usize = 32;

/// How long an answer that is under way may take once its connection is to end.
pub(super) const DRAIN: Duration = Duration::from_secs(3);

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
    /// Addresses that could not be had: an interface may come up later than the agent.
    wanted: Vec<SocketAddr>,
    /// The same for the Bobcat-compatible API.
    bobcat_wanted: Option<SocketAddr>,
    _file: socket::SocketFile,
    hall: Arc<Hall>,
}

impl Server {
    /// Listens on everything that `settings` name; `stop` ends it.
    ///
    /// A TCP address that cannot be had is reported and tried again while the server runs.
    ///
    /// # Errors
    /// Where the unix socket cannot be had.
    pub async fn bind(
        settings: Settings,
        state: State,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let (unix, file) = socket::bind(&settings.socket).await?;
        let mut listeners = vec![Listener::Unix(unix)];
        let mut wanted = Vec::new();
        for &address in &settings.listen {
            match TcpListener::bind(address).await {
                Ok(listener) => listeners.push(Listener::Tcp(listener)),
                Err(_) => wanted.push(address),
            }
        }
        let mut bobcat_wanted = None;
        if let Some(bobcat) = &settings.bobcat {
            match TcpListener::bind(bobcat.listen).await {
                Ok(listener) => listeners.push(Listener::Bobcat(listener)),
                Err(_) => bobcat_wanted = Some(bobcat.listen),
            }
        }
        Ok(Self {
            listeners,
            wanted,
            bobcat_wanted,
            _file: file,
            hall: Arc::new(Hall::new(settings, state, stop)),
        })
    }

    /// The TCP addresses, with the ports that the system chose where 0 was asked for.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let of_tcp = |listener: &Listener| match listener {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(_) | Listener::Bobcat(_) => None,
        };
        self.listeners.iter().filter_map(of_tcp).collect()
    }

    /// The same of the Bobcat-compatible API, where it listens.
    pub fn bobcat_address(&self) -> Option<SocketAddr> {
        self.listeners.iter().find_map(|listener| match listener {
            Listener::Bobcat(listener) => listener.local_addr().ok(),
            Listener::Unix(_) | Listener::Tcp(_) => None,
        })
    }

    /// Serves until it is told to stop; then answers what is under way, for a few seconds, and cuts the rest off.
    pub async fn run(self) {
        let cut = CancellationToken::new();
        let tasks = TaskTracker::new();
        let tcp = Arc::new(Semaphore::new(CONNECTIONS));
        let unix = Arc::new(Semaphore::new(CONNECTIONS));
        let bobcat = Arc::new(Semaphore::new(CONNECTIONS));
        let reception = |places: &Arc<Semaphore>| Reception {
            places: places.clone(),
            hall: self.hall.clone(),
            tasks: tasks.clone(),
            cut: cut.clone(),
        };
        for listener in self.listeners {
            let places = match &listener {
                Listener::Tcp(_) => &tcp,
                Listener::Unix(_) => &unix,
                Listener::Bobcat(_) => &bobcat,
            };
            tasks.spawn(reception(places).accept_until_stopped(listener).boxed());
        }
        for address in self.wanted {
            let listening = reception(&tcp).keep_listening(address, "API", Listener::Tcp);
            tasks.spawn(listening.boxed());
        }
        if let Some(address) = self.bobcat_wanted {
            let reception = reception(&bobcat);
            let listening =
                reception.keep_listening(address, "Bobcat-compatible API", Listener::Bobcat);
            tasks.spawn(listening.boxed());
        }
        if let Some(settings) = &self.hall.settings.bobcat {
            look_around(&self.hall, settings, &tasks);
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
