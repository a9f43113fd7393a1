//! `ostler checkpoint`: judge a validator's checkpoint file, or unpack it, without a validator and without the agent.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use super::{Exit, Global, print};
use crate::any_error::Outcome;
use crate::checkpoint::{
    Checkpoint, Comparison, Error, Findings, Layout, Owner, Packing, Progress, Report, Rules,
    Summary, Target, Written, check, stage,
};
use crate::clock::Timestamp;
use crate::durable;

/// Arguments of `ostler checkpoint`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say what is in a checkpoint and what is wrong with it; touches nothing
    Check(Which),
    /// Write the `validation` directory of a checkpoint that is sound
    Unpack {
        #[command(flatten)]
        which: Which,
        /// The directory to write `validation` into; made if it is not there
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
    },
}

/// Which file, and what to insist on.
#[derive(Debug, clap::Args)]
struct Which {
    /// The checkpoint, or the directory that holds it as validator_checkpoint.json or .json.gz
    file: PathBuf,
    /// The `validation` directory that it would replace: tells what would be lost
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// The release to write for [default: the one that wrote the checkpoint]
    #[arg(long, value_name = "VERSION")]
    layout: Option<Layout>,
    /// Take a checkpoint of an unknown version; needs --layout
    #[arg(long, requires = "layout")]
    allow_unknown_version: bool,
    /// Take a checkpoint without ledgers, challenge period, account sizes or asset selections
    #[arg(long)]
    allow_missing_sections: bool,
    /// Take a checkpoint that is older than what --against holds
    #[arg(long)]
    allow_older: bool,
    /// Go by what the file holds, whatever its name says
    #[arg(long)]
    by_content: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    file: &'a Path,
    packing: Packing,
    bytes: u64,
    sound: bool,
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<Made<'a>>,
}

#[derive(Serialize)]
struct Made<'a> {
    into: &'a Path,
    #[serde(flatten)]
    written: &'a Written,
}

/// Checks or unpacks, and prints what came of it.
pub fn run(args: Args, global: &Global) -> Outcome<Exit> {
    let (which, into) = match args.action {
        Action::Check(which) => (which, None),
        Action::Unpack { which, into } => (which, Some(into)),
    };
    match judge(&which, into.as_deref(), global.json) {
        Err(error) if global.json => {
            let answer = serde_json::json!({"file": which.file, "sound": false, "error": format!("{error:#}")});
            print::json(&answer)?;
            Ok(Exit::Failure)
        }
        outcome => outcome,
    }
}

fn judge(which: &Which, into: Option<&Path>, json: bool) -> Outcome<Exit> {
    let checkpoint = which.open()?;
    let (report, made) = match into {
        Some(into) => unpack(&checkpoint, which, into)?,
        None => {
            let against = which.against.as_deref();
            let report = check(&checkpoint, &which.rules(), against, &mut go_on)?;
            (report, None)
        }
    };
    let made = made.as_ref().map(|(into, written)| Made { into, written });
    let exit = match report.is_sound() {
        true => Exit::Success,
        false => Exit::Failure,
    };
    let text = if json {
        let answer = Answer {
            file: checkpoint.path(),
            packing: checkpoint.packing(),
            bytes: checkpoint.bytes(),
            sound: report.is_sound(),
            report: &report,
            written: made,
        };
        serde_json::to_string_pretty(&answer)? + "\n"
    } else {
        told(&checkpoint, &report, made)?
    };
    print::out(&text)?;
    Ok(exit)
}

impl Which {
    fn open(&self) -> Result<Checkpoint, Error> {
        if self.file.is_dir() {
            Checkpoint::find(&self.file)
        } else if self.by_content {
            Checkpoint::open_by_content(&self.file)
        } else {
            Checkpoint::open(&self.file)
        }
    }

    fn rules(&self) -> Rules {
        Rules {
            layout: self.layout,
            unknown_version: self.allow_unknown_version,
            missing_sections: self.allow_missing_sections,
            older_than_disk: self.allow_older,
            ..Rules::default()
        }
    }
}

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Writes beside the final name first: `validation` is whole from the moment that it is there.
fn unpack(
    checkpoint: &Checkpoint,
    which: &Which,
    into: &Path,
) -> Outcome<(Report, Option<(PathBuf, Written)>)> {
    let target = into.join("validation");
    if target.symlink_metadata().is_ok() {
        return Err(format!(
            "{} is there already: name another directory, or move it away",
            target.display()
        )
        .into());
    }
    let is_new = !into.exists();
    std::fs::create_dir_all(into).map_err(|source| Error::Io {
        action: "make",
        path: into.to_owned(),
        source,
    })?;
    let partial = into.join(".validation.partial");
    if partial.symlink_metadata().is_ok() {
        return Err(format!(
            "{} is there: another unpack is at work, or one was interrupted; then remove it",
            partial.display()
        )
        .into());
    }
    let to = Target {
        root: &partial,
        owner: &Owner::default(),
        reserve: 0,
    };
    let against = which.against.as_deref();
    let staged = stage(checkpoint, &which.rules(), against, &to, &mut go_on);
    if is_new && !matches!(staged, Ok((_, Some(_)))) {
        // Best effort: an empty directory harms nobody.
        let _ = std::fs::remove_dir(into);
    }
    let (report, written) = staged?;
    let Some(written) = written else {
        return Ok((report, None));
    };
    durable::rename(&partial, &target)?;
    Ok((report, Some((target, written))))
}

