//! What a checkpoint is made of, without judging its values: for a release whose rules are not known here, and whose own
//! script is to write it. Whatever becomes a path is checked all the same; nothing else would keep a script from it.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::Path as FilePath;

use super::Written;
use super::fingerprint::{Content, Fingerprint};
use super::held::{Held, HeldPosition};
use super::json::{self, Kind, Number, Object, Path, Reader, Value};
use super::names::{shown, uuid_fault};
use super::walk::{Stop, Walk};

/// Files of a tree that no validator writes this large.
const MAX_RECORD: u64 = 64 << 20;

impl Walk<'_> {
    /// A section of which only the names matter.
    pub(super) fn outline(&mut self, key: &str) -> Result<(), Stop> {
        let root = Path::root(key);
        if key == "positions" {
            return self.outline_positions();
        }
        match self.reader.kind()? {
            Kind::Object => {
                self.reader.open_object()?;
                let mut first = true;
                while let Some(name) = self.reader.next_key(first)? {
                    first = false;
                    let path = root.key(name.lossy());
                    let value = self.record(&path)?;
                    self.check_names(&value, &path);
                    if let Some(fault) = climbs(name.lossy()) {
                        self.problems.add(&path, format!("its name {fault}"));
                    }
                }
            }
            Kind::Array => {
                self.reader.open_array()?;
                let mut index = 0;
                while self.reader.next_element(index == 0)? {
                    let path = root.index(index);
                    let value = self.record(&path)?;
                    self.check_names(&value, &path);
                    index += 1;
                }
            }
            _ => self.reader.skip()?,
        }
        Ok(())
    }

    fn outline_positions(&mut self) -> Result<(), Stop> {
        self.each_hotkey("positions", &[], |walk, hotkey, path| {
            let value = walk.record(path)?;
            let list = match &value {
                Value::Object(object) => object.get("positions"),
                _ => None,
            };
            let Some(Value::Array(list)) = list else {
                walk.problems.add(path, "holds no list of positions");
                return Ok(());
            };
            let mut held = Held::default();
            for (index, position) in list.iter().enumerate() {
                walk.outline_position(hotkey, position, &path.index(index), &mut held);
            }
            walk.summary.miners += u64::from(!list.is_empty());
            walk.compared(hotkey, held);
            Ok(())
        })?;
        Ok(())
    }

    fn outline_position(&mut self, hotkey: &str, value: &Value, path: &Path<'_>, held: &mut Held) {
        self.check_names(value, path);
        let Value::Object(position) = value else {
            self.problems.add(path, "is not a position");
            return;
        };
        let inner = position.get("miner_hotkey").and_then(Value::as_str);
        if inner != Some(hotkey) {
            self.problems.add(
                &path.key("miner_hotkey"),
                "is not that of the list it is in",
            );
        }
        let pair = match position.get("trade_pair") {
            Some(Value::Array(pair)) => pair.first().and_then(Value::as_str),
            _ => None,
        };
        if pair.is_none_or(|pair| uuid_fault(pair).is_some()) {
            self.problems.add(
                &path.key("trade_pair"),
                "does not start with the id of a pair",
            );
        }
        let Some(uuid) = position.get("position_uuid").and_then(Value::as_str) else {
            self.problems.add(&path.key("position_uuid"), "is missing");
            return;
        };
        if uuid_fault(uuid).is_some() {
            return;
        }
        let orders = orders(position);
        let (count, newest) = (
            orders.len() as u64,
            orders.values().copied().flatten().max(),
        );
        let mut of_it = HeldPosition::default();
        for (order, time) in &orders {
            of_it.add(order, *time);
        }
        if !held.add(uuid, of_it) {
            self.problems.add(
                &path.key("position_uuid"),
                "is that of another position too",
            );
        }
        self.summary.positions += 1;
        self.summary.orders += count;
        self.summary.newest_order_ms = self.summary.newest_order_ms.max(newest);
        self.summary
            .names
            .add(&format!("{hotkey}/{uuid}"), Content::default());
    }

    /// Notes every name in a value that could become a path and must not.
    fn check_names(&mut self, value: &Value, path: &Path<'_>) {
        match value {
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.check_names(element, &path.index(index));
                }
            }
            Value::Object(Object(entries)) => {
                for (key, value) in entries {
                    let (key, path) = (key.lossy(), path.key(key.lossy()));
                    if let Some(fault) = climbs(key) {
                        self.problems.add(&path, format!("its name {fault}"));
                    }
                    let names = key.ends_with("uuid") || key.ends_with("hotkey");
                    if let Some(name) = value.as_str().filter(|_| names)
                        && let Some(fault) = uuid_fault(name)
                    {
                        let what = format!("`{}` {fault}", shown(name));
                        self.problems.add(&path, what);
                    }
                    self.check_names(value, &path);
                }
            }
            _ => {}
        }
    }
}

