//! One pass through the document: every rule is checked, and every file of the tree is made, in the
//! order of the document. Checking and writing are this same pass with different sinks.

use std::collections::HashSet;
use std::fmt;
use std::ops::ControlFlow;

use super::ahead::Ahead;
use super::compare::Compared;
use super::fingerprint::Content;
use super::held::Held;
use super::json::{Fault, Kind, Number, Object, Path, Reader, Value, push_text};
use super::layout::Layout;
use super::names::{hotkey_fault, shown};
use super::queue::Sender;
use super::report::{Problems, Rules, Summary};
use super::ss58::is_checksummed;
use super::unpack::Tally;
use super::{Error, Progress, json};

/// How much of a streamed file is gathered before it goes to the sink.
const CHUNK: usize = 64 * 1024;

/// Where the files of the tree go.
pub(crate) trait Sink {
    /// One whole file in `directory`, a path inside the tree, and what its bytes come to.
    fn file(
        &mut self,
        directory: &str,
        name: &str,
        bytes: &[u8],
        content: Content,
    ) -> Result<(), Error>;
    /// Starts a file at the top of the tree, which comes in pieces.
    fn begin(&mut self, name: &'static str) -> Result<(), Error>;
    /// The next piece of it.
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error>;
    /// Ends it.
    fn end(&mut self) -> Result<(), Error>;
}

/// Why the pass ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The document cannot be read on.
    Fault(Fault),
    /// Anything else.
    Error(Error),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// The callback that hears of progress and may stop the pass.
pub type Listener<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Which record the pass is at, for errors that end it.
#[derive(Debug, Default)]
pub(crate) struct Place {
    pub(super) section: Option<String>,
    pub(super) hotkey: Option<String>,
    pub(super) index: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(section) = &self.section else {
            return f.write_str("at the top level");
        };
        let section = Path::root(section);
        match (&self.hotkey, self.index) {
            (None, None) => write!(f, "in {section}"),
            (None, Some(index)) => write!(f, "in {}", section.index(index)),
            (Some(hotkey), None) => write!(f, "in {}", section.key(hotkey)),
            (Some(hotkey), Some(index)) => write!(f, "in {}", section.key(hotkey).index(index)),
        }
    }
}

/// The pass, with all it gathers.
pub(crate) struct Walk<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) sink: &'a mut dyn Sink,
    pub(super) layout: Layout,
    pub(super) problems: Problems,
    pub(super) summary: Summary,
    /// Where the miners go whose state on disk is compared.
    pub(super) compare: Option<Sender<Compared>>,
    /// The bytes of the record, or of the piece of a file, being made.
    pub(super) out: Vec<u8>,
    pub(super) place: Place,
    rules: &'a Rules,
    listener: Listener<'a>,
    tally: Tally,
    file_bytes: u64,
}

