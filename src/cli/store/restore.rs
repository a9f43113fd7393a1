//! `ostler store restore`, and `accept` or `undo` after it.

use super::{Owner, Place, RESERVE, line};
use crate::cli::{Exit, Usage};
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
pub(super) fn run(args: Restore) -> anyhow::Result<Exit> {
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
    if !args.accept {
        exchange.wait_for_a_word();
    }
    exchange.commit()?;
    for path in &carried {
        line(&format!("kept {path}"))?;
    }
    line(&format!("{} is now {}", live.display(), args.name))?;
    match args.accept {
        true => exchange.finish(&mut control)?,
        false => line(
            "start the workload, look at it, then `ostler store accept`, or stop it and `ostler store undo`",
        )?,
    }
    Ok(Exit::Success)
}

/// Ends an exchange: with the new data, or with the old again.
pub(super) fn finish(place: &Place, undo: bool) -> anyhow::Result<Exit> {
    let store = place.open()?;
    let mut control = Control::unlimited();
    let _exclusive = store.lock(&mut control)?;
    let Some(mut exchange) = Exchange::pending(&store.exchange_journal())? else {
        line("nothing is waiting to be accepted or undone")?;
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
    exchange.finish(&mut control)?;
    line(if undo {
        "the old data is back"
    } else {
        "the old data is removed"
    })?;
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
