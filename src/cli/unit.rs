//! `ostler config unit`: what a configuration needs of the systemd unit beyond what the unit has, and what it does not need, as a drop-in.
//!
//! The unit as it is installed can write its own directories only. A generator of the package's asks for this at every boot and at every
//! `systemctl daemon-reload`, so that nobody has to remember it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use nix::unistd::User;

use super::homes;
use crate::config::{Config, Runtime, Workload};

/// Below this, ports are for those who may bind them: `net.ipv4.ip_unprivileged_port_start`, as it is unless somebody changes it.
const PRIVILEGED: u16 = 1024;

/// The unit's own, by `StateDirectory=` and `RuntimeDirectory=`.
const OWN: [&str; 2] = ["/var/lib/ostler", "/run/ostler"];

const ROOTS_PM2: &str = "/root/.pm2";

/// What is needed.
#[derive(Debug, Default, PartialEq)]
struct Needs {
    /// Directories that must be writable, each one mount with everything in it.
    directories: BTreeSet<PathBuf>,
    /// No directory below the root holds both some data and its snapshots: then the tree must stay in one piece.
    whole_tree: bool,
    /// A port below [`PRIVILEGED`].
    low_port: bool,
    /// Data of which snapshots are taken: they are read in the idle I/O class, and the call for that is one of those that the unit refuses.
    idle_class: bool,
    /// Nothing of it lies in a home.
    no_homes: bool,
    /// A PM2: its program runs as its user and makes its code while it runs, and its apps are known by what belongs to others.
    pm2: bool,
    /// It is root's, whose apps may be anybody's. Those of others are ended as their user.
    pm2_of_root: bool,
}

/// The directories that the agent has to write beyond its own.
pub(super) fn directories(config: &Config) -> BTreeSet<PathBuf> {
    Needs::of(config).directories
}

/// The drop-in; a comment alone where nothing is needed.
pub(super) fn drop_in(config: &Config) -> String {
    Needs::of(config).to_string()
}

impl Needs {
    fn of(config: &Config) -> Self {
        let mut needs = Self::default();
        needs.write(&config.state_dir);
        if let Some(directory) = config.http.socket.parent() {
            needs.write(directory);
        }
        let mut listens = config.http.listen.iter().chain(&config.bobcat.listen);
        needs.low_port = listens.any(|at| at.port() < PRIVILEGED);
        for workload in &config.workload {
            needs.add(workload);
        }
        needs.no_homes = !homes::needed(config);
        if config.workload.is_empty() {
            // Then the agent looks for one.
            needs.pm2_of_root = Path::new(ROOTS_PM2).is_dir();
            pm2_homes().iter().for_each(|home| needs.add_pm2(home));
        }
        needs
    }

    fn add_pm2(&mut self, pm2_home: &Path) {
        self.pm2 = true;
        // It writes its own log there.
        self.write(pm2_home);
    }

    fn add(&mut self, workload: &Workload) {
        if let Some(data) = &workload.data_dir {
            self.idle_class = true;
            // A link may lead elsewhere. What is not there yet is taken as it is written.
            let data = data.canonicalize().unwrap_or_else(|_| data.clone());
            // A directory that is a mount itself cannot be exchanged, so it is the one around it; and what lies in two mounts cannot be
            // linked, so data and snapshots share one.
            let around = data.parent();
            let store = workload.snapshot.store.as_deref().and_then(Path::parent);
            match common(around, store.or(around)) {
                Some(both) => self.write(&both),
                None => self.whole_tree = true,
            }
        }
        if let Some(ptn) = &workload.ptn {
            self.write(&ptn.directory);
            if let Some(drop) = &ptn.drop_directory {
                self.write(drop);
            }
        }
        if let Runtime::Pm2(pm2) = &workload.runtime {
            let user = User::from_name(pm2.user.as_str()).ok().flatten();
            self.pm2_of_root |= user.as_ref().is_some_and(|user| user.uid.is_root());
            let home = || user.map(|user| user.dir.join(".pm2"));
            match pm2.pm2_home.clone().or_else(home) {
                Some(home) => self.add_pm2(&home),
                // Without such a user the agent says so itself.
                None => self.pm2 = true,
            }
        }
        let bucket = workload.bucket.as_ref().map(|bucket| &bucket.remote);
        if let Some(place) = bucket.filter(|remote| remote.starts_with('/')) {
            self.write(Path::new(place));
        }
    }

