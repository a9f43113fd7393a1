//! Looking through the validator's tree for what would keep it from starting again, a little at each probe.
//!
//! The tree may have 15 000 files and 190 MB. A probe looks at some hundred entries and reads some megabytes at most, and
//! goes on where the one before stopped. A file that has not changed since it was found good is not read again, and a large
//! one that changes all the time not more than once in an hour.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::complete::Complete;
use super::position;

/// How much a probe looks at: entries of directories, bytes of files, time.
const ENTRIES: usize = 1000;
const BYTES: u64 = 4 * 1024 * 1024;
const TIME: Duration = Duration::from_secs(2);

/// A larger file is a ledger; its validator writes it anew every few minutes.
const LARGE: u64 = 1024 * 1024;
const LARGE_PAUSE: Duration = Duration::from_secs(3600);

/// No position is larger.
const LARGEST_POSITION: u64 = 16 * 1024 * 1024;

/// So many damaged files are remembered by name; the rest are found once these are mended.
const SUSPECTS: usize = 16;

/// Not even a restore makes a directory with so many levels.
const DEEPEST: usize = 16;

/// What the tree is, as of the last time that all of it was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub files: u64,
    /// On the disk.
    pub bytes: u64,
}

/// A file that would keep the validator from starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// Inside the checkout.
    pub path: PathBuf,
    pub what: String,
}

/// The way through the tree, kept from probe to probe.
#[derive(Debug)]
pub(super) struct Survey {
    root: PathBuf,
    /// Directories that are still to be looked at, and those entries of the current one that are.
    waiting: Vec<PathBuf>,
    entries: Vec<PathBuf>,
    reading: Option<Reading>,
    /// By a hash of the path: what a file was when it was found good.
    good: HashMap<u64, u64>,
    seen: HashSet<u64>,
    large: HashMap<u64, Instant>,
    suspects: BTreeMap<PathBuf, Suspect>,
    sizes: [Size; 2],
    whole: Option<[Size; 2]>,
    /// By a hash of the path: the newest order of each position, in milliseconds since 1970.
    orders: HashMap<u64, i64>,
    looks: u64,
}

/// A large file that is read over several probes.
#[derive(Debug)]
struct Reading {
    path: PathBuf,
    file: File,
    print: u64,
    complete: Complete,
}

/// A file that looked damaged. It counts when it looks so again, unchanged: it may just have been written.
#[derive(Debug)]
struct Suspect {
    print: u64,
    what: String,
    /// The look at which it was so first.
    since: u64,
    is_sure: bool,
}

/// What is walked: the state, and the backups of it, which are only counted.
const TREES: [&str; 2] = ["validation", "backups"];

/// How much a probe may still do.
struct Budget {
    entries: usize,
    bytes: u64,
    until: Instant,
}

impl Budget {
    fn is_spent(&self) -> bool {
        self.entries == 0 || self.bytes == 0 || Instant::now() >= self.until
    }
}

