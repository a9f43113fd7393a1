//! What a test can change: at the start by the environment (`TESTNODE_RATE=50`) or by a file in the
//! data directory, later through `testnode set`.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the miner answers, and whether it makes blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Answers; makes `rate` blocks a second.
    Normal,
    /// Answers; is behind, and makes `sync-rate` blocks a second until it has caught up.
    Syncing,
    /// Loads a snapshot: questions get no answer until that is over; no blocks.
    Loading,
    /// No answer, for ever; no blocks.
    Hung,
    /// Answers with the errors of a node that has only just begun to start; blocks as usual.
    Erroring,
    /// The process is there, and does not respond to pings; no blocks.
    Down,
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        serde_json::from_value(text.into()).map_err(|_| {
            format!("{text}: not one of normal, syncing, loading, hung, erroring, down")
        })
    }
}

/// All settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// `state`: see there.
    pub state: State,
    /// `rate`: blocks a second; 0 for none.
    pub rate: f64,
    /// `sync-rate`: blocks a second while syncing.
    pub sync_rate: f64,
    /// `block-size`: bytes of payload.
    pub block_size: usize,
    /// `genesis`: the height of the first block, in an empty data directory.
    pub genesis: u64,
    /// `chain-height`: how high the others are; syncing ends there. `gap N` sets it to the own height + N,
    /// and the state to syncing.
    pub chain_height: Option<u64>,
    /// `gap`, when it is set before the start.
    pub gap: Option<u64>,
    /// `sync-height`: the third column of `info height`, shown while the chain is below it.
    pub sync_height: Option<u64>,
    /// `region`: what `info region` says; empty for one that is not known.
    pub region: String,
    /// `sync`: whether each block waits for the disk, so that a power cut takes none that was shown.
    pub sync: bool,
    /// `relayed`: whether the peer book shows a relay and a symmetric NAT.
    pub relayed: bool,
    /// `join-delay`: seconds after the start before the node has found its peers.
    pub join_delay: f64,
    /// `mute`: commands that get no answer while all others do, with commas in between: `peer book -s,info region`.
    pub mute: String,
    /// `wide`: tables that are not cut to a terminal's width.
    pub wide: bool,
    /// `answer-delay`: seconds before each answer of the command line.
    pub answer_delay: f64,
    /// `load-time`: seconds that loading a snapshot takes.
    pub load_time: f64,
    /// `load-fails`: whether it fails at its end.
    pub load_fails: bool,
    /// `blessed`: the height of the snapshot that a miner with an empty chain loads by itself, right after
    /// its start; `load-time` is how long that takes.
    pub blessed: Option<u64>,
    /// `blessed-delay`: seconds after the start before it begins to load that one.
    pub blessed_delay: f64,
    /// `start-delay`: seconds after the start before the command line is answered.
    pub start_delay: f64,
    /// `term-delay`: seconds between SIGTERM and the end.
    pub term_delay: f64,
    /// `ignore-term`: whether SIGTERM does nothing.
    pub ignore_term: bool,
    /// `crash-at-start`: the exit status with which every start ends at once.
    pub crash_at_start: Option<i32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            state: State::Normal,
            rate: 10.0,
            sync_rate: 100.0,
            block_size: 4096,
            genesis: 1,
            chain_height: None,
            gap: None,
            sync_height: None,
            region: "region_us915".to_owned(),
            sync: false,
            relayed: false,
            join_delay: 0.0,
            mute: String::new(),
            wide: false,
            answer_delay: 0.0,
            load_time: 0.0,
            load_fails: false,
            blessed: None,
            blessed_delay: 0.0,
            start_delay: 0.0,
            term_delay: 0.0,
            ignore_term: false,
            crash_at_start: None,
        }
    }
}

/// The keys, as `set` and the settings file name them.
pub const KEYS: [&str; 23] = [
    "state",
    "rate",
    "sync-rate",
    "block-size",
    "genesis",
    "chain-height",
    "gap",
    "sync-height",
    "region",
    "sync",
    "relayed",
    "join-delay",
    "mute",
    "wide",
    "answer-delay",
    "load-time",
    "load-fails",
    "blessed",
    "blessed-delay",
    "start-delay",
    "term-delay",
    "ignore-term",
    "crash-at-start",
];

