//! The name of a unit.

use std::fmt;

use serde::{Deserialize, Serialize};

/// systemd's own limit (`UNIT_NAME_MAX`).
const LONGEST: usize = 255;

const SUFFIX: &str = ".service";

/// The name of a service: `harmony.service`, `node@1.service`, `a\x2db.service`.
///
/// It becomes an argument of `systemctl` and part of a file name, so it never begins with `-` or `.` and has no `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitName(String);

/// No service can have such a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the unit `{shown}` {problem}")]
pub struct BadUnitName {
    shown: String,
    problem: &'static str,
}

impl UnitName {
    /// Checks the alphabet, which is systemd's own.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn new(name: impl Into<String>) -> Result<Self, BadUnitName> {
        let name = name.into();
        match problem(&name) {
            None => Ok(Self(name)),
            Some(problem) => Err(BadUnitName {
                // Bounded and escaped: it ends in logs.
                shown: name
                    .chars()
                    .take(64)
                    .flat_map(char::escape_default)
                    .collect(),
                problem,
            }),
        }
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without `.service`.
    pub fn stem(&self) -> &str {
        self.0.strip_suffix(SUFFIX).unwrap_or(&self.0)
    }
}

fn problem(name: &str) -> Option<&'static str> {
    let Some(stem) = name.strip_suffix(SUFFIX) else {
        return Some("does not end in `.service`");
    };
    if name.len() > LONGEST {
        return Some("is longer than 255 characters");
    }
    if stem.is_empty() || stem.starts_with(['-', '.', '@']) {
        return Some("does not begin with a letter, a digit, `_` or `:`");
    }
    if stem.ends_with('@') {
        return Some("is a template: write an instance, such as `node@1.service`");
    }
    if !stem
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b":_-.@\\".contains(&byte))
    {
        return Some(
            "has a character other than a-z, A-Z, 0-9, `:`, `_`, `-`, `.`, `@` and `\\xNN`",
        );
    }
    let escaped = |rest: &str| {
        let digits = rest.strip_prefix('x').and_then(|rest| rest.get(..2));
        digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    if !stem.split('\\').skip(1).all(escaped) {
        return Some("has a `\\` that is not part of an escape such as `\\x2d`");
    }
    None
}

impl TryFrom<String> for UnitName {
    type Error = BadUnitName;
    fn try_from(name: String) -> Result<Self, BadUnitName> {
        Self::new(name)
    }
}

impl From<UnitName> for String {
    fn from(name: UnitName) -> String {
        name.0
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_services_are_taken() {
        for good in [
            "harmony.service",
            "node@1.service",
            r"a\x2db.service",
            "a:b_c.d-e.service",
        ] {
            assert_eq!(UnitName::new(good).unwrap().as_str(), good);
        }
        for hostile in [
            "",
            "harmony",
            ".service",
            "harmony.timer",
            "-H.service",
            ".hidden.service",
            "../x.service",
            "a/b.service",
            "a b.service",
            "a\n.service",
            "a%i.service",
            "a*.service",
            "ü.service",
            "node@.service",
            "@1.service",
            r"a\b.service",
            r"a\x2.service",
            &format!("{}.service", "x".repeat(248)),
        ] {
            assert!(UnitName::new(hostile).is_err(), "{hostile:?}");
        }
    }

    #[test]
    fn the_message_says_what_to_write() {
        let message = UnitName::new("node@.service").unwrap_err().to_string();
        assert!(message.contains("`node@1.service`"), "{message}");
    }
}