// === for people ===

fn told(checkpoint: &Checkpoint, report: &Report, made: Option<Made<'_>>) -> io::Result<String> {
    let mut out = Vec::new();
    writeln!(out, "{}", checkpoint.found())?;
    figures(&mut out, &report.summary)?;
    if let Some(found) = &report.on_disk {
        on_disk(&mut out, found)?;
    }
    findings(&mut out, "warning", &report.warnings)?;
    findings(&mut out, "problem", &report.problems)?;
    match (&made, report.is_sound()) {
        (Some(Made { into, written }), _) => {
            let Written { files, bytes, .. } = written;
            writeln!(
                out,
                "wrote {}: {files} files, {bytes} bytes",
                into.display()
            )?;
        }
        (None, true) => {
            let Summary {
                files, tree_bytes, ..
            } = report.summary;
            writeln!(out, "sound: it makes {files} files of {tree_bytes} bytes")?;
        }
        (None, false) => writeln!(out, "not sound: nothing was written")?,
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn figures(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    let version = summary.version.as_deref().unwrap_or("unknown");
    let layout = summary
        .layout
        .map_or_else(String::new, |layout| format!(", laid out for {layout}"));
    writeln!(out, "version {version}{layout}")?;
    writeln!(out, "made         {}", moment(summary.created_ms))?;
    writeln!(out, "oldest order {}", moment(summary.oldest_order_ms))?;
    writeln!(out, "newest order {}", moment(summary.newest_order_ms))?;
    let Summary {
        miners,
        positions,
        open_positions: open,
        orders,
        limit_orders,
        ..
    } = summary;
    writeln!(
        out,
        "miners {miners}, positions {positions} ({open} open), orders {orders}, limit orders {limit_orders}"
    )?;
    let Summary {
        eliminations,
        perf_ledgers: ledgers,
        challengeperiod: periods,
        miner_account_sizes: sizes,
        asset_selections: markets,
        ..
    } = summary;
    writeln!(
        out,
        "eliminations {eliminations}, and miners with: ledgers {ledgers}, challenge period {periods}, \
         account sizes {sizes}, market {markets}"
    )
}

fn on_disk(out: &mut impl Write, found: &Comparison) -> io::Result<()> {
    writeln!(
        out,
        "on disk: {} miners, {} positions, {} orders, newest order {}",
        found.miners,
        found.positions,
        found.orders,
        moment(found.newest_order_ms)
    )?;
    if found.unreadable > 0 {
        writeln!(out, "on disk, unreadable: {}", found.unreadable)?;
    }
    writeln!(
        out,
        "only on disk: {} miners, {} positions, {} orders",
        found.lost_miners, found.lost_positions, found.lost_orders
    )?;
    for loss in &found.listed {
        let whole = if loss.whole {
            ", the whole position"
        } else {
            ""
        };
        writeln!(
            out,
            "  {} {}: {} orders{whole}",
            loss.hotkey, loss.position, loss.orders
        )?;
    }
    Ok(())
}

fn findings(out: &mut impl Write, what: &str, findings: &Findings) -> io::Result<()> {
    if findings.total == 0 {
        return Ok(());
    }
    let plural = if findings.total == 1 { "" } else { "s" };
    writeln!(out, "{} {what}{plural}:", findings.total)?;
    for finding in &findings.listed {
        writeln!(out, "  {} {}", finding.path, finding.what)?;
    }
    match findings.total - findings.listed.len() as u64 {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more"),
    }
}

/// A time, and how long ago it is by this host's clock, right or not.
fn moment(milliseconds: Option<i64>) -> String {
    let Some(seconds) = milliseconds.map(|milliseconds| milliseconds.div_euclid(1000)) else {
        return "unknown".to_owned();
    };
    let Some(time) = Timestamp::from_unix_seconds(seconds) else {
        return format!("{seconds} s after 1970");
    };
    let age = Timestamp::now().unix_seconds().saturating_sub(seconds);
    match age {
        ..0 => format!("{time} (in the future, by this clock)"),
        0..7200 => format!("{time} ({} minutes ago)", age / 60),
        7200..172_800 => format!("{time} ({} hours ago)", age / 3600),
        _ => format!("{time} ({} days ago)", age / 86_400),
    }
}