    fn write(&mut self, directory: &Path) {
        if !OWN.iter().any(|own| directory.starts_with(own)) {
            self.directories.insert(directory.to_owned());
        }
    }
}

/// Where users of this host have a PM2, running or not: at boot none runs yet.
fn pm2_homes() -> Vec<PathBuf> {
    let others = std::fs::read_dir("/home").into_iter().flatten().flatten();
    std::iter::once(PathBuf::from(ROOTS_PM2))
        .chain(others.map(|entry| entry.path().join(".pm2")))
        .filter(|pm2_home| pm2_home.is_dir())
        .collect()
}

/// The innermost directory that holds both; `None` where that is the root.
fn common(one: Option<&Path>, other: Option<&Path>) -> Option<PathBuf> {
    let shared: PathBuf = one?
        .components()
        .zip(other?.components())
        .take_while(|(one, other)| one == other)
        .map(|(part, _)| part)
        .collect();
    shared.parent().is_some().then_some(shared)
}

impl std::fmt::Display for Needs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut lines = String::new();
        if self.whole_tree {
            lines += "# Data and snapshots have no directory in common but the root.\n";
            lines += "ProtectSystem=full\n";
        }
        if self.whole_tree && !self.no_homes {
            lines += "ProtectHome=no\n";
        }
        if self.no_homes {
            lines += "# Nothing that it names is in a home.\nProtectHome=yes\n";
        }
        for directory in &self.directories {
            // `-`: a disk that is not there keeps no agent from starting.
            writeln!(lines, "ReadWritePaths=\"-{}\"", escaped(directory))?;
        }
        if self.idle_class {
            lines += "SystemCallFilter=ioprio_set\n";
        }
        if self.low_port {
            lines += "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n";
        }
        if self.pm2 {
            lines += "CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_SYS_PTRACE\nMemoryDenyWriteExecute=no\n";
        }
        if self.pm2_of_root {
            lines += "CapabilityBoundingSet=CAP_KILL\n";
        }
        match lines.is_empty() {
            true => f.write_str("# The configuration needs nothing beyond the unit.\n"),
            false => write!(
                f,
                "# What the configuration needs of the unit: `ostler config unit`.\n[Service]\n{lines}"
            ),
        }
    }
}

