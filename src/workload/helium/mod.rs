//! A Helium miner: it is asked by its own command-line program, in its container.
//!
//! There are two eras of images. The miner with a blockchain answers `miner info height`; the gateway that came
//! after it has neither that program nor heights.

mod chain;
mod fastsync;
mod height;
mod identity;
mod observation;
mod pace;
mod peers;
mod question;
mod state;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

pub use self::height::Heights;
pub use self::identity::Identity;
pub use self::observation::Observation;
pub use self::peers::Peers;
pub use self::question::Answer;

use self::chain::{Chain, ChainHeight};
use self::pace::Pace;
use self::question::{DEADLINE, LOG_DEADLINE, ask, no_such_program};
use self::state::{Judgement, loads_snapshot};
use super::{ChainSnapshots, Finding, Inside, Kind, Standing};
use crate::protocol::SyncState;
use crate::web::Url;

/// How long answers that say how the miner stands to its network are good for. Each costs it a program of its own.
const DETAILS_AGE: Duration = Duration::from_secs(60);

/// How the chain's height is had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Who says it; without one, the miner's own word counts.
    pub chain_height_url: Option<Url>,
    /// How often that is asked.
    pub chain_height_interval: Duration,
    /// Where there is always a newer snapshot of the chain.
    pub snapshot_url: Option<Url>,
}

/// A hotspot's miner.
pub struct Helium {
    chain: Chain,
    snapshot_url: Option<Url>,
    memory: Mutex<Memory>,
    seen: watch::Sender<Observation>,
}

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
struct Memory {
    pace: Pace,
    /// When the details were asked for, and in which state it was then.
    details: Option<(Instant, SyncState)>,
    identity: Identity,
    last_region: Option<String>,
    public_address: Option<IpAddr>,
}

/// The answers of a look beside the height.
#[derive(Clone, Debug, Default)]
struct Details {
    p2p_status: Answer,
    peer_book: Answer,
    region: Answer,
}

