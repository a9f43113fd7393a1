//! The operation `fastsync`: a miner that is behind loads a newer snapshot of its chain, and syncs on from there.
//!
//! Everything that can be known before is known before its sync is paused; once it is, the resume runs on every path out.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::arguments;
use super::chain_snapshot::{Fetched, Source, discard, fetch, find};
use super::context::{Context, Did, failure_of, retry};
use super::power::START_PATIENCE;
use super::workload::{Through, Workload};
use crate::protocol::{Failure, Reason};
use crate::workload::ChainSnapshots;

/// The longest load: 20 to 45 minutes are usual on a board.
const LOAD: Duration = Duration::from_secs(2 * 3600);

/// How long a miner is asked to resume. One that still loads does not answer before it has done so.
const RESUME: Duration = Duration::from_secs(4 * 3600);

/// Between two attempts to resume, and two looks at the height.
const PAUSE: Duration = Duration::from_secs(1);

/// Syncs fast.
pub(super) async fn fastsync(
    context: &mut Context,
    asked: arguments::Fastsync,
) -> Result<(), Failure> {
    chain(&context.workload)?;
    let found = context.found().await?;
    if context.recovered() {
        return recover(context).await;
    }
    let plan = context.snapshots()?.clone();
    if !found.running {
        return Err(not_possible(
            context,
            "does not run, and loads nothing: start it first",
        ));
    }
    let local = check(context).await?;
    let source = find(context, &plan, asked, local).await?;
    if context.record.dry_run {
        context.record.changed = Some(false);
        context.record.output = Some(json!({
            "from_height": local,
            "height": source.height(),
            "source": source.to_string(),
        }));
        return Ok(());
    }
    let fetched = fetch(context, &plan, &source).await?;
    let outcome = load(context, &source, &fetched, local).await;
    discard(context, &plan).await;
    outcome
}

pub(super) fn chain(workload: &Workload) -> Result<&dyn ChainSnapshots, Failure> {
    workload.kind.chain_snapshots().ok_or_else(|| {
        let message = format!(
            "{} is of kind {}, which loads no snapshots of its chain",
            workload.name,
            workload.kind.name()
        );
        Failure::new(Reason::Unsupported, message)
    })
}

fn not_possible(context: &Context, why: &str) -> Failure {
    let message = format!("{} {why}", context.workload.name);
    Failure::new(Reason::NotPossible, message)
}

/// The height that it has now: what does not tell it cannot be compared with.
async fn check(context: &mut Context) -> Result<u64, Failure> {
    let workload = context.workload.clone();
    let mut height = None;
    let check = async {
        let finding = workload.kind.probe(&Through(&*workload.runtime, &[])).await;
        height = finding.height;
        match height {
            Some(height) => Ok(Did {
                changed: false,
                detail: Some(format!("it is at height {height}")),
            }),
            None => {
                let why = finding.reason.unwrap_or_default();
                let message = format!("{} does not tell its height: {why}", workload.name);
                Err(Failure::new(Reason::NotReady, message))
            }
        }
    };
    context.step("check", check).await?;
    super::snapshot::whole(height)
}

/// Examine, pause, load, resume, confirm.
async fn load(
    context: &mut Context,
    source: &Source,
    fetched: &Fetched,
    local: u64,
) -> Result<(), Failure> {
    let (file, height) = examine(context, fetched, local).await?;
    context.record.output = Some(json!({
        "from_height": local,
        "height": height,
        "source": source.to_string(),
    }));
    context.refuse_while_closing()?;
    context.refuse_when_cancelled()?;
    let workload = context.workload.clone();
    let inside = Through(&*workload.runtime, &[]);
    let chain = chain(&workload)?;
    let pause = async {
        let paused = chain.pause(&inside).await;
        paused
            .map(|()| changed())
            .map_err(|why| failed("its sync cannot be paused", &why))
    };
    let mut outcome = context.step("pause", pause).await;
    context.must_finish();
    if outcome.is_ok() {
        let load = async {
            let loaded = chain.load(&inside, &file, LOAD).await;
            loaded
                .map(|()| changed())
                .map_err(|why| failed("the snapshot was not loaded", &why))
        };
        outcome = context.step("load", load).await;
    }
    let resumed = resume(context).await;
    outcome?;
    resumed?;
    confirm(context, height).await
}

fn changed() -> Did {
    Did {
        changed: true,
        detail: None,
    }
}

fn failed(what: &str, why: &str) -> Failure {
    Failure::new(Reason::DataFailed, format!("{what}: {why}"))
}

