//! Drop directories: a checkpoint that is put there is restored.
//!
//! A file counts once it has stayed as it is for [`STILL`]. It is claimed by a rename, and asked for under an id that its new
//! name holds: `NAME` becomes `NAME.ID.restoring`, and when the operation has ended `NAME.ID.restored` or `NAME.ID.refused`.
//! So a crash at any moment neither loses it nor makes it run twice.

mod place;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use self::place::{Claimed, End, Stamp};
use crate::clock::{ClockSync, Timestamp};
use crate::feed::Update;
use crate::looks::Looks;
use crate::operation::{Answer, Engine};
use crate::protocol::{Event, Level, Name, Operation, Origin, Reason, Request, State};

/// How often a directory is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// How long a file has to stay as it is: whoever sends one over a bad line pauses for less. What comes in pieces all the same
/// is found by its check, which changes nothing.
const STILL: Duration = Duration::from_secs(10);

/// A directory that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropDirectory {
    /// Whose checkpoints these are.
    pub workload: Name,
    /// Where they are put.
    pub path: PathBuf,
    /// The user id of the validator, who may put one there beside root and the agent's own user.
    pub owner: Option<u32>,
    /// Whether one is restored that is older than what is on disk.
    pub force: bool,
}

/// Asks for what is put into drop directories.
pub struct Drops {
    watched: Vec<Watched>,
    engine: Engine,
    clock: ClockSync,
}

struct Watched {
    directory: Arc<DropDirectory>,
    looks: Looks,
    /// Since when each file has been as it is.
    since: BTreeMap<String, (Stamp, Instant)>,
    /// What was said against it last: it is said once.
    told: Option<String>,
}

impl Drops {
    /// Watches these directories. Nothing is looked at yet.
    pub fn new(directories: Vec<DropDirectory>, engine: Engine, clock: ClockSync) -> Self {
        let watch = |directory| Watched {
            directory: Arc::new(directory),
            looks: Looks::new(),
            since: BTreeMap::new(),
            told: None,
        };
        Self {
            watched: directories.into_iter().map(watch).collect(),
            engine,
            clock,
        }
    }

    /// Asks for what comes, for ever.
    pub async fn run(mut self) {
        loop {
            for watched in &mut self.watched {
                let fault = watched.look(&self.engine).await.err();
                if fault != watched.told {
                    if let Some(fault) = &fault {
                        let workload = watched.directory.workload.clone();
                        complain(&self.engine, &self.clock, workload, fault);
                    }
                    watched.told = fault;
                }
            }
            sleep(LOOK).await;
        }
    }
}

fn complain(engine: &Engine, clock: &ClockSync, workload: Name, message: &str) {
    tracing::warn!("{message}");
    engine.feed().send(Update::Event(Box::new(Event {
        at: Timestamp::now(),
        clock_synced: clock.synced(),
        level: Level::Warning,
        kind: "drop-directory".to_owned(),
        workload: Some(workload),
        message: message.to_owned(),
    })));
}

impl Watched {
    /// Brings what was claimed to its end, then claims what is next. One at a time.
    async fn look(&mut self, engine: &Engine) -> Result<(), String> {
        let seen = self.blocking(place::look).await??;
        let mut claimed = seen.claimed;
        let still = self.still(seen.waiting);
        if let Some(name) = still.filter(|_| claimed.is_empty()) {
            let next = self.blocking(move |place| place::claim(place, &name));
            claimed.extend(next.await??);
        }
        for claimed in claimed {
            self.ask(engine, claimed).await?;
        }
        seen.fault.map_or(Ok(()), Err)
    }

    /// The file that has stayed as it is for the longest time, where that is long enough.
    fn still(&mut self, waiting: BTreeMap<String, Stamp>) -> Option<String> {
        let now = Instant::now();
        let before = std::mem::take(&mut self.since);
        for (name, stamp) in waiting {
            let since = match before.get(&name) {
                Some((old, since)) if *old == stamp => *since,
                _ => now,
            };
            self.since.insert(name, (stamp, since));
        }
        let longest = self.since.iter().min_by_key(|(_, (_, since))| *since);
        let (name, (_, since)) = longest?;
        (now - *since >= STILL).then(|| name.clone())
    }

    /// Asks for it, or for what has become of it; its name says how it has ended.
    async fn ask(&self, engine: &Engine, claimed: Claimed) -> Result<(), String> {
        let mut args = Map::new();
        let path = claimed.path.to_string_lossy().into_owned();
        args.insert("source".to_owned(), Value::String(path));
        if claimed.is_forced() {
            args.insert("force".to_owned(), Value::Bool(true));
        }
        let request = Request {
            id: claimed.id.clone(),
            operation: Operation::RestoreCheckpoint,
            workload: Some(self.directory.workload.clone()),
            args,
            origin: Origin::Policy,
            expires_at: None,
            dry_run: false,
        };
        let end = match engine.submit(request).await {
            Answer::Accepted(_) => return Ok(()),
            Answer::Known(record) => match record.state {
                State::Accepted | State::Running => return Ok(()),
                State::Succeeded => End::Restored,
                State::Failed | State::Cancelled | State::Expired => End::Refused,
            },
            Answer::Refused(refusal) => match refusal.failure.reason {
                // What may be taken a little later is asked again.
                Reason::QueueFull | Reason::ShuttingDown | Reason::JournalFailed => return Ok(()),
                // It is another directory's, or was this one's under another name: its own operation may be at work on it.
                Reason::IdReused => return Err(refusal.failure.message),
                _ => End::Refused,
            },
        };
        self.blocking(move |_| claimed.end(end)).await?
    }

    async fn blocking<T: Send + 'static>(
        &self,
        look: impl FnOnce(&DropDirectory) -> T + Send + 'static,
    ) -> Result<T, String> {
        let directory = self.directory.clone();
        let seen = self.looks.look(move || look(&directory)).await;
        seen.ok_or_else(|| format!("{} does not answer", self.directory.path.display()))
    }
}
