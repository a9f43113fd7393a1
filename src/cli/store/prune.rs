//! `ostler store prune`.

use std::time::Duration;

use serde_json::json;

use super::{Place, line};
use crate::any_error::Outcome;
use crate::cli::{Exit, Global, print};
use crate::clock::Timestamp;
use crate::data::retention::{Candidate, plan};
use crate::data::store::{Space, Stored};
use crate::data::{Control, Retention, space};

/// Arguments of `ostler store prune`.
#[derive(Debug, clap::Args)]
pub(super) struct Prune {
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

/// Removes what the rules do not keep.
pub(super) fn run(args: Prune, global: &Global) -> Outcome<Exit> {
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
    let removals = plan(&candidates, &rules, free);
    for removal in &removals {
        let verb = if args.dry_run {
            "would remove"
        } else {
            "removed"
        };
        if !args.dry_run {
            exclusive.remove(&removal.name, &mut control)?;
        }
        if !global.json {
            line(&format!("{verb} {} ({:?})", removal.name, removal.reason))?;
        }
    }
    if global.json {
        let names: Vec<_> = removals.iter().map(|removal| &removal.name).collect();
        print::json(&json!({ "removed": names, "dry_run": args.dry_run }))?;
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
