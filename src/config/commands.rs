//! `[commands]`: whose commands are taken from the broker.

use std::path::PathBuf;

use super::error::Problems;
use super::secret;
use super::section::section;

section! {
    /// Whose commands are taken from the broker.
    default Commands {
        /// Files with the Ed25519 public keys (PEM) whose signed commands are taken over MQTT. Where one is named, a command that none of them has signed is refused, so that a broker that was taken over can ask for nothing. A name without `/` is a systemd credential.
        trusted_keys: Vec<PathBuf> = Vec::new(), example = ["/etc/ostler/operator.pem"];
    }
}

/// More keys than that are a mistake.
const MOST: usize = 16;

impl Commands {
    pub(super) fn check(&self, problems: &mut Problems) {
        if self.trusted_keys.len() > MOST {
            problems.add(
                "commands.trusted-keys",
                format!("at most {MOST} keys, not {}", self.trusted_keys.len()),
            );
        }
        for file in &self.trusted_keys {
            secret::check_path("commands.trusted-keys", file, problems);
        }
    }
}
