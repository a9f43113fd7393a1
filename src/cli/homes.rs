//! Whether what a configuration names lies in somebody's home.
//!
//! Homes hold what is none of the agent's business: keys to other hosts, wallets. Where nothing of the configuration is there, the unit keeps
//! the agent out of them (`ProtectHome=yes`).

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::config::{Config, Runtime};

/// What `ProtectHome=` covers: systemd.exec(5).
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// Links that lead on to links, until one is taken for a circle: as many as the kernel follows.
const MOST_LINKS: u32 = 40;

/// Whether the agent has to see homes. In doubt it has to.
pub(super) fn needed(config: &Config) -> bool {
    // Where nothing is configured, a PM2 of any user is looked for.
    config.workload.is_empty()
        || config.workload.iter().any(|workload| {
            // The validator's tree and its PM2 are a user's. What else rclone reads, keys for example, its own file says.
            let bucket = workload.bucket.as_ref();
            workload.ptn.is_some()
                || bucket.is_some_and(|bucket| bucket.config_file.is_some())
                || matches!(workload.runtime, Runtime::Pm2(_))
        })
        || serde_json::to_value(config).map_or(true, |value| names(&value))
}

/// Whether any text in it names a path that leads into a home.
fn names(value: &Value) -> bool {
    match value {
        Value::String(text) if text.starts_with('/') => leads_home(Path::new(text), MOST_LINKS),
        Value::Array(all) => all.iter().any(names),
        Value::Object(keys) => keys.values().any(names),
        _ => false,
    }
}

/// Whether a path is in a home, as it is written or by a link on its way. What it leads to need not be there yet: at boot it may be mounted
/// later.
fn leads_home(path: &Path, links: u32) -> bool {
    let Some(links) = links.checked_sub(1) else {
        return true;
    };
    is_in_home(path)
        || path.ancestors().any(|above| {
            let Ok(target) = above.read_link() else {
                return false;
            };
            let beside = above.parent().unwrap_or(Path::new("/"));
            let rest = path.strip_prefix(above).unwrap_or(Path::new(""));
            leads_home(&plain(&beside.join(target).join(rest)), links)
        })
}

fn is_in_home(path: &Path) -> bool {
    HOMES.map(Path::new).into_iter().any(|home| {
        // `/home` may be a link itself.
        let real = home.canonicalize();
        path.starts_with(home) || real.is_ok_and(|real| path.starts_with(real))
    })
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn of(text: &str) -> bool {
        needed(&Config::parse(text, Path::new("test.toml")).unwrap())
    }

    const NODE: &str =
        "[[workload]]\nname = \"node\"\nruntime = { systemd = { unit = \"node.service\" } }\n";

    #[test]
    fn homes_are_needed_by_what_lies_in_them_and_by_what_may() {
        let with = |more: &str| of(&format!("{NODE}{more}"));
        for needs_none in [
            "",
            "data-dir = \"/srv/node/data\"\n",
            "data-dir = \"/homes/x\"\n",
        ] {
            assert!(!with(needs_none), "{needs_none}");
        }
        for needs in [
            "data-dir = \"/home/harmony/harmony_db_0\"\n",
            "data-dir = \"/srv/node/data\"\n[workload.snapshot]\nstore = \"/root/snapshots\"\n",
            "data-dir = \"/srv/node/data\"\n[workload.bucket]\nremote = \"away:bucket\"\nconfig-file = \"ostler.rclone\"\n",
            "[http]\ntoken-file = \"/root/token\"\n",
            "[commands]\ntrusted-keys = [\"/etc/a.pem\", \"/home/b.pem\"]\n",
        ] {
            assert!(with(needs), "{needs}");
        }
        let pm2 = "[[workload]]\nname = \"v\"\nruntime = { pm2 = { user = \"root\", pm2-home = \"/opt/pm2\", apps = [\"one\"] } }\n";
        assert!(of(pm2) && of(""));
        let rootless = "[[workload]]\nname = \"m\"\nruntime = { docker = { container = \"m\", socket = \"/run/user/1000/docker.sock\" } }\n";
        assert!(of(rootless));
    }

    #[test]
    fn a_link_on_the_way_leads_there_also_while_its_target_is_away() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        symlink("/home/nobody/at/all", at("away")).unwrap();
        symlink("away", at("further")).unwrap();
        symlink("../../../../../../root", at("relative")).unwrap();
        symlink("circle", at("circle")).unwrap();
        std::fs::create_dir(at("plain")).unwrap();
        symlink("plain", at("beside")).unwrap();
        for (name, leads) in [
            ("away/data", true),
            ("further/data", true),
            ("relative/data", true),
            ("circle/data", true),
            ("plain/data", false),
            ("beside/data", false),
        ] {
            assert_eq!(leads_home(&at(name), MOST_LINKS), leads, "{name}");
        }
    }
}