impl Helium {
    /// A miner that was not looked at yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            chain: Chain::new(settings.chain_height_url, settings.chain_height_interval),
            snapshot_url: settings.snapshot_url,
            memory: Mutex::default(),
            seen: watch::Sender::default(),
        }
    }

    /// What is seen of it, at each look.
    pub fn observe(&self) -> watch::Receiver<Observation> {
        self.seen.subscribe()
    }

    async fn look(&self, inside: &dyn Inside) -> Finding {
        let (height, chain) = tokio::join!(
            ask(inside, &question::HEIGHT, DEADLINE),
            self.chain.height()
        );
        let loads = height.is_late() && self.loads(inside).await;
        let judged = Judgement::of(&height, &chain, loads);
        let details = self.details(inside, &height, judged.state).await;
        let chain_height = match chain {
            ChainHeight::Known(height) => Some(height),
            ChainHeight::NoSource | ChainHeight::Unavailable(_) => None,
        };
        let standing = self.standing(&judged, chain_height);
        let observation = self.observation(height, details, &judged, chain_height);
        let finding = Finding {
            height: judged.heights.map(|heights| heights.height),
            gap: judged.gap,
            standing: Some(standing),
            details: facts(&observation),
            ..Finding::new(judged.health, judged.reason)
        };
        self.seen.send_replace(observation);
        finding
    }

    async fn loads(&self, inside: &dyn Inside) -> bool {
        let log = ask(inside, &question::LOG, LOG_DEADLINE).await;
        log.text().is_some_and(loads_snapshot)
    }

    /// How it stands to its network and who it is: asked for now and then, and again where something was missing or
    /// has changed.
    async fn details(&self, inside: &dyn Inside, height: &Answer, state: SyncState) -> Details {
        let before = self.seen.borrow().clone();
        let fresh = self.memory().details.is_some_and(|(at, in_state)| {
            in_state == state && at.elapsed() < DETAILS_AGE && !before.is_incomplete()
        });
        if fresh {
            return Details {
                p2p_status: before.p2p_status,
                peer_book: before.peer_book,
                region: before.region,
            };
        }
        let details = match height.text().is_some_and(no_such_program) {
            true => self.ask_gateway(inside).await,
            false => self.ask_miner(inside).await,
        };
        self.memory().details = Some((Instant::now(), state));
        details
    }

    async fn ask_miner(&self, inside: &dyn Inside) -> Details {
        let known = self.memory().identity.is_complete();
        let keys = async {
            match known {
                true => Answer::Unasked,
                false => ask(inside, &question::KEYS, DEADLINE).await,
            }
        };
        let (p2p_status, peer_book, region, keys) = tokio::join!(
            ask(inside, &question::P2P_STATUS, DEADLINE),
            ask(inside, &question::PEER_BOOK, DEADLINE),
            ask(inside, &question::REGION, DEADLINE),
            keys,
        );
        if let Some(terms) = keys.text() {
            self.memory().identity.learn(Identity::of_terms(terms));
        }
        Details {
            p2p_status,
            peer_book,
            region,
        }
    }

    async fn ask_gateway(&self, inside: &dyn Inside) -> Details {
        let (region, key) = tokio::join!(
            ask(inside, &question::GATEWAY_REGION, DEADLINE),
            ask(inside, &question::GATEWAY_KEY, DEADLINE),
        );
        if let Some(json) = key.text() {
            self.memory().identity.learn(Identity::of_json(json));
        }
        Details {
            region,
            ..Details::default()
        }
    }

    fn standing(&self, judged: &Judgement, chain_height: Option<u64>) -> Standing {
        let mut memory = self.memory();
        if let Some(heights) = judged.heights {
            memory.pace.note(heights.height, chain_height);
        }
        let syncing = judged.state == SyncState::Syncing;
        let pace = Some(&memory.pace).filter(|_| syncing);
        Standing {
            state: judged.state,
            chain_height,
            blocks_per_second: pace.and_then(Pace::blocks_per_second),
            seconds_left: pace.and_then(|pace| pace.seconds_left(judged.gap?)),
        }
    }

    fn observation(
        &self,
        height: Answer,
        details: Details,
        judged: &Judgement,
        chain_height: Option<u64>,
    ) -> Observation {
        let mut memory = self.memory();
        // To a gateway that is no question.
        let height = match height.text().is_some_and(no_such_program) {
            true => Answer::Unasked,
            false => height,
        };
        if let Some(region) = details.region.text().and_then(region) {
            memory.last_region = Some(region);
        }
        let peers = Peers::read(details.p2p_status.text(), details.peer_book.text());
        memory.public_address = peers.public_address().or(memory.public_address);
        Observation {
            state: Some(judged.state),
            heights: judged.heights,
            gap: judged.gap,
            chain_height,
            identity: memory.identity.clone(),
            last_region: memory.last_region.clone(),
            public_address: memory.public_address,
            peers,
            height,
            p2p_status: details.p2p_status,
            peer_book: details.peer_book,
            region: details.region,
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `us915` of `region_us915`, of `us915` and of `US915`; nothing of an error.
fn region(text: &str) -> Option<String> {
    let line = text.lines().next()?.trim().to_ascii_lowercase();
    let name = line.strip_prefix("region_").unwrap_or(&line);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let known = (4..=12).contains(&name.len())
        && name.bytes().all(plain)
        && name.bytes().any(|byte| byte.is_ascii_digit());
    known.then(|| name.to_owned())
}

/// What is known of it beside its heights, for people.
fn facts(observation: &Observation) -> BTreeMap<String, String> {
    let yes_no = |value: Option<bool>| value.map(|yes| if yes { "yes" } else { "no" }.to_owned());
    let peers = &observation.peers;
    [
        ("animal", observation.identity.animal.clone()),
        ("public_key", observation.identity.public_key.clone()),
        ("region", observation.last_region.clone()),
        (
            "epoch",
            observation.heights.map(|heights| heights.epoch.to_string()),
        ),
        ("connected", yes_no(peers.connected)),
        ("dialable", yes_no(peers.dialable)),
        ("nat_type", peers.nat.clone()),
        ("relayed", yes_no(peers.relayed())),
        ("peers", peers.sessions.map(|sessions| sessions.to_string())),
    ]
    .into_iter()
    .filter_map(|(what, fact)| Some((what.to_owned(), fact?)))
    .collect()
}

#[async_trait]
impl Kind for Helium {
    fn name(&self) -> &'static str {
        "helium"
    }

    fn has_chain(&self) -> bool {
        true
    }

    fn chain_snapshots(&self) -> Option<&dyn ChainSnapshots> {
        Some(self)
    }

    async fn probe(&self, inside: &dyn Inside) -> Finding {
        self.look(inside).await
    }

    /// A chain of which nobody knows how far it is, or that is being replaced, is worth no snapshot.
    async fn conditions(&self, inside: &dyn Inside) -> Vec<String> {
        let height = ask(inside, &question::HEIGHT, DEADLINE).await;
        let loads = height.is_late() && self.loads(inside).await;
        let judged = Judgement::of(&height, &ChainHeight::NoSource, loads);
        let gateway = height.text().is_some_and(no_such_program);
        match (judged.heights, judged.reason) {
            (Some(heights), Some(why)) if heights.absorbs() => {
                vec![format!("it is loading: {why}")]
            }
            (Some(_), _) => Vec::new(),
            (None, _) if gateway => Vec::new(),
            (None, Some(why)) => vec![format!("its height is not known: {why}")],
            (None, None) => vec!["its height is not known".to_owned()],
        }
    }
}
