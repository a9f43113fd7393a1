//! Where a file is: a path on this host, or a URL.

use std::fmt;
use std::path::{Component, PathBuf};

use hyper::Uri;
use serde::Deserialize;

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

/// An address that is fetched over HTTPS.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    pub(super) host: String,
    pub(super) port: u16,
    /// The path and the query.
    pub(super) path: String,
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
            Some(("https", _)) => Url::parse(&text).map(Self::Url),
            Some(("http", _)) => bad("plain http can be changed by anyone on the way: use https"),
            Some(_) => bad("is neither https://…, file:///… nor an absolute path"),
            None => bad("a path on the device must be absolute"),
        }
    }
}

impl Url {
    /// Reads `https://host[:port]/path[?query]`.
    ///
    /// # Errors
    /// Where it is anything else, or carries a user or a password.
    pub(super) fn parse(text: &str) -> Result<Self, BadSource> {
        let bad = |why: &str| BadSource(format!("source: {why}"));
        let uri: Uri = text
            .parse()
            .map_err(|error| bad(&format!("is no URL: {error}")))?;
        let authority = uri.authority().ok_or_else(|| bad("names no host"))?;
        if uri.scheme_str() != Some("https") {
            return Err(bad("is not https"));
        }
        if authority.as_str().contains('@') {
            return Err(bad(
                "a user or a password in a URL ends up in records and logs",
            ));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(bad("names no host"));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            host,
            port: authority.port_u16().unwrap_or(443),
            path: path.to_owned(),
        })
    }

    /// What a server that is asked for this leads on to.
    pub(super) fn join(&self, location: &str) -> Result<Self, BadSource> {
        match location.starts_with('/') && !location.starts_with("//") {
            true => Ok(Self {
                path: location.to_owned(),
                ..self.clone()
            }),
            false => Self::parse(location),
        }
    }

    /// The value of `Host`.
    pub(super) fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match self.port {
            443 => host,
            port => format!("{host}:{port}"),
        }
    }
}

/// Without its query, which may hold a token.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.split('?').next().unwrap_or_default();
        write!(f, "https://{}{path}", self.authority())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
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
            (url.host.as_str(), url.port, url.path.as_str()),
            ("::1", 8443, "/a?token=b")
        );
        assert_eq!(url.to_string(), "https://[::1]:8443/a");
        assert_eq!(url.join("/c").unwrap().to_string(), "https://[::1]:8443/c");
        assert!(url.join("//elsewhere/c").is_err() && url.join("http://a/c").is_err());
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
