//! Where a file is: a path on this host, or a URL.

use std::path::{Component, PathBuf};

use serde::Deserialize;

use crate::web::Url;

/// The longest address that is taken.
const LONGEST: usize = 2048;

/// An address that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadSource(String);

/// Where a file is to be had.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Source {
    /// An absolute path on this host, also written as `file:///…`.
    File(PathBuf),
    /// `https://…`.
    Url(Url),
}

impl TryFrom<String> for Source {
    type Error = BadSource;

    fn try_from(text: String) -> Result<Self, BadSource> {
        let bad = |why: &str| Err(BadSource(format!("source: {why}")));
        if text.len() > LONGEST {
            return bad("is longer than 2048 characters");
        }
        if text.chars().any(char::is_control) {
            return bad("has a control character");
        }
        let path = text.strip_prefix("file://").unwrap_or(&text);
        if path.starts_with('/') {
            let path = PathBuf::from(path);
            if path.components().any(|part| part == Component::ParentDir) {
                return bad("a path must not have `..`");
            }
            return Ok(Self::File(path));
        }
        match text.split_once("://") {
            Some(("https", _)) => {
                let url = text.parse();
                url.map(Self::Url)
                    .map_err(|why: String| BadSource(format!("source: {why}")))
            }
            Some(("http", _)) => bad("plain http can be changed by anyone on the way: use https"),
            Some(_) => bad("is neither https://…, file:///… nor an absolute path"),
            None => bad("a path on the device must be absolute"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Result<Source, String> {
        Source::try_from(text.to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_path_a_file_and_a_url_are_told_apart() {
        let path = Ok(Source::File("/srv/a.json".into()));
        assert_eq!(source("/srv/a.json"), path);
        assert_eq!(source("file:///srv/a.json"), path);
        let Ok(Source::Url(url)) = source("https://[::1]:8443/a?token=b") else {
            panic!("a URL")
        };
        assert_eq!(
            (url.host(), url.port(), url.path()),
            ("::1", 8443, "/a?token=b")
        );
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "",
            "a.json",
            "./a",
            "http://a/b",
            "ftp://a/b",
            "https://",
            "https:///a",
            "https://user:secret@a/b",
            "/a/../b",
            "file://a/b",
            "/a\nb",
            &format!("/{}", "a".repeat(2048)),
        ] {
            assert!(source(text).is_err(), "{text:?}");
        }
    }
}
