//! How large a message the broker takes, as far as it can be known.
//!
//! MQTT 3.1.1 has no way to tell: a broker that finds a message too large closes the connection, and would
//! do so again each time the message is sent again. So a message that was the largest one on its way when
//! three connections in a row were lost is believed to be the reason.

/// No message is larger than this, whatever the broker would take.
pub(super) const MOST: usize = 256 * 1024;

/// No broker refuses a message of this size.
const SURELY_TAKEN: usize = 4 * 1024;

const PROOFS: u8 = 3;

/// What is known of the broker's appetite.
#[derive(Debug)]
pub(super) struct Appetite {
    most: usize,
    suspect: usize,
    proofs: u8,
}

impl Default for Appetite {
    fn default() -> Self {
        Self {
            most: MOST,
            suspect: 0,
            proofs: 0,
        }
    }
}

impl Appetite {
    /// Whether a payload of this size may be sent.
    pub fn takes(&self, bytes: usize) -> bool {
        bytes <= self.most
    }

    /// The broker has taken a payload of this size.
    pub fn taken(&mut self, bytes: usize) {
        if bytes >= self.suspect {
            self.proofs = 0;
        }
    }

    /// The connection was lost while `largest` was on its way. Says so where that proves the limit.
    pub fn lost(&mut self, largest: Option<usize>) -> bool {
        let Some(largest) = largest.filter(|bytes| *bytes > SURELY_TAKEN) else {
            return false;
        };
        if largest != self.suspect {
            (self.suspect, self.proofs) = (largest, 0);
        }
        self.proofs += 1;
        if self.proofs < PROOFS {
            return false;
        }
        self.most = self.most.min(largest - 1);
        self.proofs = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_goes_down_with_three_connections_is_not_sent_again() {
        let mut appetite = Appetite::default();
        for proven in [false, false, true] {
            assert!(appetite.takes(9000));
            assert_eq!(appetite.lost(Some(9000)), proven);
        }
        assert!(!appetite.takes(9000) && appetite.takes(8999));
    }

    #[test]
    fn neither_small_messages_nor_such_as_were_taken_are_suspected() {
        let mut appetite = Appetite::default();
        for _ in 0..5 {
            assert!(!appetite.lost(Some(SURELY_TAKEN)) && !appetite.lost(None));
            assert!(!appetite.lost(Some(9000)));
            appetite.taken(9000);
        }
        assert!(appetite.takes(MOST) && !appetite.takes(MOST + 1));
    }
}
