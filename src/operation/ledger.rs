//! The ledger: every operation that is kept, the unfinished ones in memory and all of them in the journal.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::journal::{Journal, Quarantined};
use crate::blocking::spawn_blocking;
use crate::clock::{ClockSync, Timestamp};
use crate::durable;
use crate::feed::{Feed, Update};
use crate::protocol::{
    Failure, MAX_TRANSITIONS, OperationId, OperationRecord, Progress, Reason, State,
};

/// How many ended operations are kept. An id is remembered, and so never run again, for as long.
const KEPT: usize = 1000;

/// How many ended operations stay in memory, so that listing them reads no file.
const RECENT: usize = 32;

/// How many ends that could not be written are kept until they can be; of more, the oldest are lost and said to be.
const OWED: usize = 64;

/// How often it is told how far one operation is: every reader of the feed gets the whole record each time.
const TELL: Duration = Duration::from_secs(1);

/// Records in memory and on disk, and who is told of them.
pub(super) struct Ledger {
    journal: Journal,
    feed: Feed,
    clock: ClockSync,
    inner: Mutex<Inner>,
    /// The last number that the runs of the agent before this one have given.
    last_before: u64,
    /// One at a time: two that write the same record would write the same file.
    paying: tokio::sync::Mutex<()>,
}

struct Inner {
    /// The unfinished, and the last [`RECENT`] ended ones.
    records: HashMap<OperationId, OperationRecord>,
    /// The ended ones, oldest first.
    ended: VecDeque<OperationId>,
    last_number: u64,
    /// When it was told last how far the step is that an operation is at.
    told: HashMap<OperationId, Instant>,
    /// Ends that could not be written, oldest first: without them the next start would take the operations up again.
    owed: VecDeque<OperationRecord>,
}

impl Ledger {
    /// Opens the journal; gives back what was unfinished, oldest first, and what had to be set aside.
    pub fn open(
        directory: &Path,
        feed: Feed,
        clock: ClockSync,
    ) -> Result<(Self, Vec<OperationRecord>, Vec<Quarantined>), durable::Error> {
        let (journal, read, quarantined) = Journal::open(directory)?;
        let mut inner = Inner {
            records: HashMap::new(),
            ended: VecDeque::new(),
            last_number: 0,
            told: HashMap::new(),
            owed: VecDeque::new(),
        };
        let mut unfinished = Vec::new();
        for record in read {
            inner.last_number = inner.last_number.max(record.number);
            if record.state.is_final() {
                inner.ended.push_back(record.id.clone());
            } else {
                unfinished.push(record.clone());
            }
            inner.records.insert(record.id.clone(), record);
            inner.forget_old_from_memory();
        }
        let ledger = Self {
            journal,
            feed,
            clock,
            last_before: inner.last_number,
            inner: Mutex::new(inner),
            paying: tokio::sync::Mutex::default(),
        };
        ledger.journal.forget(&ledger.take_surplus());
        Ok((ledger, unfinished, quarantined))
    }

    /// The record of that id where it is in memory: the unfinished are, and the last [`RECENT`] ended ones.
    pub fn get(&self, id: &OperationId) -> Option<OperationRecord> {
        self.lock().get(id)
    }

    /// The record of that id, from memory or from the journal. What cannot be read is an error, for it may have run.
    pub async fn find(&self, id: &OperationId) -> Result<Option<OperationRecord>, Failure> {
        let in_memory = self.get(id);
        if in_memory.is_some() {
            return Ok(in_memory);
        }
        let (journal, id) = (self.journal.clone(), id.clone());
        spawn_blocking(move || journal.load(&id))
            .await
            .unwrap_or_else(|error| Err(error.to_string()))
            .map_err(|problem| {
                let message = format!("whether this ran already cannot be read: {problem}");
                Failure::new(Reason::JournalFailed, message)
            })
    }

    /// The unfinished and the last ended operations, newest first: those that are in memory.
    pub fn recent(&self) -> Vec<OperationRecord> {
        let mut records: Vec<_> = self.lock().records.values().cloned().collect();
        records.sort_unstable_by_key(|record| std::cmp::Reverse(record.number));
        records
    }

    /// Whether an earlier run of the agent has accepted it.
    pub fn was_taken_up(&self, record: &OperationRecord) -> bool {
        record.number <= self.last_before
    }

    /// The number of the next operation.
    pub fn next_number(&self) -> u64 {
        let mut inner = self.lock();
        inner.last_number += 1;
        inner.last_number
    }

    /// Changes a record in memory alone; gives it back where `change` says that it did change it.
    pub fn change(
        &self,
        id: &OperationId,
        change: impl FnOnce(&mut OperationRecord) -> bool,
    ) -> Option<OperationRecord> {
        let mut inner = self.lock();
        let record = inner.records.get_mut(id)?;
        change(record).then(|| record.clone())
    }

