//! What differs between two configurations, and what of it a reload can apply.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::section::Key;
use super::{Bobcat, Commands, Config, Device, Http, Mqtt, Telemetry, Workload};
use crate::protocol::Name;

/// The keys that differ, such as `telemetry.interval` or `workload.miner.grace`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What a reload can apply.
    pub live: Vec<String>,
    /// What needs a restart of the agent.
    pub restart: Vec<String>,
}

impl Changes {
    /// Whether the two configurations say the same.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.restart.is_empty()
    }

    /// Leaves a key that a reload could apply to the restart.
    fn postpone(&mut self, key: String) {
        self.live.retain(|live| *live != key);
        self.restart.push(key);
    }

    fn compare<T: Serialize>(&mut self, at: &str, keys: &[Key], old: &T, new: &T) {
        let value = |of: &T| serde_json::to_value(of).unwrap_or_default();
        let (old, new) = (value(old), value(new));
        for key in keys {
            let name = key.name();
            // A key of a table that is left out counts as one that is not set.
            let set = |of: &Value| of.get(&name).filter(|value| !value.is_null()).cloned();
            if set(&old) != set(&new) {
                let changed = if key.reload {
                    &mut self.live
                } else {
                    &mut self.restart
                };
                changed.push(format!("{at}{name}"));
            }
        }
    }
}

impl Config {
    /// What has to be done so that this configuration holds instead of the old one.
    pub fn changes(&self, old: &Config) -> Changes {
        let mut changes = Changes::default();
        if self.state_dir != old.state_dir {
            changes.restart.push("state-dir".to_owned());
        }
        changes.compare("device.", Device::KEYS, &old.device, &self.device);
        changes.compare("mqtt.", Mqtt::KEYS, &old.mqtt, &self.mqtt);
        changes.compare("commands.", Commands::KEYS, &old.commands, &self.commands);
        changes.compare(
            "telemetry.",
            Telemetry::KEYS,
            &old.telemetry,
            &self.telemetry,
        );
        changes.compare("http.", Http::KEYS, &old.http, &self.http);
        changes.compare("bobcat.", Bobcat::KEYS, &old.bobcat, &self.bobcat);

        let (old, new) = (by_name(&old.workload), by_name(&self.workload));
        for (name, workload) in &new {
            match old.get(name) {
                Some(before) => {
                    let at = format!("workload.{name}.");
                    changes.compare(&at, Workload::KEYS, *before, *workload);
                    if !before.takes_grace_of(workload) {
                        changes.postpone(format!("{at}grace"));
                    }
                }
                None => changes.restart.push(format!("workload.{name}")),
            }
        }
        let gone = old.keys().filter(|name| !new.contains_key(*name));
        changes
            .restart
            .extend(gone.map(|name| format!("workload.{name}")));
        changes
    }

    /// Takes over what a reload can apply. What needs a restart stays as it is, and so stays told at the next reload.
    pub fn take_live(&mut self, new: Config) {
        self.telemetry = new.telemetry;
        for workload in &mut self.workload {
            let Some(new) = new.workload.iter().find(|new| new.name == workload.name) else {
                continue;
            };
            if workload.takes_grace_of(new) {
                workload.grace = new.grace;
            }
            workload.ready_timeout = new.ready_timeout;
            workload.probe_interval = new.probe_interval;
            workload.schedule = new.schedule.clone();
        }
    }
}

fn by_name(workloads: &[Workload]) -> BTreeMap<&Name, &Workload> {
    workloads
        .iter()
        .map(|workload| (&workload.name, workload))
        .collect()
}
