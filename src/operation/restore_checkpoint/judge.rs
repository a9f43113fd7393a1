//! Opening the checkpoint, checking all of it, and telling what was found.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::checkpoint::{
    self, Checkpoint, Findings, Layout, Progress, Report, Rules, Target, Written, check, stage,
};
use crate::data::{Control, Interrupted};
use crate::operation::arguments::RestoreCheckpoint;
use crate::operation::unseen;
use crate::protocol::{Failure, Reason};
use crate::sha256::Sha256;

/// How many problems, warnings and losses a record lists; it is told at every step.
const TOLD: usize = 20;

/// Where the checkpoint is to be found.
pub(super) enum Where {
    /// Under one of its two names in this directory.
    In(PathBuf),
    /// This file, whatever its name says of its content.
    File(PathBuf),
    /// This file, whose name has to fit.
    Named(PathBuf),
}

impl Where {
    pub fn open(&self) -> Result<Checkpoint, checkpoint::Error> {
        match self {
            Where::In(directory) => Checkpoint::find(directory),
            Where::File(path) => Checkpoint::open_by_content(path),
            Where::Named(path) => Checkpoint::open(path),
        }
    }
}

/// A checkpoint that was checked.
pub(super) struct Judged {
    pub checkpoint: Checkpoint,
    pub report: Report,
    /// The new tree, where one was to be made and nothing speaks against it.
    pub written: Option<Written>,
}

/// The rules for a validator whose code is of this release.
pub(super) fn rules(
    version: Result<String, String>,
    asked: &RestoreCheckpoint,
) -> Result<Rules, Failure> {
    let layout = match (asked.layout, version) {
        (Some(layout), _) => layout,
        (None, Ok(version)) => version.parse::<Layout>().map_err(|unknown| {
            refuse_version(&format!(
                "the validator's code is of an unknown release: {unknown}"
            ))
        })?,
        (None, Err(why)) => {
            return Err(refuse_version(&format!(
                "the release of the validator's code cannot be told: {why}"
            )));
        }
    };
    Ok(Rules {
        layout: Some(layout),
        unknown_version: asked.layout.is_some(),
        missing_sections: asked.allow_missing_sections,
        older_than_disk: asked.force,
        ..Rules::default()
    })
}

fn refuse_version(why: &str) -> Failure {
    let message = format!(
        "{why}. Name the `layout` that it reads, or let its own script do it: engine = \"upstream\""
    );
    Failure::new(Reason::ConditionsNotMet, message)
}

/// Opens and checks it, against the state in `live`, and makes the new tree `into` of it on the way.
pub(super) fn judge(
    place: &Where,
    sha256: Option<&Sha256>,
    rules: &Rules,
    live: Option<&Path>,
    into: Option<&Target<'_>>,
    control: &mut Control,
) -> Result<Judged, Failure> {
    let checkpoint = place.open().map_err(|error| failure_of(&error))?;
    if let Some(wanted) = sha256 {
        let found = checkpoint.sha256().map_err(|error| failure_of(&error))?;
        if found != *wanted {
            let message = format!(
                "{} has the SHA-256 {found}, not {wanted}",
                checkpoint.path().display()
            );
            return Err(Failure::new(Reason::DownloadFailed, message));
        }
    }
    // It is read for its version first, and then all of it.
    control.expect(checkpoint.bytes());
    let (report, written) = watched(control, |listener| match into {
        Some(into) => stage(&checkpoint, rules, live, into, listener),
        None => check(&checkpoint, rules, live, listener).map(|report| (report, None)),
    })?;
    Ok(Judged {
        checkpoint,
        report,
        written,
    })
}

/// Does work on a checkpoint that tells its progress, and ends with the control.
fn watched<T>(
    control: &mut Control,
    work: impl FnOnce(checkpoint::Listener<'_>) -> Result<T, checkpoint::Error>,
) -> Result<T, Failure> {
    let (mut told, mut ended) = (0, None);
    let mut listener = |progress: Progress| {
        let more = progress.bytes.saturating_sub(told);
        told = told.max(progress.bytes);
        match control.advance(more) {
            Ok(()) => ControlFlow::Continue(()),
            Err(interrupted) => {
                ended = Some(interrupted);
                ControlFlow::Break(())
            }
        }
    };
    let done = work(&mut listener);
    match (done, ended) {
        (Err(checkpoint::Error::Cancelled), Some(Interrupted::OutOfTime)) => Err(Failure::new(
            Reason::OutOfTime,
            Interrupted::OutOfTime.to_string(),
        )),
        (done, _) => done.map_err(|error| failure_of(&error)),
    }
}

/// What an error of a checkpoint is to whoever asked.
pub(super) fn failure_of(error: &checkpoint::Error) -> Failure {
    use checkpoint::Error;
    let reason = match error {
        Error::Missing { .. }
        | Error::NotFound { .. }
        | Error::Dangling { .. }
        | Error::Both { .. }
        | Error::Changed { .. } => Reason::NotPossible,
        Error::LacksExtension { .. }
        | Error::FalseExtension { .. }
        | Error::Empty { .. }
        | Error::NotAFile { .. }
        | Error::Foreign { .. }
        | Error::Truncated { .. }
        | Error::Damaged { .. }
        | Error::Trailing { .. }
        | Error::TooLarge { .. }
        | Error::EncodedTwice { .. }
        | Error::Syntax { .. }
        | Error::Unfinished { .. }
        | Error::NotAnObject { .. }
        | Error::Corrupted { .. } => Reason::Damaged,
        Error::Io { source, .. } if checkpoint::is_about_room(source) => Reason::NoSpace,
        Error::Io { .. } => Reason::DataFailed,
        Error::NoSpace { .. } | Error::NoInodes { .. } | Error::Refused { .. } => Reason::NoSpace,
        Error::Cancelled => Reason::Cancelled,
    };
    let hint = match error {
        Error::NotFound { path } => unseen::hint(path),
        _ => "",
    };
    Failure::new(reason, format!("{error}{hint}"))
}

/// Refuses a checkpoint that has problems.
pub(super) fn insist(judged: &Judged) -> Result<(), Failure> {
    let problems = &judged.report.problems;
    let Some(first) = problems.listed.first() else {
        return Ok(());
    };
    let more = match problems.total - 1 {
        0 => String::new(),
        more => format!(" (and {more} more problems, see `output`)"),
    };
    let message = format!(
        "{} was not restored: {} {}{more}",
        judged.checkpoint.path().display(),
        first.path,
        first.what
    );
    Err(Failure::new(Reason::Unsound, message))
}

/// What is told of it in the record.
pub(super) fn told(judged: &Judged) -> Value {
    let report = &judged.report;
    let mut on_disk = report.on_disk.clone();
    if let Some(found) = &mut on_disk {
        found.listed.truncate(TOLD);
        found.added.truncate(TOLD);
        found.removed.truncate(TOLD);
    }
    json!({
        "file": judged.checkpoint.path(),
        "packing": judged.checkpoint.packing(),
        "bytes": judged.checkpoint.bytes(),
        "summary": report.summary,
        "problems": cut(&report.problems),
        "warnings": cut(&report.warnings),
        "on_disk": on_disk,
    })
}

fn cut(findings: &Findings) -> Findings {
    let mut findings = findings.clone();
    findings.listed.truncate(TOLD);
    findings
}
