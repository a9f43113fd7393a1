//! Paths inside a snapshot: relative, with no way out.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::Error;

/// A path below the data directory: components that are names, separated by single slashes; `.` is the directory itself.
///
/// It comes from `manifest.json` too, which a stranger may have written, so whatever could lead out is refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelativePath(Box<str>);

impl RelativePath {
    /// The directory itself.
    pub fn root() -> Self {
        Self(".".into())
    }

    /// Whether it is the directory itself.
    pub fn is_root(&self) -> bool {
        &*self.0 == "."
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path below `base`.
    pub fn below(&self, base: &Path) -> PathBuf {
        if self.is_root() {
            base.to_owned()
        } else {
            base.join(&*self.0)
        }
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &str {
        if self.is_root() {
            return "";
        }
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The directory it is in; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        Some(
            self.0
                .rsplit_once('/')
                .map_or_else(Self::root, |(parent, _)| Self(parent.into())),
        )
    }

    /// An entry of this directory.
    pub fn join(&self, name: &str) -> Result<Self, Error> {
        if name.contains('/') {
            return Err(bad(name, "it has a slash"));
        }
        if self.is_root() {
            Self::try_from(name.to_owned())
        } else {
            Self::try_from(format!("{}/{name}", self.0))
        }
    }

    /// Whether it comes before another in the order of manifests: the root first, the rest as text.
    pub fn comes_before(&self, other: &Self) -> bool {
        !other.is_root() && (self.is_root() || self < other)
    }

    /// Whether it is `directory` or below it.
    pub fn is_within(&self, directory: &Self) -> bool {
        directory.is_root()
            || self == directory
            || self
                .0
                .strip_prefix(&*directory.0)
                .is_some_and(|rest| rest.starts_with('/'))
    }
}

impl TryFrom<String> for RelativePath {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        if text == "." {
            return Ok(Self(text.into()));
        }
        if text.contains('\0') {
            return Err(bad(&text, "it has a zero byte"));
        }
        for component in text.split('/') {
            match component {
                "" => {
                    return Err(bad(
                        &text,
                        "it is absolute, empty or has an empty component",
                    ));
                }
                "." | ".." => return Err(bad(&text, "it has a component `.` or `..`")),
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }
}

impl From<RelativePath> for String {
    fn from(path: RelativePath) -> Self {
        path.0.into()
    }
}

impl std::str::FromStr for RelativePath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::try_from(text.to_owned())
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn bad(text: &str, problem: &'static str) -> Error {
    Error::BadName {
        what: "path inside the data",
        shown: text.chars().take(200).collect(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_leads_out_is_refused() {
        for hostile in [
            "",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a/.",
            "a\0b",
        ] {
            assert!(hostile.parse::<RelativePath>().is_err(), "{hostile:?}");
        }
        assert!(serde_json::from_str::<RelativePath>("\"../../etc\"").is_err());
    }

    #[test]
    fn parents_and_children() {
        let path: RelativePath = "db/000012.ldb".parse().unwrap();
        assert_eq!(path.name(), "000012.ldb");
        assert_eq!(path.parent().unwrap().as_str(), "db");
        assert_eq!(
            path.parent().unwrap().parent().unwrap(),
            RelativePath::root()
        );
        assert_eq!(RelativePath::root().join("db").unwrap().as_str(), "db");
        assert!(path.is_within(&"db".parse().unwrap()));
        assert!(!path.is_within(&"d".parse().unwrap()));
        assert!(RelativePath::root().join("a/b").is_err());
    }
}
