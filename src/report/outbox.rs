//! The outbox: telemetry and events that wait for the broker. In memory, bounded, oldest dropped and counted.

use std::collections::VecDeque;

use super::message::{Kind, Message};
use crate::protocol::Dropped;

/// A day of samples, one a minute; less of a host with many sensors, each of whose samples has more than 728 bytes.
const TELEMETRY: Bounds = Bounds {
    messages: 1440,
    bytes: 1024 * 1024,
};

/// Events have room of their own: neither kind can push the other out.
const EVENTS: Bounds = Bounds {
    messages: 512,
    bytes: 256 * 1024,
};

#[derive(Clone, Copy, Debug)]
struct Bounds {
    messages: usize,
    bytes: usize,
}

/// A message, and over which connection it would have gone had it gone at once; 0 while there was none.
#[derive(Debug)]
pub(super) struct Entry {
    pub message: Message,
    pub connection: u64,
}

/// Two bounded queues.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    telemetry: Queue,
    events: Queue,
    /// What was dropped since the agent started.
    pub dropped: Dropped,
}

impl Outbox {
    /// Puts a message at the end and drops the oldest of its kind where there is no room.
    pub fn push(&mut self, message: Message, connection: u64) {
        let (queue, bounds, dropped) = self.queue(&message);
        queue.push_back(Entry {
            message,
            connection,
        });
        *dropped += queue.drop_oldest(bounds);
    }

    /// Puts back what was on its way when the connection was lost; to be called with the youngest first.
    pub fn put_back(&mut self, entry: Entry) {
        let (queue, bounds, dropped) = self.queue(&entry.message);
        queue.push_front(entry);
        *dropped += queue.drop_oldest(bounds);
    }

    /// Takes the oldest event, or else the oldest sample, to be sent over this connection.
    ///
    /// It is not dropped before its PUBACK: a connection that is lost gives it [back](Self::put_back), so that a
    /// message may arrive twice, with the same number, and is never lost.
    pub fn next(&mut self, connection: u64) -> Option<Entry> {
        let mut entry = self.events.pop().or_else(|| self.telemetry.pop())?;
        if entry.message.kind == Kind::Telemetry && entry.connection != connection {
            entry.message.mark_historical();
        }
        Some(entry)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.telemetry.entries.len() + self.events.entries.len()
    }

    fn queue(&mut self, message: &Message) -> (&mut Queue, Bounds, &mut u64) {
        match message.kind {
            Kind::Telemetry => (&mut self.telemetry, TELEMETRY, &mut self.dropped.telemetry),
            _ => (&mut self.events, EVENTS, &mut self.dropped.events),
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Queue {
    fn push_back(&mut self, entry: Entry) {
        self.bytes += size(&entry);
        self.entries.push_back(entry);
    }

    fn push_front(&mut self, entry: Entry) {
        self.bytes += size(&entry);
        self.entries.push_front(entry);
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.bytes -= size(&entry);
        Some(entry)
    }

    fn drop_oldest(&mut self, bounds: Bounds) -> u64 {
        let mut dropped = 0;
        while self.entries.len() > bounds.messages || self.bytes > bounds.bytes {
            if self.pop().is_none() {
                break;
            }
            dropped += 1;
        }
        dropped
    }
}

fn size(entry: &Entry) -> usize {
    entry.message.topic.len() + entry.message.payload.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::protocol::{Name, Telemetry, Topics};

    fn sample(sequence: u64) -> Message {
        let topics = Topics::new("ostler", Name::new("attic").unwrap());
        let telemetry = Telemetry {
            session: 1,
            sequence,
            at: Timestamp::now(),
            historical: false,
            dropped: Dropped::default(),
            refused: 0,
            sample: Default::default(),
        };
        Message::telemetry(&topics, &telemetry)
    }

    fn event(bytes: usize) -> Message {
        Message {
            topic: "e".to_owned(),
            payload: vec![b'x'; bytes],
            kind: Kind::Event,
        }
    }

    fn read(entry: &Entry) -> Telemetry {
        serde_json::from_slice(&entry.message.payload).unwrap()
    }

    #[test]
    fn the_oldest_samples_are_dropped_and_counted() {
        let mut outbox = Outbox::default();
        for sequence in 1..=1450 {
            outbox.push(sample(sequence), 0);
        }
        assert_eq!((outbox.len(), outbox.dropped.telemetry), (1440, 10));
        assert_eq!(read(&outbox.next(1).unwrap()).sequence, 11);
        assert_eq!(outbox.dropped.events, 0);
    }

    #[test]
    fn large_events_are_bounded_by_their_bytes_and_do_not_touch_the_samples() {
        let mut outbox = Outbox::default();
        outbox.push(sample(1), 0);
        for _ in 0..20 {
            outbox.push(event(64 * 1024), 0);
        }
        assert_eq!(
            (outbox.events.entries.len(), outbox.dropped.events),
            (3, 17)
        );
        assert!(outbox.events.bytes <= EVENTS.bytes);
        assert_eq!(outbox.dropped.telemetry, 0);
        // A message larger than the whole room is dropped too, with all that was older.
        outbox.push(event(EVENTS.bytes), 0);
        assert_eq!((outbox.events.bytes, outbox.dropped.events), (0, 21));
    }

    #[test]
    fn only_what_waited_for_another_connection_is_historical() {
        let mut outbox = Outbox::default();
        outbox.push(sample(1), 0);
        outbox.push(sample(2), 1);
        outbox.push(sample(3), 2);
        let historical: Vec<_> = std::iter::from_fn(|| outbox.next(2))
            .map(|entry| read(&entry))
            .map(|telemetry| (telemetry.sequence, telemetry.historical))
            .collect();
        assert_eq!(historical, [(1, true), (2, true), (3, false)]);
    }

    #[test]
    fn what_was_on_its_way_comes_first_again() {
        let mut outbox = Outbox::default();
        (1..=3).for_each(|sequence| outbox.push(sample(sequence), 1));
        let on_their_way = [outbox.next(1).unwrap(), outbox.next(1).unwrap()];
        on_their_way
            .into_iter()
            .rev()
            .for_each(|entry| outbox.put_back(entry));
        let order: Vec<_> = std::iter::from_fn(|| outbox.next(1))
            .map(|entry| read(&entry).sequence)
            .collect();
        assert_eq!(order, [1, 2, 3]);
        assert_eq!(outbox.telemetry.bytes, 0);
    }
}
