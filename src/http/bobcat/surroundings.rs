//! What surrounds the miner: its ports, the network's name, the speed of the connection. Looked at in the background.

use std::future::Future;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use super::super::hall::Hall;
use super::bucket::Bucket;
use super::dig::{self, Dig};
use super::ports::Ports;
use super::speed::{self, Speed};
use super::{Miner, Settings};

/// For how long it is good what was looked at. Nobody asking, nobody looks.
const GOOD: Duration = Duration::from_secs(60);

/// What was seen last, and who wants it anew.
#[derive(Debug)]
pub(super) struct Seen<T> {
    value: Mutex<Option<(T, Instant)>>,
    wanted: Notify,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self {
            value: Mutex::new(None),
            wanted: Notify::new(),
        }
    }
}

impl<T: Clone> Seen<T> {
    /// What was seen last. Where that is old, it is looked at again, and whoever asks next is told.
    pub fn get(&self) -> Option<T> {
        let seen = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        match &*seen {
            Some((_, at)) if at.elapsed() < GOOD => {}
            _ => self.wanted.notify_one(),
        }
        seen.as_ref().map(|(value, _)| value.clone())
    }

    fn set(&self, value: T) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = Some((value, Instant::now()));
    }

    /// Looks now, and again whenever somebody wants it, for ever.
    async fn keep<F: Future<Output = T>>(&self, mut look: impl FnMut() -> F) {
        loop {
            self.set(look().await);
            self.wanted.notified().await;
        }
    }
}

/// What the API knows beside the engine.
#[derive(Debug)]
pub(in super::super) struct Surroundings {
    pub(super) ports: Seen<Ports>,
    pub(super) dig: Seen<Dig>,
    pub(super) speed: Seen<Speed>,
    pub(super) log: Mutex<String>,
    /// One admin request at a time.
    pub(super) desk: tokio::sync::Mutex<()>,
    /// Answers that cost little.
    pub(super) cheap: Bucket,
    /// The speed, which stock devices measure for each.
    pub(super) dear: Bucket,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            ports: Seen::default(),
            dig: Seen::default(),
            speed: Seen::default(),
            log: Mutex::default(),
            desk: tokio::sync::Mutex::default(),
            cheap: Bucket::new(60, 10),
            dear: Bucket::new(12, 1),
        }
    }
}

impl Surroundings {
    /// The ports as they were seen last; before the first look at these addresses none is open.
    pub(super) fn ports(&self, settings: &Settings, hall: &Hall) -> Ports {
        let (private, public) = (private(hall), public(settings, hall.state.miner.as_ref()));
        match self.ports.get() {
            Some(ports) if ports.are_of(private, public) => ports,
            _ => {
                self.ports.wanted.notify_one();
                Ports::seen(private, public, [false; 4])
            }
        }
    }
}

/// Looks around until the server stops.
pub(in super::super) fn look_around(
    hall: &std::sync::Arc<Hall>,
    settings: &Settings,
    tasks: &TaskTracker,
) {
    let (all, settings) = (hall.clone(), settings.clone());
    let task = async move {
        let seen = &all.surroundings;
        let ports = seen
            .ports
            .keep(|| Ports::look(private(&all), public(&settings, all.state.miner.as_ref())));
        let dig = seen.dig.keep(|| dig::look(&settings.dig_name));
        let speed = async {
            let Some(how) = &settings.speed else {
                return std::future::pending().await;
            };
            loop {
                seen.speed.set(speed::measure(how).await);
                sleep(how.every).await;
            }
        };
        tokio::join!(ports, dig, speed);
    };
    let task = hall.stop.clone().run_until_cancelled_owned(task).map(drop);
    tasks.spawn(task.boxed());
}

/// The address by which this host is known in its own network.
fn private(hall: &Hall) -> Option<IpAddr> {
    let device = hall.state.device.borrow();
    let addresses = device.as_ref().map_or(&[][..], |device| &device.addresses);
    let mut parsed = addresses
        .iter()
        .filter_map(|address| address.parse::<IpAddr>().ok());
    parsed.find(IpAddr::is_ipv4)
}

/// The address by which the world knows it.
fn public(settings: &Settings, miner: Option<&Miner>) -> Option<IpAddr> {
    let said = || miner?.observation.borrow().public_address;
    settings.public_address.or_else(said)
}
