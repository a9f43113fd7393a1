//! `ostler.toml`: typed, validated, every key documented where it is declared.
//!
//! Without a file, [`Config::default`] is complete. The reference page and the sample come from the same
//! declarations as the types: see [`reference`].

mod bobcat;
mod broker;
mod bucket;
mod changes;
mod commands;
mod cron;
mod device;
mod document;
mod error;
mod harmony;
mod helium;
mod http;
mod mqtt;
mod pm2;
mod ptn;
mod read;
pub mod reference;
mod schedule;
mod seconds;
pub mod secret;
mod section;
mod snapshot;
mod workload;
mod written;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use bobcat::Bobcat;
pub use broker::BrokerUrl;
pub use bucket::{Bucket, Layout};
pub use changes::Changes;
pub use commands::Commands;
pub use cron::Cron;
pub use device::{Device, Telemetry};
use document::Document;
pub use error::{Error, Problem};
use error::{Noted, Problems};
pub use harmony::Harmony;
pub use helium::Helium;
pub use http::Http;
pub use mqtt::{Mqtt, RootTopic};
pub use pm2::Pm2;
pub use ptn::Ptn;
pub use schedule::Schedule;
pub use seconds::Seconds;
use section::section;
pub use snapshot::{Snapshot, Way};
pub use workload::{Docker, Kind, Runtime, Systemd, Workload};

/// Where the configuration is looked for when nobody names a file.
pub const DEFAULT_PATH: &str = "/etc/ostler/ostler.toml";

/// The environment variable that names another file.
pub const ENVIRONMENT: &str = "OSTLER_CONFIG";

/// Many times what 32 workloads need.
const MOST_BYTES: u64 = 1024 * 1024;

section! {
    /// The whole file: these keys first, then the tables.
    default Config {
        /// Where the agent keeps what must survive a power cut: the journal of operations and its session number.
        state_dir: PathBuf = PathBuf::from("/var/lib/ostler");
        /// Who this device is.
        device: Device = Device::default();
        /// The broker.
        mqtt: Option<Mqtt> = None;
        /// Whose commands are taken from the broker.
        commands: Commands = Commands::default();
        /// Samples of the host.
        telemetry: Telemetry = Telemetry::default();
        /// The local API and the page.
        http: Http = Http::default();
        /// The API of the stock Bobcat device.
        bobcat: Bobcat = Bobcat::default();
        /// What the agent looks after.
        workload: Vec<Workload> = Vec::new();
    }
}

impl Config {
    /// Reads the file that `--config` or `OSTLER_CONFIG` names, or the one at [`DEFAULT_PATH`].
    ///
    /// # Errors
    /// Where the file cannot be read or is wrong. That there is none is an error only where it was named.
    pub fn load(named: Option<&Path>) -> Result<Self, Error> {
        let file = named.unwrap_or(Path::new(DEFAULT_PATH));
        match read_text(file) {
            Ok(text) => Self::parse(&text, file),
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(source) => Err(Error::Unreadable {
                file: file.to_owned(),
                source,
            }),
        }
    }

    /// Reads and checks a text; `file` is where it comes from, for the messages.
    ///
    /// # Errors
    /// All that is wrong, with line and key; of the syntax only what comes first. What has to hold between the keys is looked
    /// at where each of them can be read.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Error> {
        let wrong = |problems| Error::Wrong {
            file: file.to_owned(),
            problems,
        };
        let document = Document::parse(text).map_err(|problem| wrong(vec![problem]))?;
        let mut found = Problems::default();
        let config = Self::of(&document.table(), &mut found);
        found.0.sort_by_key(|noted| noted.at);
        if let Some(config) = &config {
            config.check(&mut found);
        }
        let problems: Vec<_> = found
            .0
            .into_iter()
            .map(|Noted { key, what, at }| Problem {
                line: match at {
                    Some(at) => Some(document.line_of(at)),
                    None => document.line(&key),
                },
                key,
                what,
            })
            .collect();
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(wrong(problems)),
        }
    }

    /// Reads every file that is named, and says which cannot be read.
    pub fn check_files(&self) -> Vec<Problem> {
        let mqtt = self.mqtt.iter().flat_map(Mqtt::files);
        let http = self.http.token_file.iter();
        let bobcat = self.bobcat.password_file.iter();
        let keys = self.commands.trusted_keys.iter();
        let rclone = self
            .workload
            .iter()
            .enumerate()
            .filter_map(|(at, workload)| {
                let file = workload.bucket.as_ref()?.config_file.as_ref()?;
                Some((format!("workload[{at}].bucket.config-file"), file))
            });
        mqtt.map(|(key, file)| (format!("mqtt.{key}"), file))
            .chain(keys.map(|file| ("commands.trusted-keys".to_owned(), file)))
            .chain(http.map(|file| ("http.token-file".to_owned(), file)))
            .chain(bobcat.map(|file| ("bobcat.password-file".to_owned(), file)))
            .chain(rclone)
            .filter_map(|(key, file)| {
                let public = ["mqtt.ca-file", "mqtt.cert-file", "commands.trusted-keys"]
                    .contains(&key.as_str());
                let read = if public {
                    secret::read_public(file).map(drop)
                } else {
                    secret::read(file).map(drop)
                };
                let what = read.err()?.to_string();
                Some(Problem {
                    line: None,
                    key,
                    what,
                })
            })
            .collect()
    }

    /// The whole configuration as it holds, defaults included, as TOML. It names the files of secrets, not the secrets.
    pub fn to_toml(&self) -> String {
        written::document(&serde_json::to_value(self).unwrap_or_default())
    }

    fn check(&self, problems: &mut Problems) {
        check_absolute("state-dir", &self.state_dir, problems);
        if let Some(mqtt) = &self.mqtt {
            mqtt.check(problems);
        }
        self.commands.check(problems);
        self.http.check(problems);
        self.bobcat.check(&self.workload, problems);
        workload::check_all(&self.workload, problems);
    }
}

fn check_absolute(key: &str, path: &Path, problems: &mut Problems) {
    let climbs = path
        .components()
        .any(|part| part == std::path::Component::ParentDir);
    if !path.is_absolute() || climbs {
        problems.add(
            key,
            format!("`{}` must be an absolute path without `..`", path.display()),
        );
    }
}

fn read_text(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?
        .take(MOST_BYTES + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is larger than 1 MiB",
        ));
    }
    Ok(text)
}
