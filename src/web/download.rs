//! Something large, into a file.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes};
use hyper::header::{HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::Url;
use super::client::{AGENT, Error, connect};

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
    let broken = |detail: String| Error::Broken {
        url: url.to_string(),
        detail,
    };
    let silent = |_| Error::Silent {
        url: url.to_string(),
        deadline: SILENCE,
    };
    let unwritten = |source| Error::Unwritten {
        url: url.to_string(),
        source,
    };
    let mut connection = timeout(SILENCE, connect::<Empty<Bytes>>(url))
        .await
        .map_err(silent)??;
    let request = Request::get(url.path())
        .header(HOST, url.authority())
        .header(USER_AGENT, AGENT)
        .body(Empty::new())
        .map_err(|error| broken(error.to_string()))?;
    let response = timeout(SILENCE, connection.sender.send_request(request))
        .await
        .map_err(silent)?
        .map_err(|error| broken(error.to_string()))?;
    if response.status() != StatusCode::OK {
        return Err(broken(format!("HTTP status {}", response.status())));
    }
    let mut body = response.into_body();
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
