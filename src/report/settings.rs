//! What the reporter has to know of the broker and of this device.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::{self, BrokerUrl};
use crate::protocol::{Name, Topics};

/// The broker, and who this device is to it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the broker is.
    pub broker: BrokerUrl,
    /// The client identifier; the broker keeps commands for it while the device is away.
    pub client_id: String,
    /// The user to connect as.
    pub username: Option<String>,
    /// Holds the user's password.
    pub password_file: Option<PathBuf>,
    /// Who may vouch for the broker; without it, those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The client certificate, and
    pub cert_file: Option<PathBuf>,
    /// its key.
    pub key_file: Option<PathBuf>,
    /// After so long without traffic a ping is sent; a publish without its PUBACK for as long ends the connection.
    pub keep_alive: Duration,
    /// The longest pause between two attempts to connect.
    pub longest_pause: Duration,
    /// The first levels of every topic.
    pub root: String,
    /// Names the device in topics.
    pub device: Name,
    /// The groups whose commands the device takes.
    pub groups: Vec<Name>,
    /// The number of this run of the agent.
    pub session: u64,
}

impl Settings {
    /// What the configuration says, for this device and this run of the agent.
    pub fn new(mqtt: &config::Mqtt, device: Name, groups: Vec<Name>, session: u64) -> Self {
        let default_id = || format!("ostler-{device}");
        Self {
            broker: mqtt.url.clone(),
            client_id: mqtt.client_id.clone().unwrap_or_else(default_id),
            username: mqtt.username.clone(),
            password_file: mqtt.password_file.clone(),
            ca_file: mqtt.ca_file.clone(),
            cert_file: mqtt.cert_file.clone(),
            key_file: mqtt.key_file.clone(),
            keep_alive: mqtt.keep_alive.into(),
            longest_pause: mqtt.longest_pause.into(),
            root: mqtt.root_topic.as_str().to_owned(),
            device,
            groups,
            session,
        }
    }

    pub(super) fn topics(&self) -> Topics {
        Topics::new(self.root.clone(), self.device.clone())
    }
}
