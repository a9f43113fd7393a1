//! Where the checkpoint comes from: put in place, named by its path, or fetched.

use std::path::PathBuf;

use tokio::time::Instant;

use super::judge::Where;
use crate::data::download::{self, Fetched, Plan, Source, fetch};
use crate::operation::arguments::RestoreCheckpoint;
use crate::operation::context::{Context, Did};
use crate::operation::validator::Validator;
use crate::protocol::{Failure, Progress, Reason};

/// A checkpoint that is on this host.
pub(super) enum Found {
    /// Where it is looked for in the repository.
    InPlace(PathBuf),
    /// Where the command says.
    Named(PathBuf),
    /// Fetched: nobody's but ours.
    Fetched(PathBuf),
}

impl Found {
    pub fn place(&self) -> Where {
        match self {
            Found::InPlace(directory) => Where::In(directory.clone()),
            Found::Named(path) => Where::Named(path.clone()),
            // Its name is ours and says nothing of its content.
            Found::Fetched(path) => Where::File(path.clone()),
        }
    }

    /// Removes what was fetched.
    pub fn forget(&self) {
        if let Found::Fetched(path) = self {
            download::forget(path);
        }
    }
}

/// Finds the checkpoint that was asked for, and fetches it where it is elsewhere.
pub(super) async fn find(
    context: &mut Context,
    validator: &Validator,
    asked: &RestoreCheckpoint,
) -> Result<Found, Failure> {
    let url = match &asked.source {
        None => return Ok(Found::InPlace(validator.directory.clone())),
        Some(Source::File(path)) => return Ok(Found::Named(path.clone())),
        Some(Source::Url(url)) => url.clone(),
    };
    let plan = Plan {
        url,
        into: validator.downloads(),
        most: validator.download.most,
        sha256: asked.sha256.clone(),
        ca_file: validator.download.ca_file.clone(),
    };
    let (ledger, id) = (context.ledger.clone(), context.record.id.clone());
    let cancelled = context.cancelled.clone();
    let mut fetched = None;
    let work = async {
        let begun = Instant::now();
        let mut first = None;
        let tell = |now: Fetched| {
            let before = *first.get_or_insert(now.done);
            let seconds = begun.elapsed().as_secs_f64().max(0.001);
            let rate = ((now.done - before) as f64 / seconds) as u64;
            let left = now.total.map(|total| total.saturating_sub(now.done));
            let progress = Progress {
                done: now.done,
                total: now.total,
                unit: "bytes".to_owned(),
                rate: Some(rate),
                seconds_left: left.and_then(|left| left.checked_div(rate)),
            };
            ledger.tell_progress(&id, progress);
        };
        let path = tokio::select! {
            path = fetch(&plan, tell) => path.map_err(failure_of)?,
            // What has come stays: the next command for the same URL goes on from there.
            () = cancelled.cancelled() => {
                return Err(Failure::new(Reason::Cancelled, "cancelled while it was fetched"));
            }
        };
        let bytes = path.metadata().map_or(0, |metadata| metadata.len());
        fetched = Some(path);
        Ok(Did {
            changed: false,
            detail: Some(format!("{bytes} bytes")),
        })
    };
    context.step("fetch", work).await?;
    super::whole(fetched).map(Found::Fetched)
}

fn failure_of(error: download::Error) -> Failure {
    let reason = match error.is_full_disk() {
        true => Reason::NoSpace,
        false => Reason::DownloadFailed,
    };
    Failure::new(reason, error.to_string())
}
