//! Which apps of PM2 a workload is made of.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::protocol::Name;

/// An app as the configuration names it: by its name in PM2, or by the absolute path of its script where the name is a
/// stranger one than a [`Name`] can be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum App {
    /// The name that `pm2 list` shows.
    Named(Name),
    /// The script that it runs: what `pm2 show` calls its script path.
    Script(PathBuf),
}

/// No app can be named so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadApp {
    /// The name is none.
    #[error(transparent)]
    Name(#[from] crate::protocol::BadName),
    /// PM2 would take it for something else.
    #[error(
        "the app `{0}`: PM2 takes this for an id or for every app; name it by the path of its script"
    )]
    Ambiguous(Name),
    /// A path with `..` in it, or one that cannot be shown.
    #[error("the script `{0}` must be an absolute path without `..` and control characters")]
    Script(String),
}

impl App {
    /// Reads a name, or a path where it begins with `/`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, BadApp> {
        if text.starts_with('/') {
            let path = Path::new(text);
            let is_plain = path
                .components()
                .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
            let is_text = text.len() <= 4096 && !text.contains(char::is_control);
            return match is_plain && is_text && path.file_name().is_some() {
                true => Ok(Self::Script(path.to_owned())),
                false => {
                    let shown = text.chars().take(64).flat_map(char::escape_default);
                    Err(BadApp::Script(shown.collect()))
                }
            };
        }
        let name = Name::new(text)?;
        // `pm2 stop 3` is about the app with the id 3, `pm2 stop all` about all of them.
        match text == "all" || text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => Err(BadApp::Ambiguous(name)),
            false => Ok(Self::Named(name)),
        }
    }

    /// Whether an app of this name and script is meant.
    pub(super) fn is(&self, name: &str, script: Option<&Path>) -> bool {
        match self {
            App::Named(own) => own.as_str() == name,
            App::Script(own) => Some(own.as_path()) == script,
        }
    }
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            App::Named(name) => name.fmt(f),
            App::Script(path) => path.display().fmt(f),
        }
    }
}

impl TryFrom<String> for App {
    type Error = BadApp;
    fn try_from(text: String) -> Result<Self, BadApp> {
        Self::new(&text)
    }
}

impl From<App> for String {
    fn from(app: App) -> String {
        app.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_a_name_or_a_script() {
        let named = App::new("sn8").unwrap();
        assert!(named.is("sn8", None) && !named.is("ptn", None));
        let script = App::new("/srv/ptn/run.sh").unwrap();
        assert!(script.is("whatever", Some(Path::new("/srv/ptn/run.sh"))));
        assert!(!script.is("/srv/ptn/run.sh", None));
        for bad in [
            "",
            "-h",
            "all",
            "0",
            "12",
            "a b",
            "a;b",
            "../x",
            "/srv/../etc/run.sh",
            "/a\nb",
            "/",
        ] {
            assert!(App::new(bad).is_err(), "{bad:?}");
        }
    }
}
