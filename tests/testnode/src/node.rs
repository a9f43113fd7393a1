//! The running miner: makes blocks, obeys its settings, ends when it is told to.
//!
//! Every front (the command line's socket today) asks the node through its methods and knows no more.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::chain::{self, Chain};
use crate::clock;
use crate::console::Console;
use crate::head::Head;
use crate::layout::Layout;
use crate::mint;
use crate::settings::{Settings, State};
use crate::snapshot::{self, Snapshot, hex};

/// What a front may know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Facts {
    /// The process.
    pub pid: u32,
    /// Seconds since it was started.
    pub uptime: f64,
    /// How often the data directory has been started with, this time included.
    pub starts: usize,
    /// The height of the chain.
    pub height: u64,
    /// The lowest height that is kept.
    pub first: u64,
    /// The hash of the last block, in hex.
    pub hash: String,
    /// Whether a snapshot is being loaded.
    pub loading: bool,
    /// Whether sync was paused.
    pub sync_paused: bool,
    /// All settings.
    pub settings: Settings,
}

/// What the threads of the process share.
#[derive(Debug)]
struct Shared {
    settings: Settings,
    head: Head,
    loading: bool,
    sync_paused: bool,
    stopping: bool,
}

/// The running miner.
#[derive(Debug)]
pub struct Node {
    console: Console,
    started: Instant,
    starts: usize,
    // Lock order: chain before shared.
    chain: Mutex<Option<Chain>>,
    shared: Mutex<Shared>,
    changed: Condvar,
}

impl Node {
    /// Opens the chain; what is wrong is in the log too.
    pub fn open(
        layout: &Layout,
        console: Console,
        mut settings: Settings,
    ) -> Result<Self, chain::Error> {
        let opened = Chain::open(layout, settings.genesis).and_then(|mut chain| {
            if chain.head().end.height < chain.head().first() {
                chain.append(settings.block_size, true)?;
            }
            Ok(chain)
        });
        let chain = match opened {
            Ok(chain) => chain,
            Err(error) => {
                console.error(&format!("blockchain failed to open: {error}"));
                let _ = fs::write(layout.open_failed(), error.to_string());
                return Err(error);
            }
        };
        let _ = fs::remove_file(layout.open_failed());
        let head = chain.head();
        settings.resolve_gap(head.end.height);
        console.info(&format!("blockchain opened at height {}", head.end.height));
        Ok(Self {
            console,
            started: Instant::now(),
            starts: count_lines(&layout.starts()),
            chain: Mutex::new(Some(chain)),
            shared: Mutex::new(Shared {
                settings,
                head,
                loading: false,
                sync_paused: false,
                stopping: false,
            }),
            changed: Condvar::new(),
        })
    }

