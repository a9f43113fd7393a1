//! What the broker is told to retain, at each connect anew: a broker may have lost all of it.

use rumqttc::{Publish, QoS};
use tokio::time::Instant;

use super::Reporter;
use crate::clock::Timestamp;
use crate::protocol::{Availability, Level, OperationRecord, Presence, WorkloadReport};
use crate::report::connection::Connection;
use crate::report::explain::Why;
use crate::report::message::{Kind, Message};

impl Reporter {
    /// Says that the device is there, and how everything is.
    pub(super) fn come_online(&mut self, connection: &mut Connection) -> Result<(), Why> {
        self.connected = Some(Instant::now());
        tracing::info!("connected to {}", self.settings.broker);
        self.link.send_modify(|link| {
            link.connected = true;
            link.since = Timestamp::now();
        });
        self.waiting.clear();
        self.put_availability(Presence::Online);
        self.assert_state();
        let mut watched = vec![self.topics.availability()];
        if !self.shown.swept {
            watched.extend([self.topics.operations(), self.topics.workloads()]);
        }
        // What is said of this device while it is away need not be kept for it.
        self.subscribe(watched, QoS::AtMostOnce, connection)
    }

    /// Puts everything that the broker retains of this device in its queue: the broker may have lost it.
    pub(super) fn assert_state(&mut self) {
        let records = self.engine.records();
        for record in &records {
            self.waiting.put(Message::record(&self.topics, record));
        }
        self.clear_surplus(&records);
        for report in self.engine.workloads() {
            self.waiting.put(Message::workload(&self.topics, &report));
        }
        self.assert_device();
    }

    pub(super) fn assert_device(&mut self) {
        let device = self.device.borrow_and_update();
        let message = device
            .as_ref()
            .map(|device| Message::device(&self.topics, device));
        drop(device);
        if let Some(message) = message {
            self.waiting.put(message);
        }
    }

    pub(super) fn clear_surplus(&mut self, told: &[OperationRecord]) {
        for id in self.shown.surplus(told) {
            self.waiting.put(Message::clear(&self.topics, id));
        }
    }

    pub(super) fn availability(&self, state: Presence) -> Availability {
        Availability {
            state,
            session: self.settings.session,
            connection: self.number,
        }
    }

    pub(super) fn put_availability(&mut self, state: Presence) {
        let message = Message::availability(&self.topics, &self.availability(state));
        self.waiting.put(message);
    }

    /// State is told over the connection that stands, or else at the next connect.
    pub(super) fn put_state(&mut self, message: Message) {
        if self.connected.is_some() {
            self.waiting.put(message);
        }
    }

    /// Something that this device says of itself came back: our own words, an old will, or a namesake's.
    pub(super) fn look_at(&mut self, publish: &Publish) {
        let topic = String::from_utf8_lossy(&publish.topic);
        if let Some(id) = self.topics.read_operation(&topic) {
            let left_behind = publish.retain && !publish.payload.is_empty();
            if left_behind {
                self.shown.note(&id);
            }
            return;
        }
        if let Some(name) = self.topics.read_workload(&topic) {
            let is_ours = |report: &WorkloadReport| report.name == name;
            let left_behind = publish.retain && !publish.payload.is_empty();
            if left_behind && !self.engine.workloads().iter().any(is_ours) {
                self.put_state(Message::no_workload(&self.topics, &name));
            }
            return;
        }
        if topic != self.topics.availability() || self.connected.is_none() {
            return;
        }
        let ours = self.availability(self.presence);
        if serde_json::from_slice(&publish.payload).is_ok_and(|seen: Availability| seen == ours) {
            return;
        }
        if !self.namesakes.too_many() {
            self.put_availability(self.presence);
        } else if self.namesakes.tell() {
            self.event(
                Level::Error,
                "name-contested",
                "somebody else reports the availability of this device again and again: does another device have the same `device.id`?",
            );
        }
    }

    pub(super) fn acknowledged(&mut self, message: &Message, connection: &Connection) {
        self.appetite.taken(message.payload.len());
        if let Kind::Clear(id) = &message.kind {
            self.shown.cleared(id);
        }
        if !self.shown.swept && self.waiting.is_empty() && connection.is_idle() {
            // The broker sends what it retains before it acknowledges what was published after the subscription.
            self.shown.swept = true;
            self.clear_surplus(&self.engine.records());
            for filter in [self.topics.operations(), self.topics.workloads()] {
                if let Err(error) = connection.unsubscribe(filter) {
                    tracing::debug!("cannot unsubscribe: {error}");
                }
            }
        }
    }
}
