//! The processes of an app: all that belong to it, whoever their parent is by now.
//!
//! PM2 kills the descendants of an app's process. One that has forked twice is nobody's descendant, and would go on
//! writing. So an app's processes are known by three signs: they descend from its process, they are in the session that
//! PM2 gives to each app, or they bear the number that PM2 puts into the environment of each app.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

use nix::sys::signal::Signal;
use nix::unistd::{Pid, Uid};

use super::list::Entry;
use crate::runtime::as_user;

/// An environment may have two megabytes; what is looked for is in the first part or the process is known otherwise.
const MOST_ENVIRONMENT: u64 = 2 * 1024 * 1024;

/// A process, and when it was started: its number may come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Process {
    pub pid: u32,
    started: u64,
}

/// What the kernel says of a process.
struct Stat {
    process: Process,
    parent: u32,
    session: u32,
}

/// The signs of an app, and those of its processes that were seen.
#[derive(Debug)]
pub(super) struct Family {
    root: Option<u32>,
    mark: Option<Vec<u8>>,
    /// Never of it, whatever they look like: the agent and the daemon.
    others: Vec<u32>,
    /// Whose they are. A user's files and list may name any process.
    owner: Uid,
    seen: BTreeSet<Process>,
}

impl Family {
    /// The processes of this app of that user now. `daemon` is PM2's own.
    pub(super) fn of(entry: &Entry, owner: Uid, daemon: Option<u32>) -> Self {
        let mark = entry
            .unique_id
            .as_ref()
            .map(|id| format!("unique_id={id}").into_bytes());
        Self::new(entry.pid, mark, owner, daemon)
    }

    /// The processes of that user that descend from this one, are in its session, or bear this mark.
    pub(super) fn new(
        root: Option<u32>,
        mark: Option<Vec<u8>>,
        owner: Uid,
        daemon: Option<u32>,
    ) -> Self {
        let mut others = vec![1, std::process::id()];
        others.extend(daemon);
        let root = root.filter(|root| !others.contains(root));
        let mut family = Self {
            root,
            mark,
            others,
            owner,
            seen: BTreeSet::new(),
        };
        family.look();
        family
    }

    /// Those that are left, with those that came since.
    pub(super) fn left(&mut self) -> Vec<Process> {
        let alive = self.look();
        self.seen.retain(|process| alive.contains(process));
        self.seen.iter().copied().collect()
    }

    /// Sends a signal to those that are left.
    pub(super) fn signal(&mut self, signal: Signal) {
        let left: Vec<Pid> = self
            .left()
            .iter()
            .filter_map(|process| i32::try_from(process.pid).ok())
            .map(Pid::from_raw)
            .collect();
        as_user::signal(self.owner, &left, signal);
    }

    /// Adds what belongs to it, and gives all processes that could.
    fn look(&mut self) -> BTreeSet<Process> {
        let mut all: Vec<Stat> = all();
        all.retain(|stat| is_of(stat.process.pid, self.owner));
        loop {
            let before = self.seen.len();
            for stat in &all {
                if self.others.contains(&stat.process.pid) || self.seen.contains(&stat.process) {
                    continue;
                }
                let is_child = |process: &Process| {
                    process.pid == stat.parent && process.started <= stat.process.started
                };
                let belongs = Some(stat.process.pid) == self.root
                    || Some(stat.session) == self.root
                    || self.seen.iter().any(is_child)
                    || self
                        .mark
                        .as_ref()
                        .is_some_and(|mark| bears(stat.process.pid, mark));
                if belongs {
                    self.seen.insert(stat.process);
                }
            }
            // A child may stand before its parent.
            if self.seen.len() == before {
                break;
            }
        }
        all.into_iter().map(|stat| stat.process).collect()
    }
}

/// Whether a process is that user's. Those of root's PM2 may be anybody's: it gives an app the user that it asks for.
pub(super) fn is_of(pid: u32, owner: Uid) -> bool {
    let about = || fs::metadata(format!("/proc/{pid}"));
    owner.is_root() || about().is_ok_and(|about| about.uid() == owner.as_raw())
}

/// Whether a process has this in its environment. What else is there is not kept.
pub(super) fn bears(pid: u32, mark: &[u8]) -> bool {
    let mut environment = Vec::new();
    let read = fs::File::open(format!("/proc/{pid}/environ"))
        .and_then(|file| file.take(MOST_ENVIRONMENT).read_to_end(&mut environment));
    read.is_ok()
        && environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == mark)
}

/// Whether a process leads a session of its own, as PM2 has it for each app.
pub(super) fn leads_session(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat.session == pid)
}

/// Every process that is not a mere corpse.
fn all() -> Vec<Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(stat)
        .collect()
}

/// `/proc/PID/stat`: proc(5).
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in brackets, which may itself have brackets and spaces.
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        process: Process {
            pid,
            started: number(19)?,
        },
        parent: u32::try_from(number(1)?).ok()?,
        session: u32::try_from(number(3)?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn one_that_forked_away_is_known_by_its_mark() {
        let mark = format!("unique_id=test-{}", std::process::id());
        let (key, value) = mark.split_once('=').unwrap();
        // It leaves its parent and its session.
        let mut parent = Command::new("sh")
            .args(["-c", "setsid -f sleep 100; exec sleep 100"])
            .env(key, value)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut family = Family::new(
            Some(parent.id()),
            Some(mark.clone().into_bytes()),
            Uid::effective(),
            None,
        );
        let begun = std::time::Instant::now();
        // Both have become what they are to be: what forks away is a third one for a moment.
        let sleeps = |process: &Process| {
            std::fs::read(format!("/proc/{}/cmdline", process.pid))
                .is_ok_and(|line| line.starts_with(b"sleep"))
        };
        while family
            .left()
            .iter()
            .filter(|process| sleeps(process))
            .count()
            < 2
        {
            assert!(begun.elapsed().as_secs() < 30, "{:?}", family.left());
        }
        parent.kill().unwrap();
        parent.wait().unwrap();
        assert_eq!(family.left().len(), 1);
        family.signal(Signal::SIGKILL);
        while !family.left().is_empty() {
            assert!(begun.elapsed().as_secs() < 30, "{:?}", family.left());
        }
        assert!(!bears(std::process::id(), mark.as_bytes()));
    }

    #[test]
    fn neither_the_agent_nor_the_daemon_is_of_an_app() {
        let own = std::process::id();
        let mut family = Family::new(Some(own), None, Uid::effective(), Some(own));
        assert!(family.left().iter().all(|process| process.pid != own));
        assert_eq!(
            Family::new(Some(1), None, Uid::effective(), None).root,
            None
        );
    }

    #[test]
    fn a_process_of_somebody_else_is_of_no_app_whatever_a_file_says() {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let of =
            |owner: u32| Family::new(Some(child.id()), None, Uid::from_raw(owner), None).left();
        let own = Uid::effective().as_raw();
        assert_eq!(of(own).len(), 1);
        assert!(of(own + 4711).is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
