//! Files beside a restored state that a checkpoint does not hold, and that can contradict it.
//!
//! At its start the validator eliminates every miner in `perf_ledger_eliminations.json` that is not in
//! `eliminations.json`: it flattens the positions and slashes the collateral (`handle_perf_ledger_eliminations`
//! of 7.1.1). Rows that were made from the old ledgers must not meet the new positions.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use serde::Serialize;

use super::Error;
use super::json::{Reader, Value, push_value};
use super::names::shown;
use super::report::LISTED;

/// The files that [`settle_companions`] deals with, and nobody else.
pub const COMPANIONS: [&str; 2] = [ROWS, DEPARTED];

const ROWS: &str = "perf_ledger_eliminations.json";
const DEPARTED: &str = "departed_hotkeys.json";
/// The list that the repository ships; the validator means to fall back to it, and does not.
const DEFAULT: &str = "data/default_departed_hotkeys.json";

/// No such file is larger: the shipped one has 31 kB.
const MAX_BYTES: u64 = 64 << 20;

/// What became of a file beside the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Companion {
    /// Its name in `validation/`.
    pub file: &'static str,
    /// What was done with it.
    pub fate: Fate,
    /// In words, and why.
    pub what: String,
    /// The miners that this is about, at most 100 of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hotkeys: Vec<String>,
}

/// What was done with a file beside the state. The old one is in the backup in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Taken over as it was.
    Kept,
    /// Taken over without what contradicts the checkpoint.
    Cleaned,
    /// Left behind.
    SetAside,
    /// Made from what the repository ships.
    Shipped,
    /// Made empty.
    Empty,
}

/// What becomes of a companion, and its content, byte by byte; `None` where nothing is to be written.
pub type Settled = (Companion, Option<Vec<u8>>);

/// Says what becomes of the companions in `old`, the live tree, beside the state in `staged`; `repository` is where the
/// validator's code is. Gives what was done and the files to write into `staged`.
///
/// # Errors
/// Where what was staged cannot be read. A companion that cannot be is set aside.
pub fn settle_companions(
    old: &Path,
    staged: &Path,
    repository: &Path,
) -> Result<Vec<Settled>, Error> {
    let eliminated = eliminated(&staged.join("eliminations.json"))?;
    let mut settled = Vec::new();
    settled.extend(rows(&old.join(ROWS), &eliminated));
    settled.push(departed(old, staged, repository));
    Ok(settled)
}

/// The hotkeys in `eliminations.json`, one record at a time.
fn eliminated(path: &Path) -> Result<HashSet<String>, Error> {
    let failed = |source| Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let value = read(path).map_err(failed)?;
    let rows = match &value {
        Value::Object(object) => object.get("eliminations"),
        _ => None,
    };
    let Some(Value::Array(rows)) = rows else {
        return Err(failed(io::Error::from(io::ErrorKind::InvalidData)));
    };
    Ok(rows.iter().filter_map(hotkey).map(str::to_owned).collect())
}

fn hotkey(row: &Value) -> Option<&str> {
    match row {
        Value::Object(row) => row.get("hotkey")?.as_str(),
        _ => None,
    }
}

fn rows(old: &Path, eliminated: &HashSet<String>) -> Option<Settled> {
    let companion = |fate, what: String, hotkeys: Vec<String>| Companion {
        file: ROWS,
        fate,
        what,
        hotkeys: listed(hotkeys),
    };
    let rows = match read(old) {
        Ok(Value::Array(rows)) => rows,
        Ok(other) => {
            let what = format!(
                "it holds {}, not a list, and the validator would not start on it",
                other.kind()
            );
            return Some((companion(Fate::SetAside, what, Vec::new()), None));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            let what =
                format!("it cannot be read, and the validator would not start on it: {error}");
            return Some((companion(Fate::SetAside, what, Vec::new()), None));
        }
    };
    let all = rows.len();
    let (kept, stale): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .partition(|row| hotkey(row).is_some_and(|hotkey| eliminated.contains(hotkey)));
    let (fate, what) = match stale.len() {
        0 => (
            Fate::Kept,
            format!("all of its {all} miners are eliminated in the checkpoint too"),
        ),
        gone => (
            Fate::Cleaned,
            format!(
                "{gone} of its {all} miners are not eliminated in the checkpoint: the validator would flatten their \
                 positions at its start"
            ),
        ),
    };
    let named = |row: &Value| hotkey(row).map_or_else(|| "?".to_owned(), shown);
    let names = stale.iter().map(named).collect();
    let mut bytes = Vec::new();
    push_value(&mut bytes, &Value::Array(kept));
    Some((companion(fate, what, names), Some(bytes)))
}

fn departed(old: &Path, staged: &Path, repository: &Path) -> Settled {
    let companion = |fate, what: String, hotkeys: Vec<String>| Companion {
        file: DEPARTED,
        fate,
        what,
        hotkeys: listed(hotkeys),
    };
    let found = departed_in(&old.join(DEPARTED));
    if let Ok(hotkeys) = &found
        && !hotkeys.is_empty()
        && let Ok(bytes) = fs::read(old.join(DEPARTED))
    {
        let miners = staged.join("miners");
        let back: Vec<_> = hotkeys
            .iter()
            .filter(|hotkey| super::names::hotkey_fault(hotkey).is_none())
            .filter(|hotkey| miners.join(hotkey).is_dir())
            .cloned()
            .collect();
        let what = match back.len() {
            0 => format!("{} miners have left", hotkeys.len()),
            count => format!(
                "{} miners have left, and the checkpoint has positions of {count} of them: the validator bars them \
                 if they register again",
                hotkeys.len()
            ),
        };
        return (companion(Fate::Kept, what, back), Some(bytes));
    }
    let why = match found {
        Ok(_) => "it named nobody".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => "there was none".to_owned(),
        Err(error) => format!("it cannot be read: {error}"),
    };
    let shipped = repository.join(DEFAULT);
    match (departed_in(&shipped), fs::read(&shipped)) {
        (Ok(hotkeys), Ok(bytes)) if !hotkeys.is_empty() => {
            let what = format!(
                "{why}; made from {DEFAULT}, which names {} miners",
                hotkeys.len()
            );
            (companion(Fate::Shipped, what, Vec::new()), Some(bytes))
        }
        _ => (companion(Fate::Empty, why, Vec::new()), None),
    }
}

