//! `[mqtt]`: the broker.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::broker::BrokerUrl;
use super::error::Problems;
use super::seconds::Seconds;
use super::secret;
use super::section::section;

section! {
    /// The broker to report to and to take commands from. Without this table the device speaks to none.
    Mqtt {
        /// Where the broker is: `mqtt://host[:port]`, or `mqtts://host[:port]` with TLS. The ports are 1883 and 8883 by default.
        url: BrokerUrl, example = "mqtts://broker.example";
        /// The client identifier; two devices must not have the same. Left out, it is `ostler-` and the device's id.
        client_id: Option<String> = None, example = "attic";
        /// The user to connect as.
        username: Option<String> = None, example = "attic";
        /// A file that holds the user's password and that only its owner and group can read. A name without `/` is a systemd credential.
        password_file: Option<PathBuf> = None, example = "/etc/ostler/mqtt-password";
        /// The certificates (PEM) of the authorities that may vouch for the broker. Left out, those that the system trusts. A name without `/` is a systemd credential.
        ca_file: Option<PathBuf> = None, example = "/etc/ostler/ca.pem";
        /// The client certificate (PEM) to show to the broker; goes with `key-file`. A name without `/` is a systemd credential.
        cert_file: Option<PathBuf> = None, example = "/etc/ostler/device.pem";
        /// The key (PEM) of the client certificate, that only its owner and group can read. A name without `/` is a systemd credential.
        key_file: Option<PathBuf> = None, example = "/etc/ostler/device.key";
        /// Seconds without traffic after which a ping is sent, from 5 to 1200.
        keep_alive: Seconds<5, 1200> = Seconds::of(30);
        /// The longest pause, in seconds from 1 to 3600, between two attempts to connect: they grow from one second, each cut short at random.
        longest_pause: Seconds<1, 3600> = Seconds::of(60);
        /// The first levels of every topic.
        root_topic: RootTopic = RootTopic::default();
    }
}

impl Mqtt {
    pub(super) fn check(&self, problems: &mut Problems) {
        for (key, file) in self.files() {
            secret::check_path(&format!("mqtt.{key}"), file, problems);
        }
        if self.password_file.is_some() && self.username.is_none() {
            problems.add(
                "mqtt.password-file",
                "a password goes with a user: set `username` too",
            );
        }
        match (&self.cert_file, &self.key_file) {
            (Some(_), None) => problems.add(
                "mqtt.cert-file",
                "a certificate goes with its key: set `key-file` too",
            ),
            (None, Some(_)) => problems.add(
                "mqtt.key-file",
                "a key goes with its certificate: set `cert-file` too",
            ),
            _ => {}
        }
        if !self.url.tls {
            for (key, file) in [("ca-file", &self.ca_file), ("cert-file", &self.cert_file)] {
                if file.is_some() {
                    problems.add(
                        format!("mqtt.{key}"),
                        "certificates are of use with TLS only: write the url as `mqtts://`",
                    );
                }
            }
        }
        for (key, text) in [("client-id", &self.client_id), ("username", &self.username)] {
            if text.as_deref().is_some_and(|text| !is_plain(text)) {
                problems.add(
                    format!("mqtt.{key}"),
                    "must have 1 to 256 bytes and no control characters",
                );
            }
        }
    }

    /// The files that are named, by key.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        [
            ("password-file", &self.password_file),
            ("ca-file", &self.ca_file),
            ("cert-file", &self.cert_file),
            ("key-file", &self.key_file),
        ]
        .into_iter()
        .filter_map(|(key, file)| Some((key, file.as_ref()?)))
    }
}

fn is_plain(text: &str) -> bool {
    (1..=256).contains(&text.len()) && !text.contains(char::is_control)
}

/// One or more topic levels, without wildcards: `ostler`, `site/ostler`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RootTopic(String);

impl RootTopic {
    /// The topic.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for RootTopic {
    fn default() -> Self {
        Self("ostler".to_owned())
    }
}

impl TryFrom<String> for RootTopic {
    type Error = String;

    fn try_from(topic: String) -> Result<Self, String> {
        let wrong = if topic.is_empty() || topic.split('/').any(str::is_empty) {
            "has an empty level"
        } else if topic.len() > 256 {
            "is longer than 256 bytes"
        } else if topic.contains(['+', '#']) {
            "has a wildcard"
        } else if topic.starts_with('$') {
            "starts with `$`, which belongs to the broker"
        } else if topic.contains(char::is_control) {
            "has a control character"
        } else {
            return Ok(Self(topic));
        };
        Err(format!("the topic `{}` {wrong}", topic.escape_default()))
    }
}

impl From<RootTopic> for String {
    fn from(topic: RootTopic) -> String {
        topic.0
    }
}