/// What the miner itself makes of the file: it has to see it, it has to be whole, and it has to be newer.
async fn examine(
    context: &mut Context,
    fetched: &Fetched,
    local: u64,
) -> Result<(String, u64), Failure> {
    let workload = context.workload.clone();
    let mut examined = None;
    let examine = async {
        let inside = workload.runtime.path_inside(&fetched.path).await;
        let inside: Option<PathBuf> = inside.map_err(failure_of)?;
        let Some(file) = inside.and_then(|path| path.into_os_string().into_string().ok()) else {
            let message = format!(
                "{} is not mounted in {}: it cannot load what it does not see; set `data-dir` to the directory that is",
                fetched.path.display(),
                workload.name
            );
            return Err(Failure::new(Reason::NotPossible, message));
        };
        let height = chain(&workload)?
            .height_of(&Through(&*workload.runtime, &[]), &file)
            .await
            .map_err(|why| {
                let message = format!("{} is no snapshot: {why}", fetched.path.display());
                Failure::new(Reason::Damaged, message)
            })?;
        if height <= local {
            return Err(not_newer(height, local));
        }
        examined = Some((file, height));
        Ok(Did {
            changed: false,
            detail: Some(format!("it is of height {height}")),
        })
    };
    context.step("examine", examine).await?;
    super::snapshot::whole(examined)
}

pub(super) fn not_newer(height: u64, local: u64) -> Failure {
    let message = format!(
        "the snapshot is of height {height}, and the miner is at {local} already: loading it would set the miner back"
    );
    Failure::new(Reason::NotPossible, message)
}

/// Whatever became of the load: a miner whose sync stays paused falls behind for ever.
async fn resume(context: &mut Context) -> Result<(), Failure> {
    let workload = context.workload.clone();
    let resume = async {
        let chain = chain(&workload)?;
        let begun = Instant::now();
        loop {
            let now = retry(START_PATIENCE, || workload.runtime.inspect()).await;
            if !now.map_err(failure_of)?.state.runs() {
                let detail = "it does not run; it syncs from its next start on";
                return Ok(Did {
                    changed: false,
                    detail: Some(detail.to_owned()),
                });
            }
            match chain.resume(&Through(&*workload.runtime, &[])).await {
                Ok(()) => return Ok(changed()),
                Err(why) if begun.elapsed() >= RESUME => {
                    return Err(failed(
                        "its sync is paused and cannot be resumed: restart it",
                        &why,
                    ));
                }
                Err(why) => tracing::info!("{} does not resume yet: {why}", workload.name),
            }
            sleep(PAUSE).await;
        }
    };
    context.forget_steps(&["resume"]);
    context.step("resume", resume).await
}

/// The miner has to be where the snapshot is, or further.
async fn confirm(context: &mut Context, height: u64) -> Result<(), Failure> {
    let workload = context.workload.clone();
    let confirm = async {
        let begun = Instant::now();
        loop {
            let finding = workload.kind.probe(&Through(&*workload.runtime, &[])).await;
            if finding.height.is_some_and(|now| now >= height) {
                return Ok(Did::default());
            }
            if begun.elapsed() >= workload.times().ready {
                let is = finding.height.map_or_else(
                    || finding.reason.unwrap_or_default(),
                    |at| format!("it is at {at}"),
                );
                let message = format!("{} is not at height {height}: {is}", workload.name);
                return Err(Failure::new(Reason::NotReady, message));
            }
            sleep(PAUSE).await;
        }
    };
    context.forget_steps(&["confirm"]);
    context.step("confirm", confirm).await
}

/// After an interruption: sync goes on, and what was loaded is loaded.
async fn recover(context: &mut Context) -> Result<(), Failure> {
    context.must_finish();
    let interrupted = |what: &str| Failure::new(Reason::Interrupted, what);
    let mut outcome = Err(interrupted(
        "the agent was interrupted before the miner's sync was paused: it is as it was",
    ));
    if context.has_begun("pause") {
        resume(context).await?;
        let wanted = context.record.output.as_ref();
        let wanted = wanted.and_then(|output| output["height"].as_u64());
        outcome = match wanted.filter(|_| context.has_begun("load")) {
            Some(height) => confirm(context, height).await.map_err(|failure| {
                let message = format!(
                    "the agent was interrupted while the snapshot was being loaded, and the sync goes on without it: {}",
                    failure.message
                );
                interrupted(&message)
            }),
            None => Err(interrupted(
                "the agent was interrupted before the snapshot was loaded: the sync goes on",
            )),
        };
    }
    let plan = context.snapshots()?.clone();
    discard(context, &plan).await;
    outcome
}
