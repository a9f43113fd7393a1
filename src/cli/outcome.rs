//! How an operation has ended, in words and as the program's exit status.

use serde::Deserialize;
use serde_json::Value;

use super::progress::title;
use super::renewed::{Anew, Rebooted, Resynced, Synced};
use super::units::{bytes, milliseconds, seconds};
use super::{Exit, Global, print};
use crate::any_error::Outcome;
use crate::data::bucket::{Fetched, Uploaded};
use crate::data::{Level, Timings, Way};
use crate::protocol::{Name, Operation, OperationRecord, State};

/// Tells how an operation has ended.
pub fn tell(record: &OperationRecord, global: &Global) -> Outcome<Exit> {
    if global.json {
        print::json(record)?;
        return Ok(exit(record));
    }
    let what = title(record);
    match record.state {
        State::Succeeded => {
            let took = record.steps.iter().filter_map(|step| step.took_ms).sum();
            let unchanged = match record.changed {
                Some(false) if !record.dry_run && record.operation != Operation::Verify => {
                    ", nothing had to be changed"
                }
                _ => "",
            };
            print::out(&format!("{what}: done in {}{unchanged}\n", seconds(took)))?;
            if let Some(output) = output(record) {
                print::out(&output)?;
            }
        }
        state => {
            let reason = record
                .failure
                .as_ref()
                .map(|failure| format!(": {}", failure.message))
                .unwrap_or_default();
            let (state, id) = (state.as_str(), &record.id);
            print::err(&format!("{what}: {state}{reason} ({id})"));
            if record.is_out_of_service() {
                let workload = record
                    .workload
                    .as_ref()
                    .map_or("the workload", Name::as_str);
                print::err(&format!("{workload} ran before and is not back in service"));
            }
            // The snapshot may be good all the same, or what is damaged in it is told; of others this is a plan.
            if let Operation::Snapshot | Operation::Verify | Operation::RestoreCheckpoint =
                record.operation
                && let Some(output) = output(record)
            {
                print::out(&output)?;
            }
        }
    }
    Ok(exit(record))
}

/// How the program ends after an operation that ended so.
pub fn exit(record: &OperationRecord) -> Exit {
    match record.state {
        State::Accepted | State::Running | State::Succeeded => Exit::Success,
        State::Failed if record.is_out_of_service() => Exit::OutOfService,
        State::Failed => Exit::Failure,
        State::Cancelled | State::Expired => Exit::NotDone,
    }
}

/// The output of an operation for people; what this program does not know is shown as it came.
pub fn output(record: &OperationRecord) -> Option<String> {
    let output = record.output.as_ref()?;
    let known = match record.operation {
        Operation::Snapshot => read(output, Snapshot::said),
        Operation::Restore => read(output, |restored: Restored| restored.said(record.dry_run)),
        Operation::Resync => read(output, Resynced::said),
        Operation::RestoreCheckpoint => read(output, |restored: RestoredCheckpoint| {
            restored.said(record.state == State::Succeeded && !record.dry_run)
        }),
        Operation::Fastsync => read(output, |synced: Synced| synced.said(record.dry_run)),
        Operation::Reset => read(output, Anew::said),
        Operation::Reboot => read(output, |rebooted: Rebooted| {
            rebooted.said(record.dry_run, record.state)
        }),
        Operation::Verify => read(output, Verified::said),
        Operation::Prune => read(output, |pruned: Pruned| pruned.said(record.dry_run)),
        Operation::Upload => read(output, |sent: Sent| sent.said(record.dry_run)),
        Operation::Start
        | Operation::Stop
        | Operation::Restart
        | Operation::Logs
        | Operation::Cancel => None,
    };
    Some(known.unwrap_or_else(|| as_it_came(output)))
}

fn read<'a, T: Deserialize<'a>>(
    output: &'a Value,
    say: impl FnOnce(T) -> String,
) -> Option<String> {
    T::deserialize(output).ok().map(say)
}

fn as_it_came(output: &Value) -> String {
    let text = match output {
        Value::String(text) => text.clone(),
        // Writing a value that was read cannot fail.
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    };
    match text.is_empty() || text.ends_with('\n') {
        true => text,
        false => text + "\n",
    }
}

fn at_height(height: Option<u64>) -> String {
    height.map_or_else(String::new, |height| format!(", height {height}"))
}

