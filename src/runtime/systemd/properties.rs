//! What `systemctl show` writes.

use std::collections::HashMap;

use crate::clock::Timestamp;

/// A unit's properties, by name. One that this systemd does not know is simply not there.
pub(super) struct Properties(HashMap<String, String>);

impl Properties {
    /// Reads lines of `Name=value`. Of a name that is there twice (`ExecStart` can be) the first holds.
    pub(super) fn parse(text: &str) -> Self {
        let mut properties = HashMap::new();
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let entry = properties.entry(name.to_owned());
            entry.or_insert_with(|| value.to_owned());
        }
        Self(properties)
    }

    /// The value, empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The value where there is one.
    pub(super) fn some(&self, name: &str) -> Option<String> {
        self.0.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// The value as a number.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name).parse().ok()
    }

    /// A time, as systemd writes it to whoever lives in UTC: `Sat 2026-11-21 03:18:33 UTC`.
    pub(super) fn time(&self, name: &str) -> Option<Timestamp> {
        let (_day, time) = self.text(name).split_once(' ')?;
        let (date, time) = time.strip_suffix(" UTC")?.split_once(' ')?;
        Timestamp::parse(&format!("{date}T{time}Z"))
    }

    /// The program of a command line such as `{ path=/bin/sleep ; argv[]=/bin/sleep 1000 ; … }`.
    pub(super) fn program(&self, name: &str) -> Option<String> {
        let (_, rest) = self.text(name).split_once("path=")?;
        let (path, _) = rest.split_once(" ;")?;
        Some(path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_as_systemd_writes_them() {
        let properties = Properties::parse(
            "ExecStart={ path=/bin/sh ; argv[]=/bin/sh -c a=b ; pid=7 }\nExecStart={ path=/bin/other ; }\n\
             NRestarts=3\nInvocationID=\nExecMainStartTimestamp=Sat 2026-11-21 03:18:33 UTC\nMainPID=x\n",
        );
        assert_eq!(properties.program("ExecStart").as_deref(), Some("/bin/sh"));
        assert_eq!(properties.number::<u64>("NRestarts"), Some(3));
        assert_eq!(properties.number::<u64>("MainPID"), None);
        assert_eq!(properties.some("InvocationID"), None);
        assert_eq!(properties.text("Nonsense"), "");
        assert_eq!(
            properties.time("ExecMainStartTimestamp"),
            Timestamp::parse("2026-11-21T03:18:33Z")
        );
        assert_eq!(properties.time("Nonsense"), None);
    }
}
