//! Who may do what: the state directory, the configuration, the socket and its group.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Group, Uid};

use super::Check;
use crate::config::Config;
use crate::http::GROUP;

/// What is looked at, and the bits of its mode that let others change it. To use a socket is to write to it.
const STATE: (&str, u32) = ("state directory", 0o022);
const CONFIGURATION: (&str, u32) = ("configuration", 0o022);
const SOCKET: (&str, u32) = ("socket", 0o002);

/// The things that are there; of those that are not, other checks tell.
///
/// `agent` is the user that the agent runs as, where it runs: beside root and the caller it may own them.
pub(super) fn checks(
    config: &Config,
    file: &Path,
    socket: &Path,
    agent: Option<u32>,
) -> Vec<Check> {
    let mut checks = Vec::new();
    checks.extend(closed(STATE, &config.state_dir, agent));
    checks.extend(closed(CONFIGURATION, file, agent));
    checks.extend(closed(SOCKET, socket, agent));
    checks.push(group(socket));
    checks
}

/// Says where others can change what is at a path, or it belongs to somebody else.
fn closed(
    (name, forbidden): (&'static str, u32),
    path: &Path,
    agent: Option<u32>,
) -> Option<Check> {
    let metadata = path.metadata().ok()?;
    let at = path.display();
    let owner = metadata.uid();
    if ![Some(0), Some(Uid::effective().as_raw()), agent].contains(&Some(owner)) {
        return Some(Check::fail(
            name,
            format!("{at} belongs to user {owner}, who can change what the agent does"),
            format!("give it back (chown root {at})"),
        ));
    }
    let mode = metadata.mode() & 0o777;
    if mode & forbidden == 0 {
        return None;
    }
    Some(Check::fail(
        name,
        format!("{at} can be changed by others: its mode is {mode:03o}"),
        format!("close it (chmod {:03o} {at})", mode & !forbidden),
    ))
}

/// Who beside root may use the socket.
fn group(socket: &Path) -> Check {
    const NAME: &str = "group";
    let known = match Group::from_name(GROUP) {
        Ok(known) => known,
        Err(error) => {
            return Check::warn(
                NAME,
                format!("whether there is a group {GROUP} cannot be told: {error}"),
                "see /etc/group and /etc/nsswitch.conf",
            );
        }
    };
    let Some(known) = known else {
        return Check::ok(
            NAME,
            format!("there is no group {GROUP}: root alone may talk to the agent"),
        );
    };
    match socket.metadata().map(|metadata: Metadata| metadata.gid()) {
        Ok(gid) if gid != known.gid.as_raw() => Check::warn(
            NAME,
            format!(
                "{} belongs to group {gid}, not to {GROUP}: its members are kept out",
                socket.display()
            ),
            "restart the agent (systemctl restart ostler)",
        ),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Check::warn(
            NAME,
            format!("{}: {error}", socket.display()),
            "ask as root (sudo ostler doctor)",
        ),
        _ => Check::ok(NAME, members(&known.mem)),
    }
}

fn members(names: &[String]) -> String {
    match names {
        [] => format!("root alone may talk to the agent: group {GROUP} has no members"),
        names => format!(
            "root and group {GROUP} may talk to the agent: {}",
            names.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::super::Verdict;
    use super::*;

    #[test]
    fn what_others_can_change_is_found_and_the_advice_closes_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        for (mode, advice) in [(0o777, "755"), (0o770, "750"), (0o702, "700")] {
            set_permissions(path, Permissions::from_mode(mode)).unwrap();
            let check = closed(STATE, path, None).unwrap();
            assert_eq!(check.verdict, Verdict::Fail);
            assert!(check.advice.unwrap().contains(&format!("chmod {advice} ")));
        }
        set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(closed(STATE, path, None), None);
        assert_eq!(closed(STATE, &path.join("absent"), None), None);
    }
}
