//! `ostler store restore`, and `accept` or `undo` after it.

use std::path::PathBuf;

use serde_json::json;

use super::{Owner, Place, RESERVE, line};
use crate::any_error::Outcome;
use crate::cli::{Exit, Global, Usage, print};
use crate::data::exchange::Goal;
use crate::data::in_use::refuse_in_use;
use crate::data::place::Method;
use crate::data::{Control, Exchange, Exclude, Level, Staged, verify};
use crate::protocol::Name;

/// Arguments of `ostler store restore`.
#[derive(Debug, clap::Args)]
pub(super) struct Restore {
    #[command(flatten)]
    place: Place,
    /// The snapshot
    name: Name,
    /// The workload's data directory
    #[arg(value_name = "DIR")]
    data: PathBuf,
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

/// Restores a snapshot.
pub(super) fn run(args: Restore, global: &Global) -> Outcome<Exit> {
    let store = args.place.open()?;
    let live = &args.data;
    let mut control = Control::unlimited();
    let exclusive = store.lock(&mut control)?;
    let manifest = store.get(&args.name)?;
    manifest.refuse_other(&args.owner.workload())?;
    refuse_in_use(live, &control)?;
    let report = verify(&store, &args.name, Level::L3, &mut control)?;
    if let Some(damage) = report.damages.first() {
        return Err(format!(
            "snapshot {} is damaged and now marked bad: {}: {}",
            args.name, damage.path, damage.what
        )
        .into());
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
    if !args.accept {
        exchange.wait_for_a_word();
    }
    exchange.commit()?;
    if !global.json {
        for path in &carried {
            line(&format!("kept {path}"))?;
        }
        line(&format!("{} is now {}", live.display(), args.name))?;
    }
    if args.accept {
        exchange.finish(&mut control)?;
    } else if !global.json {
        line(
            "start the workload, look at it, then `ostler store accept`, or stop it and `ostler store undo`",
        )?;
    }
    if global.json {
        let kept: Vec<_> = carried.iter().map(ToString::to_string).collect();
        print::json(&json!({
            "name": args.name,
            "data": live,
            "kept": kept,
            "accepted": args.accept,
        }))?;
    }
    Ok(Exit::Success)
}

/// Ends an exchange: with the new data, or with the old again.
pub(super) fn finish(place: &Place, undo: bool, global: &Global) -> Outcome<Exit> {
    let store = place.open()?;
    let mut control = Control::unlimited();
    let _exclusive = store.lock(&mut control)?;
    let Some(mut exchange) = Exchange::pending(&store.exchange_journal())? else {
        match global.json {
            true => print::json(&json!({ "data": null }))?,
            false => line("nothing is waiting to be accepted or undone")?,
        }
        return Ok(Exit::Success);
    };
    // Moving trees under a running workload would break it; removing the old one does not.
    if undo || !exchange.is_complete() {
        refuse_in_use(exchange.live(), &control)?;
    }
    match (exchange.goal(), undo) {
        (Goal::Discard, _) => {}
        (_, true) => exchange.undo()?,
        (_, false) => exchange.commit()?,
    }
    let live = exchange.live().to_owned();
    exchange.finish(&mut control)?;
    match (global.json, undo) {
        (true, _) => print::json(&json!({ "data": live, "undone": undo }))?,
        (false, true) => line("the old data is back")?,
        (false, false) => line("the old data is removed")?,
    }
    Ok(Exit::Success)
}

fn method(text: &str) -> Result<Method, Usage> {
    match text {
        "reflink" => Ok(Method::Reflink),
        "copy" => Ok(Method::Copy),
        "link" => Ok(Method::Link),
        _ => Err(Usage("it is none of reflink, copy, link".to_owned())),
    }
}