/// Of `snapshot`; a plan has the name and the way alone.
#[derive(Deserialize)]
struct Snapshot {
    name: Name,
    way: Way,
    #[serde(flatten)]
    taken: Option<Taken>,
}

#[derive(Deserialize)]
struct Taken {
    clean: bool,
    height: Option<u64>,
    files: u64,
    bytes: u64,
    downtime_ms: Option<u64>,
    timings: Timings,
}

impl Snapshot {
    fn said(self) -> String {
        let Self { name, way, taken } = self;
        let Some(taken) = taken else {
            return format!("it would be taken by {way}, as {name}\n");
        };
        let height = at_height(taken.height);
        let torn = if taken.clean {
            ""
        } else {
            ", as after a power cut"
        };
        let size = bytes(taken.bytes);
        let files = taken.files;
        format!(
            "{name}: {size} in {files} files, by {way}{height}{torn}\n{}",
            taken.away()
        )
    }
}

impl Taken {
    /// The parts of the downtime, as far as they are known.
    fn away(&self) -> String {
        let parts: Vec<_> = [
            ("stop", self.timings.stop_ms),
            ("cut", self.timings.cut_ms),
            ("start", self.timings.start_ms),
        ]
        .into_iter()
        .filter_map(|(part, took)| Some(format!("{part} {}", milliseconds(took?))))
        .collect();
        let Some(downtime) = self.downtime_ms else {
            return String::new();
        };
        let first = self.timings.first_progress_ms;
        let first = first.map_or_else(String::new, |first| {
            format!("; first new block after {}", milliseconds(first))
        });
        let downtime = milliseconds(downtime);
        format!("away for {downtime}: {}{first}\n", parts.join(", "))
    }
}

/// Of `restore`.
#[derive(Deserialize)]
struct Restored {
    snapshot: Name,
    height: Option<u64>,
    bytes: u64,
    files: u64,
    fetch: Option<FromBucket>,
    needs_bytes: Option<u64>,
    free_bytes: Option<u64>,
}

/// What came from the bucket for it, or would come.
#[derive(Deserialize)]
struct FromBucket {
    bucket: String,
    #[serde(flatten)]
    fetched: Fetched,
}

impl Restored {
    fn said(self, dry_run: bool) -> String {
        let height = at_height(self.height);
        let (snapshot, size, files) = (self.snapshot, bytes(self.bytes), self.files);
        let fetch = self
            .fetch
            .map_or_else(String::new, |fetch| fetch.said(dry_run));
        let room = self.needs_bytes.zip(self.free_bytes);
        let room = room.map_or_else(String::new, |(needs, free)| {
            format!("needs at most {}, {} are free\n", bytes(needs), bytes(free))
        });
        format!("{snapshot}: {size} in {files} files{height}\n{fetch}{room}")
    }
}

impl FromBucket {
    fn said(self, dry_run: bool) -> String {
        let Fetched {
            objects,
            fetched,
            fetched_bytes,
            already,
        } = self.fetched;
        let (bucket, size) = (self.bucket, bytes(fetched_bytes));
        match (already, dry_run) {
            (true, _) => "it is in the store already\n".to_owned(),
            (false, true) => format!("{size} would be fetched from {bucket}\n"),
            (false, false) => {
                format!("{size} fetched from {bucket}, {fetched} of {objects} files\n")
            }
        }
    }
}

/// Of `restore-checkpoint`; a plan is only what the check found.
#[derive(Deserialize)]
struct RestoredCheckpoint {
    file: String,
    summary: Figures,
    problems: Found,
    warnings: Found,
    on_disk: Option<OnDisk>,
    #[serde(default)]
    companions: Vec<Companion>,
    backup: Option<Backup>,
    #[serde(default)]
    removed_backups: Vec<Removed>,
}

#[derive(Deserialize)]
struct Figures {
    version: Option<String>,
    miners: u64,
    positions: u64,
    open_positions: u64,
    orders: u64,
    files: u64,
    tree_bytes: u64,
}

#[derive(Deserialize)]
struct Found {
    listed: Vec<Damage>,
    total: u64,
}

#[derive(Deserialize)]
struct OnDisk {
    miners: u64,
    positions: u64,
    lost_miners: u64,
    lost_positions: u64,
    lost_orders: u64,
    newer_positions: u64,
    added_miners: u64,
    added: Vec<String>,
    removed: Vec<String>,
}

#[derive(Deserialize)]
struct Companion {
    file: String,
    fate: String,
    what: String,
    #[serde(default)]
    hotkeys: Vec<String>,
}

