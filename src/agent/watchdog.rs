//! What systemd is told: ready, alive, reloading, stopping. Without systemd every call does nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

/// Tells systemd; a notification that does not get through is only logged.
pub fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("systemd cannot be told: {error}");
    }
}

/// Says for ever that the agent is alive, at half the time that systemd allows (`WatchdogSec=`).
///
/// It runs on the one thread that everything else runs on: an agent whose thread is stuck falls silent
/// and is restarted.
pub async fn keep_alive() {
    let Some(allowed) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut beat = interval((allowed / 2).max(Duration::from_millis(100)));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        notify(&[NotifyState::Watchdog]);
    }
}
