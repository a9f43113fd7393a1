//! `ostler store take`.

use std::io::{self, Write};
use std::path::PathBuf;

use super::{Owner, Place, RESERVE, Speed, clock_synced, line};
use crate::any_error::Outcome;
use crate::cli::{Exit, Global, Usage, print, units};
use crate::clock::Timestamp;
use crate::data::{
    Control, Cut, Exclude, Facts, Idle, Manifest, Options, RelativePath, Source, Timings, Way,
};
use crate::protocol::Name;

/// Arguments of `ostler store take`.
#[derive(Debug, clap::Args)]
pub(super) struct Take {
    /// The workload's data directory
    #[arg(value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    place: Place,
    /// The snapshot's name [default: the time]
    #[arg(long)]
    name: Option<Name>,
    /// reflink, link, copy, hot for a workload that runs, or auto for the best of the others that works
    #[arg(long, default_value = "auto", value_parser = way)]
    way: Wanted,
    /// Begin while the workload runs, say when to stop it, wait for Enter, and say when to start it
    #[arg(long)]
    warm: bool,
    /// Capture only this directory below the data directory; may be given again
    #[arg(long, value_name = "PATH")]
    include: Vec<RelativePath>,
    /// Leave out what has this name (`*` stands for any characters); may be given again. Keys always are left out
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// The workload had been killed instead of stopped
    #[arg(long)]
    unclean: bool,
    #[command(flatten)]
    owner: Owner,
    /// The block height of the data
    #[arg(long)]
    height: Option<u64>,
    #[command(flatten)]
    speed: Speed,
}

/// A way; `None` is found out.
#[derive(Clone, Copy, Debug)]
struct Wanted(Option<Way>);

/// Takes a snapshot.
pub(super) fn run(args: Take, global: &Global) -> Outcome<Exit> {
    let Wanted(way) = args.way;
    if args.warm && way == Some(Way::Hot) {
        let problem = "a hot cut needs no stop: leave out --warm or --way hot";
        return Err(Usage(problem.to_owned()).into());
    }
    let store = args.place.open_or_make()?;
    let name = match args.name {
        Some(name) => name,
        None => Name::new(Timestamp::now().to_string().replace(':', "-"))?,
    };
    let source = Source {
        root: args.data,
        include: args.include,
        exclude: Exclude::with(&args.exclude)?,
    };
    let options = Options {
        name,
        way,
        reserve: RESERVE,
    };
    let mut control = args.speed.control();
    // Beside a workload that runs, but not while it waits for the cut.
    let aside = || args.warm.then(Idle::begin);
    let idle = aside();
    let mut cut = Cut::prepare(source, &store, options, &mut control)?;
    if args.warm {
        cut.warm(&mut control)?;
        drop(idle);
        wait_for_enter("stop the workload, then press Enter")?;
    }
    let cut_time = Timestamp::now();
    match cut.way() {
        Way::Hot => cut.hot(&mut control)?,
        // The limit spares a workload that runs; this one is away until the cut is done.
        _ => cut.cold(!args.unclean, &mut Control::unlimited())?,
    }
    if args.warm {
        prompt("the cut is done: start the workload")?;
    }
    let facts = Facts {
        workload: args.owner.workload(),
        cut_time,
        clock_synced: clock_synced(),
        height: args.height,
        timings: Timings::default(),
    };
    let _idle = aside();
    let manifest = cut.seal(facts, &mut control)?;
    match global.json {
        true => print::json(&manifest)?,
        false => line(&format!(
            "{} sealed: {} files, {}, by {}, {} blocks and records checked{}",
            manifest.name,
            manifest.files.len(),
            units::bytes(manifest.total_bytes),
            manifest.way,
            manifest.verification.checked,
            opaque(&manifest),
        ))?,
    }
    Ok(Exit::Success)
}

/// Standard output is for the report alone.
fn prompt(line: &str) -> io::Result<()> {
    writeln!(io::stderr(), "{line}")
}

fn wait_for_enter(line: &str) -> Outcome<()> {
    prompt(line)?;
    if io::stdin().read_line(&mut String::new())? == 0 {
        return Err("the standard input ended before Enter: nothing is taken".into());
    }
    Ok(())
}

fn opaque(manifest: &Manifest) -> String {
    match manifest.verification.opaque.len() {
        0 => String::new(),
        files => format!("; {files} tables of a kind that only their hash vouches for"),
    }
}

fn way(text: &str) -> Result<Wanted, crate::data::Error> {
    match text {
        "auto" => Ok(Wanted(None)),
        way => way.parse().map(|way| Wanted(Some(way))),
    }
}
