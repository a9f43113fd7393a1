//! What never becomes part of a snapshot: keys and signing state.
//!
//! A validator that is restored with an old signing state signs twice and is slashed, and a key in a bucket is a key
//! that others have. So they are left out by name, and a restore keeps those that are there.

use super::error::Error;
use super::path::RelativePath;

/// Names that hold keys or signing state in the nodes that we know. `*` stands for any characters of one name.
pub const DEFAULT: &[&str] = &[
    // Harmony: BLS keys, wallet, p2p key.
    "*.key",
    "*.pass",
    ".hmy",
    ".hmykey",
    "blskeys",
    "blspass",
    // Helium.
    "swarm_key",
    "gateway_key.bin",
    // Tendermint, CometBFT, Cosmos.
    "priv_validator_key.json",
    "priv_validator_state.json",
    "priv_validator.json",
    "node_key.json",
    "keyring-*",
    // Ethereum and its kin.
    "nodekey",
    "nodekey-*",
    "keystore",
    "jwtsecret",
    "jwt.hex",
    "slashing_protection*",
    // Substrate.
    "secret_ed25519",
    "network/secret_*",
    // Anything else that is named as a secret.
    "*.pem",
    "id_rsa",
    "id_ed25519",
    "wallet.dat",
];

/// A list of patterns. One without a slash is held against every component of a path, one with a slash against the
/// whole path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclude {
    patterns: Vec<String>,
}

impl Default for Exclude {
    fn default() -> Self {
        Self {
            patterns: DEFAULT
                .iter()
                .map(|pattern| (*pattern).to_owned())
                .collect(),
        }
    }
}

impl Exclude {
    /// The default list and `more`.
    pub fn with(more: &[String]) -> Result<Self, Error> {
        let mut exclude = Self::default();
        for pattern in more {
            if pattern.is_empty()
                || pattern.starts_with('/')
                || pattern.split('/').any(|part| part == "*")
            {
                return Err(Error::BadName {
                    what: "exclusion pattern",
                    shown: pattern.clone(),
                    problem: "it is empty, absolute, or would exclude everything",
                });
            }
            exclude.patterns.push(pattern.clone());
        }
        Ok(exclude)
    }

    /// Whether `path` is left out. Asked from the top down: a directory that matches takes all in it with it.
    pub fn matches(&self, path: &RelativePath) -> bool {
        self.patterns.iter().any(|pattern| {
            if pattern.contains('/') {
                matches(pattern.as_bytes(), path.as_str().as_bytes())
            } else {
                matches(pattern.as_bytes(), path.name().as_bytes())
            }
        })
    }
}

/// `*` matches any characters but a slash.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last star did not fit.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            retry = Some((p + 1, t));
            p += 1;
        } else if p < pattern.len() && pattern[p] == text[t] {
            p += 1;
            t += 1;
        } else if let Some((after, from)) = retry.filter(|(_, from)| text[*from] != b'/') {
            retry = Some((after, from + 1));
            p = after;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(path: &str) -> bool {
        Exclude::default().matches(&path.parse().unwrap())
    }

    #[test]
    fn keys_and_signing_state_are_left_out_and_databases_are_not() {
        for path in [
            "swarm_key",
            "miner/swarm_key",
            "data/priv_validator_state.json",
            ".hmy",
            "a/b/0123abcd.key",
            "keyring-file",
            "chains/main/network/secret_ed25519",
        ] {
            assert!(excluded(path), "{path}");
        }
        for path in [
            "harmony_db_0",
            "harmony_db_0/000012.ldb",
            "harmony_db_0/MANIFEST-000001",
            "state.db",
            "keys.txt",
        ] {
            assert!(!excluded(path), "{path}");
        }
    }

    #[test]
    fn a_pattern_with_a_slash_is_about_the_whole_path() {
        let exclude = Exclude::with(&["logs/*.txt".to_owned()]).unwrap();
        assert!(exclude.matches(&"logs/a.txt".parse().unwrap()));
        assert!(!exclude.matches(&"logs/deep/a.txt".parse().unwrap()));
        assert!(!exclude.matches(&"other/logs/a.txt".parse().unwrap()));
    }

    #[test]
    fn a_pattern_for_everything_is_refused() {
        for pattern in ["", "*", "/etc", "a/*"] {
            assert!(Exclude::with(&[pattern.to_owned()]).is_err(), "{pattern:?}");
        }
    }
}
