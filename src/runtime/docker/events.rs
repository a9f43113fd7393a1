//! Noticing a change at once: the engine's own events, and the engine's coming and going.
//!
//! A hung engine is not noticed here, for it sends nothing: the callers' own look at the container does.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::Error;
use super::client::Client;
use super::connection::{Call, Stream};

/// What can change what a look at the container gives. Not `exec_*`: the agent's own probes would wake it for ever.
const ACTIONS: [&str; 12] = [
    "create",
    "start",
    "die",
    "stop",
    "restart",
    "pause",
    "unpause",
    "oom",
    "health_status",
    "update",
    "rename",
    "destroy",
];

/// Events come in groups (die, stop; die, start): one waking is enough for those that follow so closely ...
const QUIET: Duration = Duration::from_millis(50);
/// ... but it comes after this time at the latest.
const SETTLE: Duration = Duration::from_millis(500);

/// The engine begins to answer at once, also where nothing has happened yet.
const BEGIN: Duration = Duration::from_secs(5);

/// A connection that lasted so long was a good one.
const LASTING: Duration = Duration::from_secs(60);

/// The shortest and the longest pause between two attempts to reach the engine.
const LEAST: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_secs(30);

/// The stream of events, kept between calls so that nothing is missed between them.
#[derive(Default)]
pub(super) struct Watch {
    events: Option<(Stream, Instant)>,
    /// Attempts since the last good connection.
    attempts: u32,
    /// When to try next. An instant, not a pause: a pause would begin anew with every call.
    next: Option<Instant>,
    /// Something was seen that has not been told: a call can be dropped while it waits for quiet.
    pending: bool,
}

impl Watch {
    /// Returns when something may have changed. A call that is dropped loses nothing.
    pub(super) async fn changed(&mut self, client: &Client, container: &str) {
        while !self.pending {
            match &mut self.events {
                None => self.reach(client).await,
                Some((events, since)) => match events.document().await {
                    Ok(Some(event)) => self.pending = concerns(&event, container),
                    Err(_) | Ok(None) => {
                        if since.elapsed() >= LASTING {
                            self.attempts = 0;
                            self.next = None;
                        }
                        self.events = None;
                        self.pending = true;
                    }
                },
            }
        }
        self.settle().await;
        self.pending = false;
    }

    /// Waits until the engine answers, and asks it for its events.
    async fn reach(&mut self, client: &Client) {
        loop {
            if let Some(next) = self.next {
                sleep_until(next).await;
            }
            self.attempts = self.attempts.saturating_add(1);
            self.next = Some(Instant::now() + pause(self.attempts));
            if let Ok(events) = subscribe(client).await {
                self.events = Some((events, Instant::now()));
                self.pending = true;
                return;
            }
        }
    }

    /// Reads what follows closely.
    async fn settle(&mut self) {
        let Some((events, _)) = &mut self.events else {
            return;
        };
        let latest = Instant::now() + SETTLE;
        let quiet =
            async { while let Ok(Ok(Some(_))) = timeout(QUIET, events.document()).await {} };
        let _ = timeout_at(latest, quiet).await;
    }
}

/// The engine's events from the oldest that it remembers: it keeps the last 256. So whatever happens between a
/// caller's look at the container and the moment at which the engine takes the request is among them.
async fn subscribe(client: &Client) -> Result<Stream, Error> {
    let filters = json!({"type": ["container"], "event": ACTIONS}).to_string();
    let call = Call::get("/events").query(&[("since", "1"), ("filters", &filters)]);
    client.open(BEGIN, "watch", call).await
}

/// Whether an event is about this container. The engine's own filter takes a name for a prefix, and does not know
/// the old name of a renamed one.
fn concerns(event: &Value, container: &str) -> bool {
    let actor = &event["Actor"];
    let attribute = |key| actor["Attributes"][key].as_str();
    attribute("name").is_some_and(|name| name == container)
        || attribute("oldName").is_some_and(|name| name.trim_start_matches('/') == container)
        || actor["ID"]
            .as_str()
            .is_some_and(|id| id.starts_with(container))
}

/// How long to wait after so many attempts, from 1: 1 s to 30 s, doubling, with jitter, so that the agents of one
/// host do not come in step.
fn pause(attempts: u32) -> Duration {
    let ceiling = LEAST
        .saturating_mul(2_u32.saturating_pow(attempts))
        .min(PAUSE);
    let range = (ceiling - LEAST).as_millis().max(1);
    let random = u128::from(RandomState::new().hash_one(attempts)) % range;
    LEAST + Duration::from_millis(u64::try_from(random).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(json: &str) -> Value {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_event_concerns_its_container_only() {
        let died = event(
            r#"{"Type": "container", "Action": "die", "Actor": {"ID": "f2af4d423d61", "Attributes": {"name": "miner"}}}"#,
        );
        assert!(concerns(&died, "miner"));
        assert!(concerns(&died, "f2af4d423d61"));
        assert!(!concerns(&died, "min"));
        assert!(!concerns(&died, "miner2"));

        let renamed = event(
            r#"{"Type": "container", "Action": "rename", "Actor": {"ID": "f2af4d423d61", "Attributes": {"name": "old", "oldName": "/miner"}}}"#,
        );
        assert!(concerns(&renamed, "miner"));
        assert!(!concerns(&event(r#"{"Type": "container"}"#), "miner"));
    }

    #[test]
    fn pauses_grow_within_their_bounds() {
        for attempts in 1..100 {
            let pause = pause(attempts);
            assert!(pause >= Duration::from_secs(1), "{attempts}: {pause:?}");
            assert!(pause <= PAUSE, "{attempts}: {pause:?}");
        }
        assert!(pause(1) <= Duration::from_secs(2));
    }
}