    /// Writes a record durably, keeps it, and tells every reader of the feed.
    pub async fn store(&self, record: &mut OperationRecord) -> Result<(), Failure> {
        if record.transitions >= MAX_TRANSITIONS && !record.state.is_final() {
            return Err(Failure::new(
                Reason::TooManyTransitions,
                format!("the record was written {MAX_TRANSITIONS} times: the operation goes round"),
            ));
        }
        record.transitions += 1;
        record.clock_synced = self.clock.synced();
        let written = OperationRecord {
            progress: None,
            ..record.clone()
        };
        let (journal, surplus) = (self.journal.clone(), self.take_surplus());
        let write = move || {
            let stored = journal.store(&written);
            journal.forget(&surplus);
            stored
        };
        spawn_blocking(write)
            .await
            .map_err(|error| error.to_string())
            .and_then(|stored| stored.map_err(|error| error.to_string()))
            .map_err(|error| {
                Failure::new(
                    Reason::JournalFailed,
                    format!("the journal cannot be written: {error}"),
                )
            })?;
        self.keep(record.clone());
        Ok(())
    }

    /// Keeps a record in memory and tells the feed, also where the disk is full: the outcome must be seen.
    pub fn keep(&self, record: OperationRecord) {
        {
            let mut inner = self.lock();
            if record.state.is_final() && !inner.ended.contains(&record.id) {
                inner.ended.push_back(record.id.clone());
            }
            inner.told.remove(&record.id);
            inner.records.insert(record.id.clone(), record.clone());
            inner.forget_old_from_memory();
        }
        self.feed.send(Update::Operation(Box::new(record.told())));
    }

    /// Ends a record. The outcome is seen even where it cannot be written.
    pub async fn end(&self, mut record: OperationRecord, state: State, failure: Option<Failure>) {
        record.state = state;
        record.failure = failure;
        record.ended_at = Some(Timestamp::now());
        record.progress = None;
        if let Err(failure) = self.store(&mut record).await {
            tracing::error!(
                "the end of operation {} is not durable: {}",
                record.id,
                failure.message
            );
            self.keep(record.clone());
            self.owe(record);
        } else {
            // The disk takes records again.
            self.pay().await;
        }
    }

    /// Keeps an end that could not be written.
    fn owe(&self, record: OperationRecord) {
        let lost = {
            let mut inner = self.lock();
            inner.owed.push_back(record);
            match inner.owed.len() > OWED {
                true => inner.owed.pop_front(),
                false => None,
            }
        };
        if let Some(lost) = lost {
            tracing::error!(
                "the end of operation {} is lost: {OWED} others wait for the disk",
                lost.id
            );
        }
    }

    /// How many ends wait to be written.
    pub fn owed(&self) -> usize {
        self.lock().owed.len()
    }

    /// Writes the ends that are owed, as far as the disk takes them.
    pub async fn pay(&self) {
        let Ok(_one_at_a_time) = self.paying.try_lock() else {
            return;
        };
        loop {
            let Some(record) = self.lock().owed.front().cloned() else {
                return;
            };
            let (journal, written) = (self.journal.clone(), record.clone());
            let stored = spawn_blocking(move || journal.store(&written)).await;
            if !matches!(stored, Ok(Ok(()))) {
                return;
            }
            self.lock().owed.retain(|owed| owed.id != record.id);
            tracing::info!("the end of operation {} is durable at last", record.id);
        }
    }

    /// Notes how far an operation is, without writing anything, and tells it once in [`TELL`], however often this is called.
    pub fn tell_progress(&self, id: &OperationId, progress: Progress) {
        let told = {
            let mut inner = self.lock();
            let Some(record) = inner.records.get_mut(id) else {
                return;
            };
            record.progress = Some(progress);
            let record = record.clone();
            let last = inner.told.get(id);
            if last.is_some_and(|last| last.elapsed() < TELL) {
                return;
            }
            inner.told.insert(id.clone(), Instant::now());
            record.told()
        };
        self.feed.send(Update::Operation(Box::new(told)));
    }

    /// What is to be forgotten, the oldest first.
    fn take_surplus(&self) -> Vec<OperationId> {
        let mut inner = self.lock();
        let surplus = inner.ended.len().saturating_sub(KEPT);
        inner.ended.drain(..surplus).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it holds the lock; if it did, the map would still be whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn get(&self, id: &OperationId) -> Option<OperationRecord> {
        let owed = || self.owed.iter().find(|record| record.id == *id);
        self.records.get(id).or_else(owed).cloned()
    }

    fn forget_old_from_memory(&mut self) {
        let surplus = self.ended.len().saturating_sub(RECENT);
        for id in self.ended.iter().take(surplus) {
            self.records.remove(id);
        }
    }
}