/// What is wrong with a key that may become a directory.
fn climbs(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("is empty"),
        "." | ".." => Some("leads to another directory"),
        _ if name.contains(['/', '\0']) => Some("has a `/` or a NUL in it"),
        _ => None,
    }
}

fn orders(position: &Object) -> HashMap<String, Option<i64>> {
    let Some(Value::Array(orders)) = position.get("orders") else {
        return HashMap::new();
    };
    let order = |order: &Value| {
        let Value::Object(order) = order else {
            return None;
        };
        let time = match order.get("processed_ms") {
            Some(Value::Number(Number::Integer(time))) => Some(*time),
            _ => None,
        };
        Some((order.get("order_uuid")?.as_str()?.to_owned(), time))
    };
    orders.iter().filter_map(order).collect()
}

/// Checks a tree that a validator's own script has made: every position of the checkpoint is in it and no other, and every
/// file can be read. Gives what it holds.
///
/// # Errors
/// What is wrong with it, and where.
pub fn examine(tree: &FilePath, wanted: &Fingerprint) -> Result<Written, String> {
    let mut found = Fingerprint::default();
    let mut miners = HashSet::new();
    visit(tree, &mut Vec::new(), &mut |parts, path| {
        readable(path)?;
        if let [first, hotkey, second, _, state, uuid] = parts
            && first == "miners"
            && second == "positions"
            && (state == "open" || state == "closed")
        {
            miners.insert(hotkey.clone());
            found.add(&format!("{hotkey}/{uuid}"), Content::default());
        }
        Ok(())
    })?;
    if found != *wanted {
        return Err(format!(
            "it holds {} positions of {} miners, and not the {} of the checkpoint",
            found.files(),
            miners.len(),
            wanted.files()
        ));
    }
    if !tree.join("eliminations.json").is_file() {
        return Err("it has no eliminations.json".to_owned());
    }
    let fingerprint = Fingerprint::of(tree)
        .map_err(|(path, error)| format!("{} cannot be read: {error}", path.display()))?;
    Ok(Written {
        files: fingerprint.files(),
        bytes: fingerprint.bytes(),
        fingerprint,
        ..Written::default()
    })
}

/// Is shown every file, with the parts of its path in the tree.
type Visitor<'a> = dyn FnMut(&[String], &FilePath) -> Result<(), String> + 'a;

fn visit(
    directory: &FilePath,
    parts: &mut Vec<String>,
    each: &mut Visitor<'_>,
) -> Result<(), String> {
    let told = |path: &FilePath| {
        let path = path.display().to_string();
        move |error: io::Error| format!("{path} cannot be read: {error}")
    };
    for entry in fs::read_dir(directory).map_err(told(directory))? {
        let entry = entry.map_err(told(directory))?;
        let (kind, path) = (entry.file_type().map_err(told(directory))?, entry.path());
        parts.push(entry.file_name().to_string_lossy().into_owned());
        if kind.is_dir() {
            visit(&path, parts, each)?;
        } else if kind.is_file() {
            each(parts, &path)?;
        } else {
            return Err(format!(
                "{} is neither a file nor a directory",
                path.display()
            ));
        }
        parts.pop();
    }
    Ok(())
}

/// Whether a file is JSON to its end, where it should be. Compressed ones are the validator's business.
fn readable(path: &FilePath) -> Result<(), String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.contains('.') && !name.ends_with(".json") {
        return Ok(());
    }
    let read = || -> Result<(), json::Fault> {
        let mut reader = Reader::new(File::open(path)?, MAX_RECORD);
        reader.skip()?;
        reader.finish()
    };
    read().map_err(|fault| format!("{} is not JSON: {fault}", path.display()))
}
