//! The records that the broker retains, so that they are cleared when the engine tells them no longer.

use std::collections::BTreeSet;

use crate::protocol::{OperationId, OperationRecord};

/// The ids whose records the broker retains.
#[derive(Debug, Default)]
pub(super) struct Shown {
    ids: BTreeSet<OperationId>,
    /// Whether the broker was asked for what earlier runs of the agent have left there.
    pub swept: bool,
}

impl Shown {
    /// The broker has it, or soon will.
    pub fn note(&mut self, id: &OperationId) {
        if !self.ids.contains(id) {
            self.ids.insert(id.clone());
        }
    }

    /// The broker has it no longer.
    pub fn cleared(&mut self, id: &OperationId) {
        self.ids.remove(id);
    }

    /// Those that are not among `told`. They stay in the list until the broker has taken the clearing of each.
    pub fn surplus(&self, told: &[OperationRecord]) -> Vec<OperationId> {
        let told: BTreeSet<_> = told.iter().map(|record| &record.id).collect();
        self.ids
            .iter()
            .filter(|id| !told.contains(id))
            .cloned()
            .collect()
    }
}
