//! What the feed brings: state for the connection that stands, and what waits in the outbox where none does.

use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use super::{FILES, Reporter};
use crate::clock::Timestamp;
use crate::feed::Update;
use crate::protocol::{Event, Level, OperationId, OperationRecord, Origin, Reason, Refusal};
use crate::report::message::Message;

impl Reporter {
    pub(super) async fn take(&mut self, update: Result<Update, RecvError>) {
        match update {
            Ok(Update::Operation(record)) => self.take_record(&record),
            Ok(Update::Refusal(refusal)) => self.take_refusal(&refusal).await,
            Ok(Update::Workload(report)) => {
                let message = Message::workload(&self.topics, &report);
                self.put_state(message);
            }
            Ok(Update::Telemetry(telemetry)) => {
                self.keep(Message::telemetry(&self.topics, &telemetry));
            }
            Ok(Update::Event(event)) => self.keep(Message::event(&self.topics, &event)),
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!("{missed} updates were missed");
                self.outbox.dropped.events += missed;
                if self.connected.is_some() {
                    self.assert_state();
                }
            }
            // The engine holds the feed, and we hold the engine.
            Err(RecvError::Closed) => {}
        }
        self.tell_link();
    }

    pub(super) async fn take_what_is_left(&mut self) {
        while let Ok(update) = self.updates.try_recv() {
            self.take(Ok(update)).await;
        }
    }

    pub(super) fn take_record(&mut self, record: &OperationRecord) {
        let told = self.engine.records();
        if told.iter().any(|told| told.id == record.id) {
            self.put_state(Message::record(&self.topics, record));
        } else {
            // Asked for again, long after it ended.
            self.keep(Message::old_record(&self.topics, record));
        }
        if record.state.is_final() && self.connected.is_some() {
            self.clear_surplus(&told);
        }
    }

    pub(super) async fn take_refusal(&mut self, refusal: &Refusal) {
        if refusal.origin == Origin::Mqtt {
            if refusal.failure.reason == Reason::ShuttingDown {
                // The broker keeps the command, and the next run of the agent will answer it.
                return;
            }
            if let Some(id) = &refusal.id
                && !self.knows(id).await
            {
                return self.keep(Message::refusal(&self.topics, id, refusal));
            }
        }
        if !self.refusals.pass() {
            return;
        }
        let held_back = match self.refusals.take_held_back() {
            0 => String::new(),
            more => format!(" ({more} more were refused before)"),
        };
        let message = format!(
            "the command `{}` is refused: {}{held_back}",
            refusal.operation, refusal.failure.message
        );
        let event = self.make_event(Level::Warning, "command-refused", &message);
        self.keep(Message::event(&self.topics, &event));
    }

    /// Whether the topic of that id is a record's. Where a disk hangs, whoever asked is answered without it.
    async fn knows(&self, id: &OperationId) -> bool {
        matches!(timeout(FILES, self.engine.find(id)).await, Ok(Ok(Some(_))))
    }

    pub(super) fn keep(&mut self, message: Message) {
        let connection = self.connected.map_or(0, |_| self.number);
        self.outbox.push(message, connection);
    }

    pub(super) fn event(&self, level: Level, kind: &str, message: &str) {
        match level {
            Level::Error => tracing::error!("{message}"),
            Level::Warning => tracing::warn!("{message}"),
            Level::Info => tracing::info!("{message}"),
        }
        let event = self.make_event(level, kind, message);
        self.engine.feed().send(Update::Event(Box::new(event)));
    }

    pub(super) fn make_event(&self, level: Level, kind: &str, message: &str) -> Event {
        Event {
            at: Timestamp::now(),
            clock_synced: self.clock.synced(),
            level,
            kind: kind.to_owned(),
            workload: None,
            message: message.to_owned(),
        }
    }
}
