//! `ostler store`: snapshots of a workload's data without the agent, for a workload that someone has stopped by hand.

use std::io::{self, Write};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;

use super::{Exit, Global, Usage};
use crate::clock::Timestamp;
use crate::data::in_use::refuse_in_use;
use crate::data::place::Method;
use crate::data::retention::{Candidate, plan};
use crate::data::store::{Space, Stored};
use crate::data::{
    Control, Cut, Exchange, Exclude, Facts, Level, Manifest, Options, RelativePath, Retention,
    Source, Staged, Store, Timings, Way, Workload, space, verify,
};
use crate::protocol::Name;

/// Bytes that stay free on the filesystem, whatever is done.
const RESERVE: u64 = 64 << 20;

/// Arguments of `ostler store`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Take a snapshot of a stopped workload's data
    Take(Take),
    /// List the snapshots, oldest first
    List(Place),
    /// Read snapshots back and hold them against their manifests; a damaged one is marked bad
    Verify(Verify),
    /// Put a snapshot in the place of a stopped workload's data; the old data stays until `accept` or `undo`
    Restore(Restore),
    /// Keep the restored data and remove the old
    Accept(Place),
    /// Put the old data back and remove the restored
    Undo(Place),
    /// Remove snapshots that the rules do not keep
    Prune(Prune),
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The workload's data directory
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where the snapshots are [default: .ostler-store/<name> beside the data directory]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Take {
    #[command(flatten)]
    place: Place,
    /// The snapshot's name [default: the time]
    #[arg(long)]
    name: Option<Name>,
    /// reflink, link, copy, or hot for a workload that runs [default: the best stopped way that works]
    #[arg(long)]
    way: Option<Way>,
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

#[derive(Debug, clap::Args)]
struct Owner {
    /// What the workload is
    #[arg(long, default_value = "generic")]
    kind: String,
    /// What must be equal for a restore, as network=mainnet; may be given again
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    identity: Vec<(String, String)>,
}

#[derive(Debug, clap::Args)]
struct Speed {
    /// Read no faster than so many bytes a second
    #[arg(long, value_name = "BYTES")]
    limit: Option<NonZeroU64>,
}

#[derive(Debug, clap::Args)]
struct Verify {
    #[command(flatten)]
    place: Place,
    /// L1: names and sizes; L2: hashes; L3: every block and record too
    #[arg(long, default_value = "L3")]
    level: Level,
    /// Which snapshots [default: all that are not marked bad]
    names: Vec<Name>,
    #[command(flatten)]
    speed: Speed,
}

#[derive(Debug, clap::Args)]
struct Restore {
    #[command(flatten)]
    place: Place,
    /// The snapshot
    name: Name,
    /// reflink, copy, or link where the disk has no room for a copy [default: reflink if it works, else copy]
    #[arg(long, value_parser = method)]
    method: Option<Method>,
    /// Keep from the old data what has this name, besides keys; may be given again
    #[arg(long, value_name = "PATTERN")]
    keep: Vec<String>,
    #[command(flatten)]
    owner: Owner,
    /// Remove the old data at once, without waiting for `accept` or `undo`
    #[arg(long)]
    accept: bool,
}

#[derive(Debug, clap::Args)]
struct Prune {
    #[command(flatten)]
    place: Place,
    /// Keep so many of the newest
    #[arg(long, value_name = "COUNT")]
    keep_last: Option<usize>,
    /// Remove what is older than so many days
    #[arg(long, value_name = "DAYS")]
    max_age: Option<u64>,
    /// Remove the oldest until so many bytes are free
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    min_free: u64,
    /// Whatever the other rules say, so many good ones stay
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    min_verified: usize,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

/// Does what was asked for.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    match args.action {
        Action::Take(args) => take(args, global),
        Action::List(place) => list(&place, global),
        Action::Verify(args) => check(args, global),
        Action::Restore(args) => restore(args),
        Action::Accept(place) => finish(&place, false),
        Action::Undo(place) => finish(&place, true),
        Action::Prune(args) => prune(args),
    }
}

impl Place {
    fn open(&self) -> anyhow::Result<Store> {
        let path = match &self.store {
            Some(path) => path.clone(),
            None => Store::beside(&self.data)?,
        };
        Ok(Store::open(&path)?)
    }
}

impl Owner {
    fn workload(self) -> Workload {
        Workload {
            kind: self.kind,
            identity: self.identity.into_iter().collect(),
        }
    }
}

impl Speed {
    fn control(&self) -> Control {
        Control::unlimited().limited_to(self.limit.map_or(0, NonZeroU64::get))
    }
}

