//! Asking a server, and whom it leads to: redirects are followed within HTTPS.

use std::path::Path;

use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderName, LOCATION};

use super::Error;
use crate::web::{self, Answer, Url};

const MOST_REDIRECTS: usize = 5;

/// Asks for `url` with these headers, and for what it leads to; gives who answered in the end, too.
pub(super) async fn ask(
    url: &Url,
    ca_file: Option<&Path>,
    headers: &[(HeaderName, String)],
) -> Result<(Answer, Url), Error> {
    let mut url = url.clone();
    for _ in 0..=MOST_REDIRECTS {
        let answer = web::ask(&url, ca_file, headers).await?;
        let status = answer.response.status();
        if !status.is_redirection() {
            return Ok((answer, url));
        }
        let location = answer.response.headers().get(LOCATION);
        let Some(location) = location.and_then(|location| location.to_str().ok()) else {
            return Err(Error::Refused(url, status));
        };
        url = url.join(location).map_err(|why| {
            let shown = location.chars().take(100).collect();
            Error::Astray(url.clone(), shown, why)
        })?;
    }
    Err(Error::Astray(
        url,
        "yet another place".into(),
        "that was the last redirect".into(),
    ))
}

/// What `Content-Length` says.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
