//! State that waits to be sent over the connection that stands.

use std::collections::VecDeque;

use super::message::Message;

/// Messages in their order; a newer one for the same topic takes the place of the older, so there are never
/// more than there are topics: the workloads, the records that the engine keeps, and two.
#[derive(Debug, Default)]
pub(super) struct Waiting(VecDeque<Message>);

impl Waiting {
    pub fn put(&mut self, message: Message) {
        match self.0.iter_mut().find(|old| old.topic == message.topic) {
            Some(old) => *old = message,
            None => self.0.push_back(message),
        }
    }

    pub fn next(&mut self) -> Option<Message> {
        self.0.pop_front()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something for this topic is among it.
    pub fn holds(&self, topic: &str) -> bool {
        self.0.iter().any(|message| message.topic == topic)
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::message::Kind;

    #[test]
    fn a_newer_message_takes_the_place_of_the_older_for_its_topic() {
        let mut waiting = Waiting::default();
        let message = |topic: &str, payload: &[u8]| Message {
            topic: topic.to_owned(),
            payload: payload.to_vec(),
            kind: Kind::State,
        };
        for (topic, payload) in [("a", b"1"), ("b", b"2"), ("a", b"3")] {
            waiting.put(message(topic, payload));
        }
        assert_eq!(waiting.next(), Some(message("a", b"3")));
        assert_eq!(waiting.next(), Some(message("b", b"2")));
        assert!(waiting.is_empty());
    }
}