fn take(args: Take, global: &Global) -> anyhow::Result<Exit> {
    let store = args.place.open()?;
    let now = Timestamp::now();
    let name = match args.name {
        Some(name) => name,
        None => Name::new(now.to_string().replace(':', "-"))?,
    };
    let source = Source {
        root: args.place.data,
        include: args.include,
        exclude: Exclude::with(&args.exclude)?,
    };
    let options = Options {
        name,
        way: args.way,
        reserve: RESERVE,
    };
    let mut control = args.speed.control();
    let mut cut = Cut::prepare(source, &store, options, &mut control)?;
    match cut.way() {
        Way::Hot => cut.hot(&mut control)?,
        _ => cut.cold(!args.unclean, &mut control)?,
    }
    let facts = Facts {
        workload: args.owner.workload(),
        cut_time: now,
        // Nobody asked the kernel; what is not known is not claimed.
        clock_synced: false,
        height: args.height,
        timings: Timings::default(),
    };
    let manifest = cut.seal(facts, &mut control)?;
    match global.json {
        true => print(&serde_json::to_string_pretty(&manifest)?)?,
        false => print(&format!(
            "{} sealed: {} files, {} bytes, by {}, {} blocks and records checked{}",
            manifest.name,
            manifest.files.len(),
            manifest.total_bytes,
            manifest.way,
            manifest.verification.checked,
            opaque(&manifest),
        ))?,
    }
    Ok(Exit::Success)
}

fn list(place: &Place, global: &Global) -> anyhow::Result<Exit> {
    let list = place.open()?.list()?;
    if global.json {
        let rows: Vec<_> = list.iter().map(row).collect();
        print(&serde_json::to_string_pretty(&rows)?)?;
        return Ok(Exit::Success);
    }
    for stored in &list {
        let state = match (&stored.bad, &stored.manifest) {
            (Some(reason), _) | (None, Err(reason)) => format!("BAD: {reason}"),
            (None, Ok(manifest)) => format!(
                "{} by {}, {} bytes{}{}",
                manifest.cut_time,
                manifest.way,
                manifest.total_bytes,
                manifest
                    .height
                    .map_or(String::new(), |height| format!(", height {height}")),
                if manifest.clean {
                    ""
                } else {
                    ", not stopped in order"
                },
            ),
        };
        let alone = match stored.space {
            Space::Exact(bytes) => format!("{bytes} bytes of its own"),
            Space::AtMost(bytes) => format!("at most {bytes} bytes of its own"),
        };
        print(&format!("{}: {state}; {alone}", stored.name))?;
    }
    Ok(Exit::Success)
}

fn row(stored: &Stored) -> serde_json::Value {
    let (alone, exact) = match stored.space {
        Space::Exact(bytes) => (bytes, true),
        Space::AtMost(bytes) => (bytes, false),
    };
    let manifest = stored.manifest.as_ref().ok();
    serde_json::json!({
        "name": stored.name,
        "good": stored.is_good(),
        "bad": stored.bad.as_ref().or(stored.manifest.as_ref().err()),
        "cut_time": manifest.map(|manifest| manifest.cut_time),
        "height": manifest.and_then(|manifest| manifest.height),
        "way": manifest.map(|manifest| manifest.way),
        "clean": manifest.map(|manifest| manifest.clean),
        "total_bytes": manifest.map(|manifest| manifest.total_bytes),
        "own_bytes": alone,
        "own_bytes_exact": exact,
    })
}

fn check(args: Verify, global: &Global) -> anyhow::Result<Exit> {
    let store = args.place.open()?;
    let names = match args.names.is_empty() {
        false => args.names,
        true => store
            .list()?
            .into_iter()
            .filter(|stored| stored.bad.is_none())
            .map(|stored| stored.name)
            .collect(),
    };
    let mut control = args.speed.control();
    let mut exit = Exit::Success;
    for name in names {
        let report = verify(&store, &name, args.level, &mut control)?;
        if !report.damages.is_empty() {
            exit = Exit::Failure;
        }
        if global.json {
            let damages: Vec<_> = report
                .damages
                .iter()
                .map(|damage| format!("{}: {}", damage.path, damage.what))
                .collect();
            print(&serde_json::json!({ "name": name, "level": report.level, "checked": report.checked, "damages": damages }).to_string())?;
            continue;
        }
        for damage in &report.damages {
            print(&format!("{name}: {}: {}", damage.path, damage.what))?;
        }
        let verdict = if report.damages.is_empty() {
            "good"
        } else {
            "BAD, and marked so"
        };
        print(&format!(
            "{name}: {verdict} ({:?}, {} blocks and records checked)",
            report.level, report.checked
        ))?;
    }
    Ok(exit)
}