/// Who has left: the keys of an object, or in the old form a list.
fn departed_in(path: &Path) -> io::Result<Vec<String>> {
    let strange = || io::Error::new(io::ErrorKind::InvalidData, "it is not what it should be");
    let Value::Object(object) = read(path)? else {
        return Err(strange());
    };
    match object.get("departed_hotkeys") {
        Some(Value::Object(all)) => Ok(all
            .0
            .iter()
            .map(|(key, _)| key.lossy().to_owned())
            .collect()),
        Some(Value::Array(all)) => Ok(all
            .iter()
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect()),
        Some(Value::Null) | None => Ok(Vec::new()),
        Some(_) => Err(strange()),
    }
}

fn read(path: &Path) -> io::Result<Value> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file"));
    }
    let mut reader = Reader::new(File::open(path)?, MAX_BYTES);
    let value = reader.value();
    let value = value.and_then(|value| reader.finish().map(|()| value));
    value.map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault.to_string()))
}

fn listed(mut hotkeys: Vec<String>) -> Vec<String> {
    hotkeys.truncate(LISTED);
    hotkeys
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "5DE6K842eErCeDcMvodN6EL6AeBomyFtn8FqjgnjzDT75FhE";
    const B: &str = "5Hf5gfBKZi1y2FQGiBGeso38GmqRa5JUdyguEvibeYJBEqg2";

    struct Trees(tempfile::TempDir);

    impl Trees {
        fn new() -> Self {
            let trees = Self(tempfile::tempdir().unwrap());
            for directory in ["old", "data"] {
                fs::create_dir_all(trees.0.path().join(directory)).unwrap();
            }
            fs::create_dir_all(trees.0.path().join("staged/miners").join(A)).unwrap();
            let eliminations = format!("{{\"eliminations\": [{{\"hotkey\": \"{B}\"}}]}}");
            trees.put("staged/eliminations.json", &eliminations);
            trees
        }

        fn put(&self, path: &str, content: &str) {
            let path = self.0.path().join(path);
            crate::durable::write(&path, content.as_bytes(), 0o644).unwrap();
        }

        fn settle(&self) -> Vec<Settled> {
            let root = self.0.path();
            settle_companions(&root.join("old"), &root.join("staged"), root).unwrap()
        }
    }

    #[test]
    fn rows_of_miners_that_are_not_eliminated_any_more_are_taken_out_and_named() {
        let trees = Trees::new();
        trees.put(
            "old/perf_ledger_eliminations.json",
            &format!(r#"[{{"hotkey": "{A}", "dd": 1.0}}, {{"hotkey": "{B}", "dd": 9e-07}}]"#),
        );
        let settled = trees.settle();
        let (companion, content) = &settled[0];
        assert_eq!(companion.fate, Fate::Cleaned);
        assert_eq!(companion.hotkeys, [A]);
        let left = format!(r#"[{{"hotkey": "{B}", "dd": 9e-07}}]"#);
        assert_eq!(content.as_deref(), Some(left.as_bytes()));
    }

    #[test]
    fn rows_that_agree_stay_and_ones_that_nobody_can_read_do_not() {
        let trees = Trees::new();
        trees.put(
            "old/perf_ledger_eliminations.json",
            &format!(r#"[{{"hotkey": "{B}"}}]"#),
        );
        assert_eq!(trees.settle()[0].0.fate, Fate::Kept);
        for bad in ["", "{", "{}", "[] x"] {
            trees.put("old/perf_ledger_eliminations.json", bad);
            let (companion, content) = trees.settle().remove(0);
            assert_eq!((companion.fate, content), (Fate::SetAside, None), "{bad}");
        }
    }

    #[test]
    fn who_has_left_is_taken_over_else_from_the_repository_else_empty() {
        let trees = Trees::new();
        let of = |trees: &Trees| trees.settle().pop().unwrap();
        assert_eq!(of(&trees).0.fate, Fate::Empty);
        let shipped = format!(r#"{{"departed_hotkeys": {{"{B}": {{"detected_ms": 1}}}}}}"#);
        trees.put("data/default_departed_hotkeys.json", &shipped);
        for nobody in ["{\"departed_hotkeys\": {}}", "broken", "[]"] {
            trees.put("old/departed_hotkeys.json", nobody);
            let (companion, content) = of(&trees);
            assert_eq!(companion.fate, Fate::Shipped);
            assert_eq!(content.as_deref(), Some(shipped.as_bytes()));
        }
        let own = format!(r#"{{"departed_hotkeys": ["{A}"]}}"#);
        trees.put("old/departed_hotkeys.json", &own);
        let (companion, content) = of(&trees);
        assert_eq!(
            (companion.fate, companion.hotkeys),
            (Fate::Kept, vec![A.to_owned()])
        );
        assert_eq!(content.as_deref(), Some(own.as_bytes()));
    }
}
