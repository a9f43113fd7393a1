//! The names that LevelDB, goleveldb and RocksDB give to their files, and what may be done with each.

/// What a name in a database directory says about the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileName {
    /// Names the MANIFEST. Written anew in a copy, never copied.
    Current,
    /// The list of edits. Grows while the database is open: copied.
    Manifest(u64),
    /// A table. Never changes once the MANIFEST names it: may be linked if it does.
    Table(u64),
    /// A blob file. As a table.
    Blob(u64),
    /// A write-ahead log. Grows, and may be written over: copied.
    Log(u64),
    /// RocksDB's options; small: copied.
    Options(u64),
    /// RocksDB's identity; small: copied.
    Identity,
    /// Locks, information logs, backups and temporary files: left out.
    Scratch,
    /// Not a name of an engine.
    Foreign,
}

impl FileName {
    /// Reads a name.
    pub fn parse(name: &str) -> Self {
        match name {
            "CURRENT" => return Self::Current,
            "IDENTITY" => return Self::Identity,
            // CURRENT.bak: goleveldb rewrites it in place.
            "LOCK" | "LOG" | "CURRENT.bak" => return Self::Scratch,
            _ => {}
        }
        if let Some(number) = name.strip_prefix("MANIFEST-").and_then(digits) {
            return Self::Manifest(number);
        }
        if let Some(number) = name.strip_prefix("OPTIONS-") {
            return match digits(number) {
                Some(number) => Self::Options(number),
                None if number.ends_with(".dbtmp") => Self::Scratch,
                None => Self::Foreign,
            };
        }
        // LOG.old and LOG.old.1699999999; goleveldb's CURRENT.17 before its rename.
        if name.starts_with("LOG.old") || name.strip_prefix("CURRENT.").and_then(digits).is_some() {
            return Self::Scratch;
        }
        let Some((stem, extension)) = name.rsplit_once('.') else {
            return Self::Foreign;
        };
        let Some(number) = digits(stem) else {
            return Self::Foreign;
        };
        match extension {
            "ldb" | "sst" => Self::Table(number),
            "blob" => Self::Blob(number),
            "log" => Self::Log(number),
            // `.dbtmp` LevelDB and RocksDB, `.tmp` goleveldb.
            "dbtmp" | "tmp" => Self::Scratch,
            _ => Self::Foreign,
        }
    }
}

/// The number of the MANIFEST that a CURRENT file names: `MANIFEST-<digits>` and a line feed.
pub fn parse_current(content: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(content).ok()?;
    digits(text.strip_suffix('\n')?.strip_prefix("MANIFEST-")?)
}

fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_engines_is_known() {
        for (name, expected) in [
            ("CURRENT", FileName::Current),
            ("CURRENT.bak", FileName::Scratch),
            ("CURRENT.12", FileName::Scratch),
            ("MANIFEST-000004", FileName::Manifest(4)),
            ("000012.ldb", FileName::Table(12)),
            ("1234567.sst", FileName::Table(1_234_567)),
            ("000012.blob", FileName::Blob(12)),
            ("000012.log", FileName::Log(12)),
            ("OPTIONS-000007", FileName::Options(7)),
            ("OPTIONS-000007.dbtmp", FileName::Scratch),
            ("IDENTITY", FileName::Identity),
            ("LOCK", FileName::Scratch),
            ("LOG", FileName::Scratch),
            ("LOG.old.1700000000", FileName::Scratch),
            ("000012.dbtmp", FileName::Scratch),
            ("priv_validator_state.json", FileName::Foreign),
            ("x12.ldb", FileName::Foreign),
            ("+12.ldb", FileName::Foreign),
            (".ldb", FileName::Foreign),
        ] {
            assert_eq!(FileName::parse(name), expected, "{name}");
        }
    }

    #[test]
    fn current_is_exactly_one_line() {
        assert_eq!(parse_current(b"MANIFEST-000004\n"), Some(4));
        for bad in [
            &b""[..],
            b"MANIFEST-000004",
            b"MANIFEST-\n",
            b"manifest-1\n",
            b"MANIFEST-1\n\n",
            b"\xff\n",
        ] {
            assert_eq!(parse_current(bad), None);
        }
    }
}