fn restore(args: Restore) -> anyhow::Result<Exit> {
    let store = args.place.open()?;
    let live = &args.place.data;
    let mut control = Control::unlimited();
    let exclusive = store.lock(&mut control)?;
    let manifest = store.get(&args.name)?;
    manifest.refuse_other(&args.owner.workload())?;
    refuse_in_use(live, &control)?;
    let report = verify(&store, &args.name, Level::L3, &mut control)?;
    if let Some(damage) = report.damages.first() {
        anyhow::bail!(
            "snapshot {} is damaged and now marked bad: {}: {}",
            args.name,
            damage.path,
            damage.what
        );
    }
    let staged = Staged::build(
        &exclusive,
        &manifest,
        live,
        args.method,
        RESERVE,
        &mut control,
    )?;
    let carried = staged.carry(&Exclude::with(&args.keep)?, &mut control)?;
    // It may have been started while the tree was built.
    refuse_in_use(live, &control)?;
    let mut exchange = staged.exchange(&store.exchange_journal())?;
    exchange.commit()?;
    for path in &carried {
        print(&format!("kept {path}"))?;
    }
    print(&format!("{} is now {}", live.display(), args.name))?;
    match args.accept {
        true => exchange.finish(&mut control)?,
        false => print(
            "start the workload, look at it, then `ostler store accept`, or stop it and `ostler store undo`",
        )?,
    }
    Ok(Exit::Success)
}

fn finish(place: &Place, undo: bool) -> anyhow::Result<Exit> {
    let store = place.open()?;
    let mut control = Control::unlimited();
    let _exclusive = store.lock(&mut control)?;
    let Some(mut exchange) = Exchange::pending(&store.exchange_journal())? else {
        print("nothing is waiting to be accepted or undone")?;
        return Ok(Exit::Success);
    };
    // Moving trees under a running workload would break it; removing the old one does not.
    if undo || !exchange.is_complete() {
        refuse_in_use(exchange.live(), &control)?;
    }
    match (exchange.goal(), undo) {
        (crate::data::exchange::Goal::Discard, _) => {}
        (_, true) => exchange.undo()?,
        (_, false) => exchange.commit()?,
    }
    exchange.finish(&mut control)?;
    print(if undo {
        "the old data is back"
    } else {
        "the old data is removed"
    })?;
    Ok(Exit::Success)
}

fn prune(args: Prune) -> anyhow::Result<Exit> {
    let store = args.place.open()?;
    let mut control = Control::unlimited();
    let exclusive = store.lock(&mut control)?;
    let now = Timestamp::now().unix_seconds();
    let rules = Retention {
        keep_last: args.keep_last,
        max_age: args
            .max_age
            .map(|days| Duration::from_secs(days.saturating_mul(86_400))),
        min_free: args.min_free,
        min_verified: args.min_verified,
    };
    let list = store.list()?;
    let candidates: Vec<Candidate> = list.iter().map(|stored| candidate(stored, now)).collect();
    let free = space::free(store.path())?.bytes;
    for removal in plan(&candidates, &rules, free) {
        let verb = if args.dry_run {
            "would remove"
        } else {
            "removed"
        };
        if !args.dry_run {
            exclusive.remove(&removal.name, &mut control)?;
        }
        print(&format!("{verb} {} ({:?})", removal.name, removal.reason))?;
    }
    Ok(Exit::Success)
}

fn candidate(stored: &Stored, now: i64) -> Candidate {
    let seconds = stored
        .manifest
        .as_ref()
        .ok()
        .map(|manifest| now - manifest.cut_time.unix_seconds());
    Candidate {
        name: stored.name.clone(),
        // Whoever prunes by hand looks at the clock themselves; a cut from the future has no age.
        age: seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs),
        good: stored.is_good(),
        bytes: match stored.space {
            Space::Exact(bytes) | Space::AtMost(bytes) => bytes,
        },
    }
}

fn opaque(manifest: &Manifest) -> String {
    match manifest.verification.opaque.len() {
        0 => String::new(),
        files => format!("; {files} tables of a kind that only their hash vouches for"),
    }
}

fn key_value(text: &str) -> Result<(String, String), Usage> {
    text.split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| Usage("it is not of the form KEY=VALUE".to_owned()))
}

fn method(text: &str) -> Result<Method, Usage> {
    match text {
        "reflink" => Ok(Method::Reflink),
        "copy" => Ok(Method::Copy),
        "link" => Ok(Method::Link),
        _ => Err(Usage("it is none of reflink, copy, link".to_owned())),
    }
}

fn print(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}
