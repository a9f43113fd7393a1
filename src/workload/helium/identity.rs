//! Who the miner is: `miner print_keys`, or the gateway's `key info`.

use serde_json::Value;

/// The names by which the network knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Three words: `fancy-awesome-bobcat`.
    pub animal: Option<String>,
    /// Its public key, in base58.
    pub public_key: Option<String>,
}

/// Longer than any key or name.
const LONGEST: usize = 128;

impl Identity {
    /// Reads Erlang terms, one a line: `{pubkey,"…"}.`
    pub(super) fn of_terms(text: &str) -> Self {
        let value = |key: &str| {
            text.lines().find_map(|line| {
                let rest = line.trim().strip_prefix('{')?.strip_prefix(key)?;
                let quoted = rest.trim_start().strip_prefix(',')?.trim_start();
                let (value, _) = quoted.strip_prefix('"')?.split_once('"')?;
                plain(value)
            })
        };
        Self {
            animal: value("animal_name"),
            public_key: value("pubkey"),
        }
    }

    /// Reads the gateway's JSON: an object with `name` and `key`.
    pub(super) fn of_json(text: &str) -> Self {
        let object: Value = serde_json::from_str(text).unwrap_or_default();
        let value = |key: &str| object.get(key).and_then(Value::as_str).and_then(plain);
        Self {
            animal: value("name"),
            public_key: value("key").or_else(|| value("address")),
        }
    }

    /// Whether both are known.
    pub(super) fn is_complete(&self) -> bool {
        self.animal.is_some() && self.public_key.is_some()
    }

    /// Takes what is newly known; what was known stays.
    pub(super) fn learn(&mut self, new: Self) {
        self.animal = new.animal.or(self.animal.take());
        self.public_key = new.public_key.or(self.public_key.take());
    }
}

/// Names and keys have letters, digits and `-` only.
fn plain(value: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    ((1..=LONGEST).contains(&value.len()) && value.bytes().all(is_plain)).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_eras_say_who_they_are() {
        let known = Identity {
            animal: Some("fancy-awesome-bobcat".to_owned()),
            public_key: Some("112qB3YaH5bZkCnKA5uRH7tBtGNv2Y5B4smv1jsm4jqArqSHHS2a".to_owned()),
        };
        let terms = "{pubkey,\"112qB3YaH5bZkCnKA5uRH7tBtGNv2Y5B4smv1jsm4jqArqSHHS2a\"}.\n{onboarding_key,\"x\"}.\n\
                     {animal_name,\"fancy-awesome-bobcat\"}.\n";
        assert_eq!(Identity::of_terms(terms), known);
        let json = "{\"key\":\"112qB3YaH5bZkCnKA5uRH7tBtGNv2Y5B4smv1jsm4jqArqSHHS2a\",\"name\":\"fancy-awesome-bobcat\",\
                    \"onboarding\":\"x\"}";
        assert_eq!(Identity::of_json(json), known);
    }

    #[test]
    fn what_is_no_name_is_not_taken_and_what_was_known_stays() {
        let mut identity = Identity::of_terms("{pubkey,\"abc\"}.\n{animal_name,\"<script>\"}.\n");
        assert_eq!(identity.public_key.as_deref(), Some("abc"));
        assert!(!identity.is_complete());
        identity.learn(Identity::of_json("Error: no key"));
        assert_eq!(identity.public_key.as_deref(), Some("abc"));
    }
}
