//! What all connections share, and what is counted of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::bobcat::Surroundings;
use super::door::Door;
use super::{Settings, State};

/// Event streams at a time, of each kind as well.
const STREAMS: usize = 16;

/// What all connections share.
pub(super) struct Hall {
    pub settings: Settings,
    pub state: State,
    pub counts: Counts,
    /// What the Bobcat-compatible API knows beside the engine.
    pub surroundings: Surroundings,
    tcp_streams: Arc<Semaphore>,
    unix_streams: Arc<Semaphore>,
    /// Set when the server is to end: event streams end with it.
    pub stop: CancellationToken,
}

impl Hall {
    pub fn new(settings: Settings, state: State, stop: CancellationToken) -> Self {
        Self {
            settings,
            state,
            counts: Counts::default(),
            surroundings: Surroundings::default(),
            tcp_streams: Arc::new(Semaphore::new(STREAMS)),
            unix_streams: Arc::new(Semaphore::new(STREAMS)),
            stop,
        }
    }

    /// A place for one more event stream, where there is one.
    pub fn stream_place(&self, door: Door) -> Option<OwnedSemaphorePermit> {
        let places = match door {
            Door::Unix => &self.unix_streams,
            Door::Tcp(_) | Door::Bobcat(_) => &self.tcp_streams,
        };
        places.clone().try_acquire_owned().ok()
    }
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

/// What the server has seen and turned away since it started, as `/v1/health` shows it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Counts {
    /// Connections that were served.
    pub connections: Count,
    /// Connections that were closed at once, for too many were open.
    pub refused_connections: Count,
    /// Connections that ended in an error: not HTTP, too slow, cut off.
    pub broken_connections: Count,
    /// Requests that were answered with a status of 400 or more.
    pub refused_requests: Count,
    /// Event streams that were refused, for too many were open.
    pub refused_streams: Count,
    /// Updates that slow readers of event streams have missed.
    pub lagged_updates: Count,
    /// Times that the system gave no connection: out of file descriptors, out of memory.
    pub accept_errors: Count,
}

/// A number that only grows.
#[derive(Debug, Default, Serialize)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
}