#[derive(Deserialize)]
struct Backup {
    path: String,
}

impl RestoredCheckpoint {
    fn said(self, made: bool) -> String {
        let figures = &self.summary;
        let version = figures.version.as_deref().unwrap_or("unknown");
        let mut said = format!(
            "{}: version {version}, {} miners, {} positions ({} open), {} orders\n",
            self.file, figures.miners, figures.positions, figures.open_positions, figures.orders
        );
        if let Some(found) = &self.on_disk {
            said += &found.said();
        }
        let verb = if made { "made" } else { "would make" };
        let size = bytes(figures.tree_bytes);
        said += &format!("{verb} {} files, {size}\n", figures.files);
        for (what, found) in [("problem", &self.problems), ("warning", &self.warnings)] {
            for line in &found.listed {
                said += &format!("{what}: {} {}\n", line.path, line.what);
            }
            let more = found.total.saturating_sub(found.listed.len() as u64);
            if more > 0 {
                said += &format!("and {more} more\n");
            }
        }
        for companion in &self.companions {
            let Companion {
                file, fate, what, ..
            } = companion;
            said += &format!("{file}: {fate}: {what}\n");
            said += &names("  ", &companion.hotkeys);
        }
        if let Some(backup) = self.backup.as_ref().filter(|_| made) {
            said += &format!("the old state is {}\n", backup.path);
        }
        for removed in &self.removed_backups {
            said += &format!("removed backup {} ({})\n", removed.name, removed.reason);
        }
        said
    }
}

impl OnDisk {
    fn said(&self) -> String {
        let mut said = format!(
            "on disk: {} miners, {} positions; only on disk: {} miners, {} positions, {} orders\n",
            self.miners, self.positions, self.lost_miners, self.lost_positions, self.lost_orders
        );
        said += &format!(
            "positions newer on disk: {}; miners added: {}, removed: {}\n",
            self.newer_positions, self.added_miners, self.lost_miners
        );
        said += &names("  + ", &self.added);
        said += &names("  - ", &self.removed);
        said
    }
}

fn names(before: &str, names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("{before}{name}\n"))
        .collect()
}

/// Of `verify`; a plan has the name and the level alone.
#[derive(Deserialize)]
struct Verified {
    snapshot: Name,
    level: Level,
    bytes: Option<u64>,
    checked: Option<u64>,
    #[serde(default)]
    damages: Vec<Damage>,
}

#[derive(Deserialize)]
struct Damage {
    path: String,
    what: String,
}

impl Verified {
    fn said(self) -> String {
        let Self {
            snapshot, level, ..
        } = self;
        let (Some(read), Some(checked)) = (self.bytes, self.checked) else {
            return format!("{snapshot} would be read again ({level:?})\n");
        };
        let mut said = String::new();
        for Damage { path, what } in &self.damages {
            said += &format!("{snapshot}: {path}: {what}\n");
        }
        let verdict = if said.is_empty() { "good" } else { "BAD" };
        let read = bytes(read);
        said + &format!(
            "{snapshot}: {verdict} ({level:?}: {read} read, {checked} blocks and records checked)\n"
        )
    }
}

/// Of `upload`.
#[derive(Deserialize)]
struct Sent {
    snapshot: Name,
    bucket: String,
    upload: Uploaded,
}

impl Sent {
    fn said(self, dry_run: bool) -> String {
        let Self {
            snapshot,
            bucket,
            upload,
        } = self;
        let size = bytes(upload.sent_bytes);
        let (sent, objects) = (upload.sent, upload.objects);
        match (upload.already, dry_run) {
            (true, _) => format!("{snapshot}: {bucket} has it already\n"),
            (false, true) => format!("{snapshot}: {size} would be sent to {bucket}\n"),
            (false, false) => format!(
                "{snapshot}: {size} sent to {bucket}, {sent} of {objects} files; compared by {}\n",
                upload.compared_by
            ),
        }
    }
}

/// Of `prune`.
#[derive(Deserialize)]
struct Pruned {
    removed: Vec<Removed>,
}

#[derive(Deserialize)]
struct Removed {
    name: Name,
    reason: String,
}

impl Pruned {
    fn said(self, dry_run: bool) -> String {
        let verb = if dry_run { "would remove" } else { "removed" };
        self.removed
            .iter()
            .map(|removed| format!("{verb} {} ({})\n", removed.name, removed.reason))
            .collect()
    }
}