/// What a [`Walk`] works on.
pub(crate) struct Task<'a> {
    pub(crate) text: Ahead,
    pub(crate) tally: Tally,
    pub(crate) file_bytes: u64,
    pub(crate) rules: &'a Rules,
    pub(crate) layout: Layout,
    pub(crate) compare: Option<Sender<Compared>>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(task: Task<'a>, sink: &'a mut dyn Sink, listener: Listener<'a>) -> Self {
        Self {
            reader: Reader::new(task.text, task.rules.max_record),
            sink,
            layout: task.layout,
            problems: Problems::default(),
            summary: Summary::default(),
            compare: task.compare,
            out: Vec::with_capacity(2 * CHUNK),
            place: Place::default(),
            rules: task.rules,
            listener,
            tally: task.tally,
            file_bytes: task.file_bytes,
        }
    }

    /// Goes through the whole document, to the end of the file.
    pub(crate) fn run(&mut self) -> Result<(), Stop> {
        let mut seen = HashSet::new();
        self.reader.open_object()?;
        let mut first = true;
        while let Some(key) = self.reader.next_key(first)? {
            first = false;
            let key = key.lossy().to_owned();
            self.place = Place {
                section: Some(key.clone()),
                ..Place::default()
            };
            if seen.contains(&key) {
                self.problems.add(&Path::root(&key), "is there twice");
                self.reader.skip()?;
                continue;
            }
            self.section(&key)?;
            seen.insert(key);
        }
        self.place = Place::default();
        self.reader.finish()?;
        self.missing(&seen)?;
        self.summary.unpacked_bytes = self.reader.offset();
        Ok(())
    }

    /// What it found; whoever compares hears that no more comes.
    pub(crate) fn end(self) -> (Problems, Summary) {
        if let Some(compare) = self.compare {
            compare.send(None, 0);
            compare.finish();
        }
        (self.problems, self.summary)
    }

    fn section(&mut self, key: &str) -> Result<(), Stop> {
        let path = Path::root(key);
        match key {
            "version" => {
                let version = self.record(&path)?;
                self.summary.version = version.as_str().map(shown);
            }
            "created_timestamp_ms" => self.summary.created_ms = self.time(&path)?,
            "youngest_order_processed_ms" | "oldest_order_processed_ms" => {
                self.time(&path)?;
            }
            "created_date" | "hard_snap_cutoff_ms" => self.reader.skip()?,
            _ if self.rules.only_names => self.outline(key)?,
            "positions" => self.positions()?,
            "perf_ledgers" => self.perf_ledgers()?,
            "eliminations" => self.eliminations()?,
            "challengeperiod" => self.challengeperiod()?,
            "miner_account_sizes" => self.miner_account_sizes()?,
            "asset_selections" => self.asset_selections()?,
            "limit_orders" if self.layout == Layout::Vanta889 => self.limit_orders()?,
            "limit_orders" => {
                let what = "is not kept by 7.1.1: limit orders are lost";
                self.problems.warn(&path, what);
                self.reader.skip()?;
            }
            _ => {
                self.problems.warn(&path, "is unknown and is ignored");
                self.reader.skip()?;
            }
        }
        Ok(())
    }

    /// What is not there. Some of it the restore script would silently blank or leave stale.
    fn missing(&mut self, seen: &HashSet<String>) -> Result<(), Stop> {
        let required = [
            "created_timestamp_ms",
            "youngest_order_processed_ms",
            "oldest_order_processed_ms",
            "positions",
            "eliminations",
        ];
        for key in required {
            if !seen.contains(key) {
                self.problems.add(&Path::root(key), "is missing");
            }
        }
        if seen.contains("positions") && self.summary.miners == 0 {
            let what = "holds no position: restoring it would wipe every miner";
            self.problems.add(&Path::root("positions"), what);
        }
        if self.rules.only_names {
            return Ok(());
        }
        let optional = [
            (
                "perf_ledgers",
                self.summary.perf_ledgers,
                Some(self.layout.ledgers_file()),
            ),
            (
                "challengeperiod",
                self.summary.challengeperiod,
                Some("challengeperiod.json"),
            ),
            (
                "miner_account_sizes",
                self.summary.miner_account_sizes,
                None,
            ),
            ("asset_selections", self.summary.asset_selections, None),
        ];
        for (key, entries, blank) in optional {
            if entries > 0 {
                continue;
            }
            let missing = if seen.contains(key) {
                "is empty"
            } else {
                "is missing"
            };
            let effect = match blank {
                Some(_) => "restoring it would blank that state",
                None => "restoring it would leave that state stale",
            };
            let what = format!("{missing}: {effect}");
            if self.rules.missing_sections {
                self.problems.warn(&Path::root(key), what);
            } else {
                self.problems.add(&Path::root(key), what);
            }
            if let Some(name) = blank.filter(|_| !seen.contains(key)) {
                self.sink.begin(name)?;
                self.sink.append(b"{}")?;
                self.sink.end()?;
            }
        }
        Ok(())
    }

    // === for the sections ===

    /// Reads one record whole and notes keys that it has twice.
    pub(super) fn record(&mut self, path: &Path<'_>) -> Result<Value, Stop> {
        let value = self.reader.value()?;
        if let Some(key) = self.reader.take_repeated() {
            self.problems.add(
                path,
                format!("has the key `{}` twice in one object", shown(&key)),
            );
        }
        self.tick()?;
        Ok(value)
    }

    /// Has the state of a miner on disk compared with what the checkpoint holds of it.
    pub(super) fn compared(&self, hotkey: &str, held: Held) {
        if let Some(compare) = &self.compare {
            // The other thread listens until this one has ended.
            let bytes = hotkey.len() + held.bytes();
            compare.send(Some((hotkey.to_owned(), held)), bytes);
        }
    }

    /// Tells the listener, who may stop the pass.
    pub(super) fn tick(&mut self) -> Result<(), Stop> {
        let progress = Progress {
            bytes: self.tally.bytes(),
            of: self.file_bytes,
            positions: self.summary.positions,
        };
        match (self.listener)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled.into()),
        }
    }

    /// Goes through the entries of a section that is an object keyed by hotkey, and yields how many there were.
    ///
    /// `each` has to read the value. Keys in `others` are let through although they are no hotkeys.
    pub(super) fn each_hotkey(
        &mut self,
        section: &str,
        others: &[&str],
        mut each: impl FnMut(&mut Self, &str, &Path<'_>) -> Result<(), Stop>,
    ) -> Result<u64, Stop> {
        let root = Path::root(section);
        if !self.expect(Kind::Object, &root)? {
            return Ok(0);
        }
        self.reader.open_object()?;
        let mut seen = HashSet::new();
        let mut first = true;
        while let Some(key) = self.reader.next_key(first)? {
            first = false;
            let hotkey = key.lossy();
            self.place.hotkey = Some(hotkey.to_owned());
            self.place.index = None;
            let path = root.key(hotkey);
            if !others.contains(&hotkey)
                && let Some(fault) = hotkey_fault(hotkey)
            {
                self.problems
                    .add(&path, format!("is no hotkey: its name {fault}"));
            }
            if !seen.insert(hotkey.to_owned()) {
                self.problems.add(&path, "is there twice");
            }
            if section == "positions" && hotkey_fault(hotkey).is_none() && !is_checksummed(hotkey) {
                self.problems.warn(
                    &path,
                    "is a hotkey with a wrong checksum: was it typed by hand?",
                );
            }
            each(self, hotkey, &path)?;
        }
        self.place.hotkey = None;
        Ok(seen.len() as u64)
    }

    /// Whether the next value is of this kind. If it is not, that is noted and the value skipped.
    pub(super) fn expect(&mut self, kind: Kind, path: &Path<'_>) -> Result<bool, Stop> {
        let found = self.reader.kind()?;
        if found == kind {
            return Ok(true);
        }
        let what = format!("is {}, not {}", name_of(found), name_of(kind));
        self.problems.add(path, what);
        self.reader.skip()?;
        Ok(false)
    }

    /// Starts the entry of `hotkey` in a streamed file; `count` says how many came before.
    pub(super) fn begin_entry(&mut self, hotkey: &str, count: u64) {
        if count > 0 {
            self.out.extend(b", ");
        }
        push_text(&mut self.out, &json::Text::from(hotkey));
        self.out.extend(b": ");
    }

    /// Hands a piece of a streamed file on once it is large enough.
    pub(super) fn flush(&mut self) -> Result<(), Stop> {
        if self.out.len() >= CHUNK {
            self.sink.append(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }

    /// Writes a file that is one object keyed by hotkey; `body` streams the entries into `out`.
    pub(super) fn keyed_file(
        &mut self,
        name: &'static str,
        body: impl FnOnce(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        self.sink.begin(name)?;
        self.out.clear();
        self.out.push(b'{');
        body(self)?;
        self.out.push(b'}');
        self.sink.append(&self.out)?;
        self.sink.end()?;
        Ok(())
    }

    /// Notes every number in a value that is kept as it is and is not finite.
    pub(super) fn check_finite(&mut self, value: &Value, path: &Path<'_>) {
        match value {
            Value::Number(number) if !number.as_f64().is_finite() => {
                let what = format!("is not finite ({})", number.as_f64());
                self.problems.add(path, what);
            }
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.check_finite(element, &path.index(index));
                }
            }
            Value::Object(Object(entries)) => {
                for (key, value) in entries {
                    self.check_finite(value, &path.key(key.lossy()));
                }
            }
            _ => {}
        }
    }

    /// A time in milliseconds. With no orders at all the validator writes `Infinity` for the youngest.
    fn time(&mut self, path: &Path<'_>) -> Result<Option<i64>, Stop> {
        match self.record(path)? {
            Value::Number(Number::Integer(time)) if time >= 0 => Ok(Some(time)),
            Value::Number(Number::Float(f64::INFINITY)) => {
                self.problems
                    .warn(path, "is infinite: the writer had no orders");
                Ok(None)
            }
            other => {
                let what = format!("is {}, not a time in milliseconds", other.kind());
                self.problems.add(path, what);
                Ok(None)
            }
        }
    }
}

pub(crate) fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "null",
        Kind::Bool => "a boolean",
        Kind::Number => "a number",
        Kind::Text => "a string",
        Kind::Array => "a list",
        Kind::Object => "an object",
    }
}
