//! Fetching one large file over HTTPS: bounded, resumed where it broke off, and checked against its SHA-256.
//!
//! The only part of `data` that is asynchronous: it waits for a network, not for a disk.

mod address;
mod error;
mod follow;
mod partial;

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::header::{CONTENT_RANGE, ETAG, HeaderMap, LAST_MODIFIED};
use tokio::time::{Instant, sleep, timeout};

pub use address::{BadSource, Source};
pub use error::Error;

use crate::sha256::Sha256;
use crate::web::Url;
use partial::Partial;

/// How long the server may send nothing.
const IDLE: Duration = Duration::from_secs(60);

/// How often in a row it may break off without having sent anything, and the longest pause in between.
const TRIES: u32 = 6;
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The whole download, however slow.
const DEADLINE: Duration = Duration::from_secs(6 * 3600);

/// What is fetched, and what to insist on.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it is.
    pub url: Url,
    /// The directory that it is put in; of this kind of download alone.
    pub into: PathBuf,
    /// The most bytes that it may have.
    pub most: u64,
    /// What its SHA-256 has to be.
    pub sha256: Option<Sha256>,
    /// The authority that the server's certificate is from, in PEM; the system's where it is `None`.
    pub ca_file: Option<PathBuf>,
}

/// How far a download is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Bytes that are there.
    pub done: u64,
    /// Bytes in all, where the server says so.
    pub total: Option<u64>,
}

/// Fetches the file, and gives where it is. What an earlier try has left of the same URL is gone on with, if the server
/// says that it is still the same file. `tell` hears of every piece.
///
/// # Errors
/// Where the server cannot be reached or says no, or what it sends is too large or not what it has to be.
pub async fn fetch(plan: &Plan, mut tell: impl FnMut(Fetched)) -> Result<PathBuf, Error> {
    let begun = Instant::now();
    let mut partial = Partial::open(&plan.into, &plan.url).await?;
    let mut tries = 0;
    loop {
        let before = partial.length();
        let left = DEADLINE.saturating_sub(begun.elapsed());
        let tried = timeout(left, once(plan, &mut partial, &mut tell)).await;
        match tried.unwrap_or(Err(Error::TooSlow(DEADLINE))) {
            Ok(()) => return partial.finish(plan.sha256.as_ref()).await,
            Err(error) if !error.is_passing() => {
                if !matches!(error, Error::TooSlow(_)) {
                    partial.discard().await;
                }
                return Err(error);
            }
            Err(error) => {
                tries = if partial.length() > before {
                    1
                } else {
                    tries + 1
                };
                if tries >= TRIES {
                    return Err(error);
                }
                let pause = Duration::from_secs(1 << tries.min(5)).min(LONGEST_PAUSE);
                tracing::warn!("{error}; going on in {} s", pause.as_secs());
                sleep(pause).await;
            }
        }
    }
}

/// Removes what [`fetch`] gave.
pub fn forget(file: &Path) {
    // Best effort: the next download sweeps what is left.
    let _ = std::fs::remove_file(file);
}

/// One connection, from where it broke off to the end of the file.
async fn once(
    plan: &Plan,
    partial: &mut Partial,
    tell: &mut impl FnMut(Fetched),
) -> Result<(), Error> {
    let range = partial.range(plan.sha256.is_some());
    let (mut answer, url) = follow::ask(&plan.url, plan.ca_file.as_deref(), &range).await?;
    let status = answer.response.status();
    let headers = answer.response.headers();
    let total = match status {
        StatusCode::PARTIAL_CONTENT if !range.is_empty() => {
            let (from, total) = content_range(headers).ok_or_else(|| {
                Error::Broken(url.clone(), "it sends a part and not which".into())
            })?;
            if from != partial.length() {
                partial.restart(None).await?;
                let what = format!("it sends the file from byte {from}, which nobody asked for");
                return Err(Error::Broken(url, what));
            }
            total
        }
        StatusCode::OK => {
            partial.restart(validator(headers)).await?;
            follow::length(headers)
        }
        StatusCode::RANGE_NOT_SATISFIABLE if !range.is_empty() => {
            // It has become shorter: it is another file.
            partial.restart(None).await?;
            return Err(Error::Broken(url, "the file has changed".into()));
        }
        status => return Err(Error::Refused(url, status)),
    };
    if total.is_some_and(|total| total > plan.most) {
        return Err(Error::TooLarge(url, plan.most));
    }
    let body = answer.response.body_mut();
    loop {
        let frame = match timeout(IDLE, body.frame()).await {
            Ok(None) => break,
            Ok(Some(frame)) => {
                frame.map_err(|error| Error::Broken(url.clone(), error.to_string()))?
            }
            Err(_) => {
                let what = format!("it has sent nothing for {} s", IDLE.as_secs());
                return Err(Error::Broken(url, what));
            }
        };
        let Ok(bytes) = frame.into_data() else {
            continue;
        };
        if partial.length() + bytes.len() as u64 > plan.most {
            return Err(Error::TooLarge(url, plan.most));
        }
        partial.append(&bytes).await?;
        tell(Fetched {
            done: partial.length(),
            total,
        });
    }
    match total {
        Some(total) if total != partial.length() => {
            Err(Error::Broken(url, format!("it ended before byte {total}")))
        }
        _ => Ok(()),
    }
}

/// What the server calls this version of the file, in a form that it can be asked by: not a weak tag.
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::to_owned);
    text(ETAG)
        .filter(|tag| !tag.starts_with("W/"))
        .or_else(|| text(LAST_MODIFIED))
}

/// `bytes 5-9/10`: from which byte, and how many there are in all.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let from = range.split_once('-')?.0.parse().ok()?;
    Some((from, total.parse().ok()))
}
