//! What a checkpoint holds of one miner, as far as what is on disk is compared with it.

use std::collections::HashMap;

use super::fingerprint::Content;

/// The positions of one miner, by uuid.
#[derive(Default)]
pub(crate) struct Held {
    positions: HashMap<String, HeldPosition>,
    bytes: usize,
}

/// One position.
#[derive(Default)]
pub(crate) struct HeldPosition {
    /// What its file holds, where one is made of it.
    pub(crate) content: Option<Content>,
    /// The uuids of its orders, one after the other: a string for each would be most of the work.
    uuids: String,
    ends: Vec<usize>,
    /// When the newest of them was processed.
    pub(crate) newest_ms: Option<i64>,
}

impl Held {
    /// Adds a position; `false` where it is there already.
    pub(crate) fn add(&mut self, uuid: &str, position: HeldPosition) -> bool {
        self.bytes += uuid.len() + position.uuids.len() + size_of::<HeldPosition>();
        self.bytes += size_of_val(&*position.ends);
        self.positions.insert(uuid.to_owned(), position).is_none()
    }

    pub(crate) fn get(&self, uuid: &str) -> Option<&HeldPosition> {
        self.positions.get(uuid)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// About so much memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.bytes
    }
}

impl HeldPosition {
    /// One whose file holds this.
    pub(crate) fn with(content: Content) -> Self {
        Self {
            content: Some(content),
            ..Self::default()
        }
    }

    /// Adds an order.
    pub(crate) fn add(&mut self, uuid: &str, processed_ms: Option<i64>) {
        self.uuids.push_str(uuid);
        self.ends.push(self.uuids.len());
        self.newest_ms = self.newest_ms.max(processed_ms);
    }

    /// How many orders there are.
    pub(crate) fn orders(&self) -> u64 {
        self.ends.len() as u64
    }

    /// The uuids of its orders.
    pub(crate) fn uuids(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let uuid = &self.uuids[start..*end];
            start = *end;
            uuid
        })
    }
}