impl Survey {
    /// Nothing has been looked at yet.
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            waiting: Vec::new(),
            entries: Vec::new(),
            reading: None,
            good: HashMap::new(),
            seen: HashSet::new(),
            large: HashMap::new(),
            suspects: BTreeMap::new(),
            sizes: Default::default(),
            whole: None,
            orders: HashMap::new(),
            looks: 0,
        }
    }

    /// Looks on. Blocks for some seconds at most.
    pub(super) fn look(&mut self) {
        let mut budget = Budget {
            entries: ENTRIES,
            bytes: BYTES,
            until: Instant::now() + TIME,
        };
        self.looks += 1;
        self.look_again(&mut budget);
        if self.is_at_an_end() {
            self.sizes = Default::default();
            self.seen.clear();
            self.waiting = TREES.map(|tree| self.root.join(tree)).to_vec();
        }
        while !budget.is_spent() && !self.is_at_an_end() {
            self.go_on(&mut budget);
        }
        if self.is_at_an_end() {
            self.whole = Some(self.sizes.clone());
            // What is gone is forgotten.
            let seen = &self.seen;
            self.good.retain(|path, _| seen.contains(path));
            self.large.retain(|path, _| seen.contains(path));
            self.orders.retain(|path, _| seen.contains(path));
        }
    }

    /// The sizes of the state and of the backups, once all was seen.
    pub(super) fn sizes(&self) -> Option<&[Size; 2]> {
        self.whole.as_ref()
    }

    /// When the newest order was processed that was seen, in milliseconds since 1970; only once all was seen.
    pub(super) fn newest_order(&self) -> Option<i64> {
        self.whole.as_ref()?;
        self.orders.values().max().copied()
    }

    /// What would keep the validator from starting.
    pub(super) fn damages(&self) -> Vec<Damage> {
        let sure = self.suspects.iter().filter(|(_, suspect)| suspect.is_sure);
        let inside = |path: &Path| path.strip_prefix(&self.root).unwrap_or(path).to_owned();
        sure.map(|(path, suspect)| Damage {
            path: inside(path),
            what: suspect.what.clone(),
        })
        .collect()
    }

    fn is_at_an_end(&self) -> bool {
        self.waiting.is_empty() && self.entries.is_empty() && self.reading.is_none()
    }

    /// One directory, one entry, or one piece of a large file.
    fn go_on(&mut self, budget: &mut Budget) {
        if let Some(reading) = self.reading.take() {
            self.read_on(reading, budget);
        } else if let Some(path) = self.entries.pop() {
            budget.entries -= 1;
            self.entry(path, budget);
        } else if let Some(directory) = self.waiting.pop() {
            budget.entries -= 1;
            // What cannot be read or is not there has nothing that could be told of.
            let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
            self.entries.extend(entries.map(|entry| entry.path()));
        }
    }

    fn entry(&mut self, path: PathBuf, budget: &mut Budget) {
        // Never through a link: it may lead anywhere.
        let Ok(about) = fs::symlink_metadata(&path) else {
            return;
        };
        let Ok(inside) = path.strip_prefix(&self.root) else {
            return;
        };
        let tree = usize::from(inside.starts_with(TREES[1]));
        if about.is_dir() {
            let is_in_tmp = inside.parent() == Some(Path::new("validation/tmp"));
            if is_in_tmp {
                let what =
                    "it is a directory, and the validator removes only files there".to_owned();
                self.suspect(path, fingerprint(&about), what);
            } else if inside.components().count() < DEEPEST {
                self.waiting.push(path);
            }
            return;
        }
        self.sizes[tree].files += 1;
        self.sizes[tree].bytes += about.blocks() * 512;
        let Some(role) = (about.is_file() && tree == 0)
            .then(|| Role::of(inside))
            .flatten()
        else {
            return;
        };
        let (key, print) = (hash(&path), fingerprint(&about));
        self.seen.insert(key);
        if self.good.get(&key) == Some(&print) {
            return;
        }
        self.check(path, role, &about, budget);
    }

    fn check(&mut self, path: PathBuf, role: Role, about: &Metadata, budget: &mut Budget) {
        let print = fingerprint(about);
        match role {
            Role::Position => {
                budget.bytes = budget.bytes.saturating_sub(about.len());
                let read = read(&path, LARGEST_POSITION).map(|text| position::newest_order(&text));
                match read {
                    Ok(Ok(newest)) => {
                        let key = hash(&path);
                        match newest {
                            Some(newest) => self.orders.insert(key, newest),
                            None => self.orders.remove(&key),
                        };
                        self.found_good(&path, print);
                    }
                    Ok(Err(what)) => self.suspect(path, print, what),
                    // It went away, or may not be read by the agent.
                    Err(_) => {}
                }
            }
            Role::Packed => match read(&path, 2) {
                Ok(start) if start.as_slice() == b"\x1f\x8b" && about.len() >= 18 => {
                    self.found_good(&path, print);
                }
                Ok(_) => self.suspect(path, print, "it is no gzip file".to_owned()),
                Err(_) => {}
            },
            Role::Section => {
                let key = hash(&path);
                let now = Instant::now();
                let is_recent = |at: &Instant| now.duration_since(*at) < LARGE_PAUSE;
                let is_known = self.large.get(&key).is_some_and(is_recent);
                if about.len() > LARGE && is_known && !self.suspects.contains_key(&path) {
                    return;
                }
                if about.len() > LARGE {
                    self.large.insert(key, now);
                }
                if let Ok(file) = open(&path) {
                    let complete = Complete::default();
                    let reading = Reading {
                        path,
                        file,
                        print,
                        complete,
                    };
                    self.read_on(reading, budget);
                }
            }
        }
    }

    fn read_on(&mut self, mut reading: Reading, budget: &mut Budget) {
        let mut piece = vec![0; 64 * 1024];
        loop {
            if budget.bytes == 0 || Instant::now() >= budget.until {
                self.reading = Some(reading);
                return;
            }
            match reading.file.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => {
                    reading.complete.feed(&piece[..count]);
                    budget.bytes = budget.bytes.saturating_sub(count as u64);
                }
                Err(error) => {
                    let what = format!("it cannot be read: {error}");
                    self.suspect(reading.path, reading.print, what);
                    return;
                }
            }
            if reading
                .complete
                .problem()
                .is_some_and(|what| what != "it breaks off")
            {
                break;
            }
        }
        match reading.complete.problem() {
            None => self.found_good(&reading.path, reading.print),
            Some(what) => self.suspect(reading.path, reading.print, what.to_owned()),
        }
    }

    fn found_good(&mut self, path: &Path, print: u64) {
        self.good.insert(hash(path), print);
        self.suspects.remove(path);
    }

    fn suspect(&mut self, path: PathBuf, print: u64, what: String) {
        let since = self.looks;
        if let Some(known) = self.suspects.get_mut(&path) {
            if known.print == print {
                known.is_sure |= known.since < since;
                return;
            }
        } else if self.suspects.len() >= SUSPECTS {
            return;
        }
        let suspect = Suspect {
            print,
            what,
            since,
            is_sure: false,
        };
        self.suspects.insert(path, suspect);
    }

    /// What looked damaged is looked at again at each probe, before all else.
    fn look_again(&mut self, budget: &mut Budget) {
        let paths: Vec<PathBuf> = self.suspects.keys().cloned().collect();
        for path in paths {
            if budget.is_spent() {
                return;
            }
            let Ok(about) = fs::symlink_metadata(&path) else {
                self.suspects.remove(&path);
                continue;
            };
            let is_same = |known: &Suspect| known.print == fingerprint(&about);
            if self
                .suspects
                .get(&path)
                .is_some_and(|known| known.is_sure && is_same(known))
            {
                continue;
            }
            let role = path.strip_prefix(&self.root).ok().and_then(Role::of);
            match role {
                Some(role) if about.is_file() && self.reading.is_none() => {
                    self.check(path, role, &about, budget);
                }
                Some(_) => {}
                // A directory where only files may be.
                None if about.is_dir() => {
                    if let Some(known) = self.suspects.get_mut(&path) {
                        known.is_sure = true;
                    }
                }
                None => {
                    self.suspects.remove(&path);
                }
            }
        }
    }
}

/// What a file is to the validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Position,
    Section,
    Packed,
}

impl Role {
    /// By its path inside the checkout.
    fn of(inside: &Path) -> Option<Self> {
        let state = inside.strip_prefix(TREES[0]).ok()?;
        let name = state.file_name()?.to_str()?;
        let parts: Vec<_> = state.components().collect();
        let is_position = parts.len() > 3
            && parts[0].as_os_str() == "miners"
            && parts[2].as_os_str() == "positions";
        if is_position {
            // The validator passes over these two alone.
            let is_passed_over = name == ".DS_Store" || name.ends_with(".swp");
            return (!is_passed_over).then_some(Self::Position);
        }
        match parts.len() {
            1 if name.ends_with(".json") => Some(Self::Section),
            1 if name.ends_with(".json.gz") => Some(Self::Packed),
            _ => None,
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    File::options()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
}

fn read(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    open(path)?.take(most).read_to_end(&mut text)?;
    Ok(text)
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What changes when a file is written anew.
fn fingerprint(about: &Metadata) -> u64 {
    hash((about.ino(), about.len(), about.mtime(), about.mtime_nsec()))
}

#[cfg(test)]
#[path = "survey_tests.rs"]
mod tests;
