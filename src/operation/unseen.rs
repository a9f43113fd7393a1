//! Files that others see and the agent does not: its unit shows it other directories (`packaging/systemd/ostler.service`).

use std::path::Path;

/// What to tell whoever names a file that is not there, where the unit may be the reason; else nothing.
pub(super) fn hint(path: &Path) -> &'static str {
    // Each unit has an invocation.
    match std::env::var_os("INVOCATION_ID") {
        Some(_) => of_a_unit(path),
        None => "",
    }
}

fn of_a_unit(path: &Path) -> &'static str {
    let is_in = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
    if is_in(&["/tmp", "/var/tmp"]) {
        ". The agent runs as a unit, which may have a /tmp of its own (PrivateTmp=): put the file elsewhere"
    } else if is_in(&["/home", "/root", "/run/user"]) {
        ". The agent runs as a unit, which may be kept out of homes (ProtectHome=): put the file elsewhere, /var/lib/ostler for example"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_a_unit_has_for_itself_is_named() {
        for (path, named) in [
            ("/tmp/file", "PrivateTmp="),
            ("/var/tmp/file", "PrivateTmp="),
            ("/root/file", "ProtectHome="),
            ("/home/somebody/file", "ProtectHome="),
        ] {
            assert!(of_a_unit(Path::new(path)).contains(named), "{path}");
        }
        assert_eq!(of_a_unit(Path::new("/srv/file")), "");
        assert_eq!(of_a_unit(Path::new("/homes/file")), "");
    }
}
