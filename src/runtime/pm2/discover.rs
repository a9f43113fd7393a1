//! Finding the validator where nothing is configured.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use nix::unistd::{Uid, User};
use serde::{Deserialize, Serialize};

use super::house::House;
use super::list::Entry;
use super::{App, Error};
use crate::looks::Looks;
use crate::protocol::Name;

/// What the validator's own instructions call its updater.
const UPDATER: &str = "sn8";

/// What the updater calls the validator; after the subnet's new name, or before.
const VALIDATORS: [&str; 2] = ["vanta", "ptn"];

/// Whoever gives a process such a title chooses where is looked: all of these looks cost one thread at most.
static LOOKS: LazyLock<Looks> = LazyLock::new(Looks::new);

/// A daemon's title: `PM2 v7.0.4: God Daemon (/home/taoshi/.pm2)`.
const TITLE: &str = ": God Daemon (";

/// A validator in a PM2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Found {
    /// Whose PM2 it is.
    pub user: Name,
    /// Where that PM2 lives.
    pub pm2_home: PathBuf,
    /// The updater, then what it starts.
    pub apps: Vec<App>,
    /// Where the validator's program and its state are.
    pub directory: PathBuf,
}

/// The validators in the PM2 daemons that run on this host, except in those that live in a place that is `known`.
///
/// # Errors
/// Where no daemon could be asked; those of users that the agent may not act for are passed over.
pub async fn discover(known: &[PathBuf]) -> Result<Vec<Found>, Error> {
    let (mut found, mut failed) = (Vec::new(), None);
    for (user, pm2_home) in daemons() {
        if known.contains(&pm2_home) {
            continue;
        }
        let house = match House::find(user.as_str(), Some(&pm2_home), None, LOOKS.clone()) {
            Ok(house) => house,
            Err(error) => {
                tracing::debug!("{error}");
                continue;
            }
        };
        let validator = async |house: House| {
            let entries = house.list().await?;
            house
                .look(move |house| validator(user, house, &entries))
                .await
        };
        match validator(house).await {
            Ok(validator) => found.extend(validator),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

fn validator(user: Name, house: &House, entries: &[Entry]) -> Option<Found> {
    let updater = entries.iter().find(|entry| entry.name == UPDATER)?;
    let directory = updater.script.as_ref()?.parent()?.to_owned();
    // Whoever may write its title can name any place; the agent, as root, is to look only at that user's own.
    let owner = fs::metadata(&directory).ok()?.uid();
    if owner != house.account.uid.as_raw() {
        return None;
    }
    let is_there = |name: &str| entries.iter().any(|entry| entry.name == name);
    let validator = VALIDATORS.into_iter().find(|name| is_there(name));
    let apps = [UPDATER, validator.unwrap_or(VALIDATORS[1])];
    Some(Found {
        user,
        pm2_home: house.pm2_home.clone(),
        apps: apps.iter().filter_map(|app| App::new(app).ok()).collect(),
        directory,
    })
}

/// Every daemon that runs, by its title: whose it is, and its home.
fn daemons() -> Vec<(Name, PathBuf)> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found: Vec<_> = processes
        .filter_map(|process| {
            process.file_name().to_str()?.parse::<u32>().ok()?;
            let title = fs::read(process.path().join("cmdline")).ok()?;
            let home = home_in(&title)?;
            let owner = Uid::from_raw(process.metadata().ok()?.uid());
            let user = User::from_uid(owner).ok()??;
            Some((Name::new(user.name).ok()?, home))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn home_in(title: &[u8]) -> Option<PathBuf> {
    let title = title.split(|byte| *byte == 0).next()?;
    let title = std::str::from_utf8(title).ok()?;
    if !title.starts_with("PM2 v") {
        return None;
    }
    let (_, rest) = title.split_once(TITLE)?;
    let home = Path::new(rest.trim_end().strip_suffix(')')?);
    home.is_absolute().then(|| home.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_tells_its_home_by_its_title() {
        for (title, home) in [
            (
                "PM2 v7.0.4: God Daemon (/root/.pm2)    \0x",
                Some("/root/.pm2"),
            ),
            (
                "PM2 v5.1.0: God Daemon (/home/a (b)/.pm2)",
                Some("/home/a (b)/.pm2"),
            ),
            ("node /usr/bin/pm2: God Daemon (/x)", None),
            ("PM2 v7: God Daemon (relative)", None),
            ("PM2 v7: God Daemon (/cut", None),
            ("", None),
        ] {
            assert_eq!(
                home_in(title.as_bytes()),
                home.map(PathBuf::from),
                "{title}"
            );
        }
    }
}
