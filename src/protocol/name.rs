//! Names that come from outside and become part of a path or a topic.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

use serde::{Deserialize, Serialize};

use super::Operation;

/// A name that is not of the alphabet, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{shown}` {problem}")]
pub struct BadName {
    what: &'static str,
    shown: String,
    problem: &'static str,
}

/// The name of a workload, a device, a group or a snapshot: 1 to 64 of `a-z A-Z 0-9 . _ -`, not starting with `.` or `-`.
///
/// So it can be a file name and a topic level: it has no `/`, `+`, `#`, space or control character, and is never `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// The id of an operation, chosen by whoever asks; the alphabet of [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OperationId(String);

const LONGEST: usize = 64;

fn check(what: &'static str, text: &str) -> Result<(), BadName> {
    let bad = |problem| {
        // What is shown is bounded and escaped: it ends in logs and records.
        let shown = text
            .chars()
            .take(LONGEST)
            .flat_map(char::escape_default)
            .collect();
        Err(BadName {
            what,
            shown,
            problem,
        })
    };
    if text.is_empty() {
        return bad("is empty");
    }
    if text.len() > LONGEST {
        return bad("is longer than 64 characters");
    }
    if text.starts_with(['.', '-']) {
        return bad("starts with `.` or `-`");
    }
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    {
        return bad("has a character other than a-z, A-Z, 0-9, `.`, `_`, `-`");
    }
    Ok(())
}

macro_rules! checked_string {
    ($Type:ident, $what:literal) => {
        impl $Type {
            /// Checks the alphabet.
            pub fn new(text: impl Into<String>) -> Result<Self, BadName> {
                let text = text.into();
                check($what, &text).map(|()| Self(text))
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $Type {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl From<$Type> for String {
            fn from(name: $Type) -> String {
                name.0
            }
        }

        impl std::str::FromStr for $Type {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl fmt::Display for $Type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_string!(Name, "the name");
checked_string!(OperationId, "the id");

impl OperationId {
    /// An id for a requester who has chosen none: the operation's name and 64 random bits.
    pub fn made_up(operation: Operation) -> Self {
        // The standard library seeds its hashers from the system's randomness: unique is all that an id must be.
        let random = RandomState::new().build_hasher().finish();
        Self(format!("{operation}-{random:016x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_a_directory_or_a_topic_are_refused() {
        for hostile in [
            "",
            "..",
            ".",
            ".hidden",
            "-rf",
            "a/b",
            "../x",
            "a b",
            "a+",
            "#",
            "a\0",
            "ü",
            &"x".repeat(65),
        ] {
            assert!(Name::new(hostile).is_err(), "{hostile:?}");
            assert!(OperationId::new(hostile).is_err(), "{hostile:?}");
        }
        for good in ["miner", "0b1e-5f", "a.b_c-d", &"x".repeat(64)] {
            assert!(Name::new(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn made_up_ids_are_of_the_alphabet_and_differ() {
        let ids: std::collections::BTreeSet<_> = (0..1000)
            .map(|_| OperationId::made_up(Operation::Restart))
            .collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| OperationId::new(id.as_str()).is_ok()));
    }

    #[test]
    fn the_message_shows_the_name_escaped_and_bounded() {
        let message = Name::new(format!("a\n{}", "x".repeat(9999)))
            .unwrap_err()
            .to_string();
        assert!(message.contains("a\\n") && message.len() < 300, "{message}");
    }
}
