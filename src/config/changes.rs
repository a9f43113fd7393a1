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
                Some(before) => changes.compare(
                    &format!("workload.{name}."),
                    Workload::KEYS,
                    *before,
                    *workload,
                ),
                None => changes.restart.push(format!("workload.{name}")),
            }
        }
        let gone = old.keys().filter(|name| !new.contains_key(*name));
        changes
            .restart
            .extend(gone.map(|name| format!("workload.{name}")));
        changes
    }
}

fn by_name(workloads: &[Workload]) -> BTreeMap<&Name, &Workload> {
    workloads
        .iter()
        .map(|workload| (&workload.name, workload))
        .collect()
}