impl Settings {
    /// The defaults, changed by the environment, then by the lines of a settings file.
    pub fn at_start(
        environment: impl Fn(&str) -> Option<String>,
        file: &str,
    ) -> Result<Self, String> {
        let mut settings = Self::default();
        for key in KEYS {
            let name = format!("TESTNODE_{}", key.to_uppercase().replace('-', "_"));
            if let Some(value) = environment(&name) {
                settings.set(key, &value)?;
            }
        }
        for line in file.lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            settings.set(key, value)?;
        }
        Ok(settings)
    }

    /// Changes one of them; `none` unsets what can be unset.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "state" => self.state = value.parse()?,
            "rate" => self.rate = number(value)?,
            "sync-rate" => self.sync_rate = number(value)?,
            "block-size" => self.block_size = parse(value)?,
            "genesis" => self.genesis = parse::<u64>(value)?.max(1),
            "chain-height" => self.chain_height = optional(value)?,
            "gap" => self.gap = optional(value)?,
            "sync-height" => self.sync_height = optional(value)?,
            "region" => value.clone_into(&mut self.region),
            "sync" => self.sync = parse(value)?,
            "relayed" => self.relayed = parse(value)?,
            "join-delay" => self.join_delay = number(value)?,
            "mute" => value.clone_into(&mut self.mute),
            "wide" => self.wide = parse(value)?,
            "answer-delay" => self.answer_delay = number(value)?,
            "load-time" => self.load_time = number(value)?,
            "load-fails" => self.load_fails = parse(value)?,
            "blessed" => self.blessed = optional(value)?,
            "blessed-delay" => self.blessed_delay = number(value)?,
            "start-delay" => self.start_delay = number(value)?,
            "term-delay" => self.term_delay = number(value)?,
            "ignore-term" => self.ignore_term = parse(value)?,
            "crash-at-start" => self.crash_at_start = optional(value)?,
            _ => return Err(format!("{key}: not one of {}", KEYS.join(", "))),
        }
        Ok(())
    }

    /// Turns a gap into a height to reach, seen from `height`.
    pub fn resolve_gap(&mut self, height: u64) {
        if let Some(gap) = self.gap.take() {
            self.chain_height = Some(height + gap);
            self.state = State::Syncing;
        }
    }

    /// The time between two blocks; `None` when there are none to be made.
    pub fn pace(&self) -> Option<Duration> {
        let rate = match self.state {
            State::Normal | State::Erroring => self.rate,
            State::Syncing => self.sync_rate,
            State::Loading | State::Hung | State::Down => 0.0,
        };
        (rate > 0.0).then(|| Duration::from_secs_f64(1.0 / rate.max(1e-3)))
    }
}

fn parse<T: FromStr>(value: &str) -> Result<T, String> {
    value
        .trim()
        .parse()
        .map_err(|_| format!("{value}: not a value for this"))
}

fn optional<T: FromStr>(value: &str) -> Result<Option<T>, String> {
    if value.trim() == "none" {
        return Ok(None);
    }
    parse(value).map(Some)
}

/// A number that is neither negative nor beyond what a timer can take.
fn number(value: &str) -> Result<f64, String> {
    let parsed: f64 = parse(value)?;
    if (0.0..=1e6).contains(&parsed) {
        Ok(parsed)
    } else {
        Err(format!("{value}: not between 0 and a million"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_can_be_set_and_no_other() {
        let mut settings = Settings::default();
        for key in KEYS {
            let value = match key {
                "state" => "hung",
                "region" => "region_eu868",
                "sync" | "relayed" | "wide" | "ignore-term" | "load-fails" => "true",
                _ => "7",
            };
            settings.set(key, value).unwrap();
        }
        assert_eq!(settings.state, State::Hung);
        assert_eq!(settings.crash_at_start, Some(7));
        assert!(settings.set("colour", "red").is_err());
        assert!(settings.set("state", "merry").is_err());
        assert!(settings.set("rate", "NaN").is_err());
        assert!(settings.set("rate", "-1").is_err());
    }

    #[test]
    fn the_file_overrides_the_environment() {
        let environment = |name: &str| (name == "TESTNODE_SYNC_RATE").then(|| "3".to_owned());
        let settings = Settings::at_start(environment, "rate 20\nregion region_eu868\n").unwrap();
        assert_eq!(
            (settings.rate, settings.sync_rate, settings.region.as_str()),
            (20.0, 3.0, "region_eu868")
        );
        assert!(Settings::at_start(environment, "rate fast\n").is_err());
    }
}
