//! Something large, into a file.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::Url;
use super::client::{Error, ask_for_all};

/// How long nothing may come. There is no limit on the whole: what comes slowly comes.
const SILENCE: Duration = Duration::from_secs(60);

/// Writes what is there, an answer with status 200, into a file, and syncs it; gives its size. Redirects are not followed.
/// `heed` is told how much has come of how much, and ends it by a word why.
///
/// # Errors
/// Where it does not come whole, or cannot be written.
pub async fn download(
    url: &Url,
    to: &mut File,
    heed: &(dyn Fn(u64, Option<u64>) -> Result<(), String> + Send + Sync),
) -> Result<u64, Error> {
    let broken = |detail: String| Error::broken(url, detail);
    let silent = |_| Error::silent(url, SILENCE);
    let unwritten = |source| Error::Unwritten {
        url: url.clone(),
        source,
    };
    let mut answer = ask_for_all(url).await?;
    let body = answer.response.body_mut();
    let total = body.size_hint().exact();
    let mut come = 0;
    heed(come, total).map_err(broken)?;
    while let Some(frame) = timeout(SILENCE, body.frame()).await.map_err(silent)? {
        let frame = frame.map_err(|error| broken(error.to_string()))?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        to.write_all(&piece).await.map_err(unwritten)?;
        come += piece.len() as u64;
        heed(come, total).map_err(broken)?;
    }
    to.flush().await.map_err(unwritten)?;
    to.sync_all().await.map_err(unwritten)?;
    Ok(come)
}
