//! The state directory: whether the agent can remember anything.

use std::io;
use std::path::Path;

use super::Check;
use crate::config::Config;
use crate::durable;

const NAME: &str = "state directory";

/// Tries to write, as the agent does it.
pub(super) fn check(config: &Config) -> Check {
    let directory = &config.state_dir;
    match directory.metadata() {
        Ok(found) if found.is_dir() => try_to_write(directory),
        Ok(_) => Check::fail(
            NAME,
            format!("{} is not a directory", directory.display()),
            "move it away, or set another state-dir",
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Check::ok(
            NAME,
            format!(
                "{} is not there yet: the agent makes it",
                directory.display()
            ),
        ),
        Err(error) => Check::fail(
            NAME,
            format!("{}: {error}", directory.display()),
            "ask as root (sudo ostler doctor)",
        ),
    }
}

fn try_to_write(directory: &Path) -> Check {
    let probe = directory.join(format!("doctor-{}", std::process::id()));
    let written = durable::write(&probe, b"", 0o600).and_then(|()| durable::remove(&probe));
    let error = match written {
        Ok(()) => return Check::ok(NAME, format!("{} can be written", directory.display())),
        Err(error) => error,
    };
    match error.source.kind() {
        io::ErrorKind::PermissionDenied if !nix::unistd::geteuid().is_root() => Check::warn(
            NAME,
            format!(
                "{} is not for this user to write: not checked",
                directory.display()
            ),
            "ask as root (sudo ostler doctor)",
        ),
        _ => Check::fail(
            NAME,
            error.to_string(),
            "see to it that the agent can write there",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn checked(state_dir: &Path) -> Check {
        check(&Config {
            state_dir: state_dir.to_owned(),
            ..Config::default()
        })
    }

    #[test]
    fn a_directory_is_tried_and_left_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(checked(directory.path()).verdict, Verdict::Ok);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        assert_eq!(
            checked(&directory.path().join("later")).verdict,
            Verdict::Ok
        );
        let file = directory.path().join("file");
        std::fs::File::create(&file).unwrap();
        assert_eq!(checked(&file).verdict, Verdict::Fail);
    }
}