/// A path as it stands between quotation marks in a unit (systemd.syntax(7), and the specifiers of systemd.unit(5)).
fn escaped(path: &Path) -> String {
    let mut text = String::new();
    for character in path.to_string_lossy().chars() {
        match character {
            '%' => text += "%%",
            '"' | '\\' => text.extend(['\\', character]),
            control if control.is_control() => {
                let mut bytes = [0; 4];
                for byte in control.encode_utf8(&mut bytes).bytes() {
                    text += &format!("\\x{byte:02x}");
                }
            }
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(text: &str) -> String {
        drop_in(&Config::parse(text, Path::new("test.toml")).unwrap())
    }

    /// Something that is configured, so that nothing is looked for on the host of the test.
    const CONFIGURED: &str =
        "\n[[workload]]\nname = \"miner\"\nruntime = { docker = { container = \"miner\" } }\n";

    const NO_HOMES: &str = "# Nothing that it names is in a home.\nProtectHome=yes\n";

    fn workload(data: &str, more: &str) -> String {
        format!(
            "[[workload]]\nname = \"node\"\nruntime = {{ systemd = {{ unit = \"node.service\" }} }}\ndata-dir = \"{data}\"\n{more}"
        )
    }

    #[test]
    fn a_workload_without_data_needs_nothing_not_even_homes() {
        // As does what is kept below the unit's own directories.
        let own = "state-dir = \"/var/lib/ostler/state\"\n[http]\nsocket = \"/run/ostler/other\"\n";
        for text in [CONFIGURED.to_owned(), own.to_owned() + CONFIGURED] {
            let less = format!("[Service]\n{NO_HOMES}");
            assert!(needs(&text).ends_with(&less), "{text}");
        }
    }

    #[test]
    fn homes_are_seen_where_data_is_in_one() {
        let text = needs(&workload("/home/node/data", ""));
        let lines = "[Service]\nReadWritePaths=\"-/home/node\"\nSystemCallFilter=ioprio_set\n";
        assert!(text.ends_with(lines), "{text}");
    }

    #[test]
    fn data_and_snapshots_share_one_writable_directory() {
        for (data, more, written) in [
            ("/srv/node/data", "", "ReadWritePaths=\"-/srv/node\""),
            (
                "/srv/node/data",
                "[workload.snapshot]\nstore = \"/srv/snapshots/node\"\n",
                "ReadWritePaths=\"-/srv\"",
            ),
            (
                "/srv/a%b/\\\"c/data",
                "",
                "ReadWritePaths=\"-/srv/a%%b/\\\\\\\"c\"",
            ),
        ] {
            let data = data.replace('\\', "\\\\").replace('"', "\\\"");
            let text = needs(&workload(&data, more));
            let lines = format!("[Service]\n{NO_HOMES}{written}\nSystemCallFilter=ioprio_set\n");
            assert!(text.ends_with(&lines), "{text}");
        }
    }

    #[test]
    fn where_they_share_the_root_alone_the_tree_stays_whole() {
        let apart = "[workload.snapshot]\nstore = \"/mnt/snapshots\"\n";
        for (text, homes) in [
            (workload("/data", ""), "yes"),
            (workload("/srv/node/data", apart), "yes"),
            (workload("/home/node/data", apart), "no"),
        ] {
            let text = needs(&text);
            assert!(text.contains("ProtectSystem=full\n"), "{text}");
            assert!(text.contains(&format!("ProtectHome={homes}\n")), "{text}");
            assert!(!text.contains("ReadWritePaths"), "{text}");
        }
    }

    #[test]
    fn a_pm2_needs_its_home_and_its_user() {
        let of = |user: &str| {
            needs(&format!(
                "[[workload]]\nname = \"validator\"\n\
                 runtime = {{ pm2 = {{ user = \"{user}\", pm2-home = \"/opt/pm2\", apps = [\"one\"] }} }}\n"
            ))
        };
        let text = of("nobody");
        assert!(text.contains("ReadWritePaths=\"-/opt/pm2\"\n"), "{text}");
        assert!(
            text.contains("=CAP_SETUID CAP_SETGID CAP_SYS_PTRACE\n"),
            "{text}"
        );
        // The apps of root's may be anybody's.
        assert!(
            !text.contains("CAP_KILL") && of("root").contains("=CAP_KILL\n"),
            "{text}"
        );
        assert!(text.contains("MemoryDenyWriteExecute=no\n"), "{text}");
        // There is nothing to read beside it.
        assert!(!text.contains("ioprio_set"), "{text}");
    }

    #[test]
    fn a_validator_is_written_where_its_code_is_and_where_checkpoints_are_put() {
        let text = "[[workload]]\nname = \"validator\"\nkind = \"ptn\"\n\
                    runtime = { pm2 = { user = \"root\", pm2-home = \"/opt/pm2\", apps = [\"one\"] } }\n\
                    [workload.ptn]\ndirectory = \"/opt/ptn\"\ndrop-directory = \"/srv/checkpoints\"\n";
        let text = needs(text);
        for directory in ["/opt/ptn", "/srv/checkpoints"] {
            let line = format!("ReadWritePaths=\"-{directory}\"\n");
            assert!(text.contains(&line), "{text}");
        }
    }

    #[test]
    fn a_bucket_on_a_disk_and_a_low_port_are_needed_too() {
        let text = workload(
            "/srv/node/data",
            "[workload.bucket]\nremote = \"/mnt/usb/bucket\"\n[http]\nlisten = [\"127.0.0.1:80\"]\n",
        );
        let text = needs(&text);
        assert!(
            text.contains("ReadWritePaths=\"-/mnt/usb/bucket\"\n"),
            "{text}"
        );
        assert!(
            text.contains("CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n"),
            "{text}"
        );
    }

    #[test]
    fn the_port_of_the_bobcat_api_counts_as_the_others_do() {
        for (port, needed) in [(80, true), (1023, true), (1024, false), (8080, false)] {
            let text = needs(&format!(
                "[bobcat]\nlisten = \"0.0.0.0:{port}\"\n{CONFIGURED}"
            ));
            assert_eq!(
                text.contains("CAP_NET_BIND_SERVICE"),
                needed,
                "{port}: {text}"
            );
        }
    }
}