    /// Makes blocks until it is stopped, then closes the chain.
    pub fn produce(&self) -> Result<(), chain::Error> {
        let mut due = Instant::now();
        let mut logged = None;
        while let Some((size, sync)) = self.wait_until_due(&mut due) {
            let mut chain = lock(&self.chain);
            let Some(open) = chain.as_mut() else { break };
            let head = open.append(size, sync)?;
            self.publish(head);
            drop(chain);
            let second = self.started.elapsed().as_secs();
            if logged.replace(second) != Some(second) {
                self.console
                    .info(&format!("added block {}", head.end.height));
            }
        }
        match lock(&self.chain).take() {
            Some(chain) => {
                chain.close()?;
                self.console.info("stopped");
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Waits for the time of the next block, and returns its size and whether it waits for the disk; `None` when it is time to end.
    fn wait_until_due(&self, due: &mut Instant) -> Option<(usize, bool)> {
        let mut shared = lock(&self.shared);
        loop {
            if shared.stopping {
                return None;
            }
            let idle = shared.loading || shared.sync_paused;
            let now = Instant::now();
            match shared.settings.pace().filter(|_| !idle) {
                None => {
                    shared = self
                        .changed
                        .wait(shared)
                        .unwrap_or_else(PoisonError::into_inner);
                    *due = Instant::now();
                }
                Some(pace) if *due <= now => {
                    // A node that was kept from working for long does not make up for all of it.
                    *due =
                        (*due + pace).max(now.checked_sub(Duration::from_secs(1)).unwrap_or(now));
                    return Some((shared.settings.block_size, shared.settings.sync));
                }
                Some(pace) => {
                    *due = (*due).min(now + pace);
                    let rest = due.saturating_duration_since(now);
                    shared = self
                        .changed
                        .wait_timeout(shared, rest)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                }
            }
        }
    }

    fn publish(&self, head: Head) {
        let mut shared = lock(&self.shared);
        shared.head = head;
        let caught_up = shared
            .settings
            .chain_height
            .is_some_and(|chain_height| head.end.height >= chain_height);
        if shared.settings.state == State::Syncing && caught_up {
            shared.settings.state = State::Normal;
            self.console.info("caught up with the chain");
        }
    }

    /// What a front may know, now.
    pub fn facts(&self) -> Facts {
        let shared = lock(&self.shared);
        Facts {
            pid: std::process::id(),
            uptime: self.started.elapsed().as_secs_f64(),
            starts: self.starts,
            height: shared.head.end.height,
            first: shared.head.first(),
            hash: hex(&shared.head.end.hash),
            loading: shared.loading,
            sync_paused: shared.sync_paused,
            settings: shared.settings.clone(),
        }
    }

    /// Changes a setting.
    pub fn set(&self, key: &str, value: &str) -> Result<(), String> {
        let mut shared = lock(&self.shared);
        let before = shared.settings.state;
        shared.settings.set(key, value)?;
        // What a miner writes while it does what the state stands for.
        match (before, shared.settings.state) {
            (State::Loading, State::Loading) => {}
            (_, State::Loading) => self.console.info("loading snapshot into delayed ledger"),
            (State::Loading, _) => self.console.info("snapshot loaded"),
            _ => {}
        }
        let height = shared.head.end.height;
        shared.settings.resolve_gap(height);
        self.changed.notify_all();
        Ok(())
    }

    /// Pauses sync, or goes on with it.
    pub fn pause_sync(&self, paused: bool) {
        lock(&self.shared).sync_paused = paused;
        self.changed.notify_all();
    }

    /// Writes a line into the log, for those who look for one there.
    pub fn log(&self, text: &str) {
        self.console.error(text);
    }

    /// Ends the process at once, as a crash would: nothing is closed.
    pub fn crash(&self, status: i32) -> ! {
        self.console.error(&format!("crashed with status {status}"));
        std::process::exit(status)
    }

    /// Obeys SIGTERM, or not; returns whether the end has come.
    pub fn terminate(&self) -> bool {
        let settings = lock(&self.shared).settings.clone();
        if settings.ignore_term {
            self.console.info("SIGTERM received, and ignored");
            return false;
        }
        self.console.info("SIGTERM received");
        std::thread::sleep(Duration::from_secs_f64(settings.term_delay));
        lock(&self.shared).stopping = true;
        self.changed.notify_all();
        true
    }

    /// Takes a snapshot into `file`.
    pub fn take_snapshot(&self, file: &Path) -> Result<(), String> {
        let chain = lock(&self.chain);
        let chain = chain.as_ref().ok_or("the chain is closed")?;
        let snapshot = chain
            .snapshot(snapshot::BLOCKS)
            .map_err(|error| error.to_string())?;
        snapshot.write(file).map_err(|error| error.to_string())?;
        self.console
            .info(&format!("snapshot taken: {}", file.display()));
        Ok(())
    }

    /// Replaces the chain by the snapshot in `file`; nothing else is answered meanwhile.
    pub fn load_snapshot(&self, file: &Path) -> Result<(), String> {
        let snapshot = Snapshot::read(file).map_err(|error| error.to_string())?;
        self.install(&snapshot)
    }

    /// The height of the snapshot that a miner loads by itself: one with an empty chain, where the settings
    /// name one.
    pub fn blessed(&self) -> Option<u64> {
        let facts = self.facts();
        let empty = facts.height == facts.settings.genesis;
        facts.settings.blessed.filter(|_| empty)
    }

    /// Loads a snapshot of the chain at `height` as if it had been downloaded.
    pub fn load_minted(&self, height: u64) {
        let delay = Duration::from_secs_f64(self.facts().settings.blessed_delay);
        self.sleep_unless_stopping(delay);
        let size = self.facts().settings.block_size;
        if let Err(error) = self.install(&mint::snapshot(height, size)) {
            self.console.error(&error);
        }
    }

    fn install(&self, snapshot: &Snapshot) -> Result<(), String> {
        let (load_time, fails) = {
            let mut shared = lock(&self.shared);
            if shared.loading {
                return Err("a snapshot is being loaded".to_owned());
            }
            shared.loading = true;
            let settings = &shared.settings;
            (
                Duration::from_secs_f64(settings.load_time),
                settings.load_fails,
            )
        };
        let height = snapshot.head.end.height;
        self.console
            .info(&format!("loading snapshot of height {height}"));
        self.sleep_unless_stopping(load_time);
        let installed = match lock(&self.chain).as_mut() {
            Some(_) if fails => Err("bad_hash".to_owned()),
            Some(chain) => chain.install(snapshot).map_err(|error| error.to_string()),
            None => Err("the chain is closed".to_owned()),
        };
        let mut shared = lock(&self.shared);
        shared.loading = false;
        self.changed.notify_all();
        let head = installed?;
        shared.head = head;
        self.console
            .info(&format!("snapshot loaded, height {}", head.end.height));
        Ok(())
    }

    fn sleep_unless_stopping(&self, time: Duration) {
        let shared = lock(&self.shared);
        drop(
            self.changed
                .wait_timeout_while(shared, time, |shared| !shared.stopping)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

/// Appends to the record of starts.
pub fn record_start(layout: &Layout) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(layout.starts())?;
    writeln!(file, "{}", clock::now().as_secs())
}

fn count_lines(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// A thread that panicked takes the process with it (`panic = "abort"`), so that a poisoned lock is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
