//! What can be wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a configuration cannot be used. The program ends with the exit status of a wrong command line, 64.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}{}", file.display(), advice(source))]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is read and is wrong: one line for each problem.
    #[error("{}", lines(file, problems))]
    Wrong {
        /// The file.
        file: PathBuf,
        /// What is wrong, in the order of the checks; never empty.
        problems: Vec<Problem>,
    },
    /// What a key names is there and is of no use.
    #[error("{key}: {problem}")]
    Unusable {
        /// The key, such as `http.token-file`.
        key: &'static str,
        /// What is wrong with it, and what to do.
        problem: String,
    },
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line in the file, from 1, where it can be told.
    pub line: Option<usize>,
    /// The key, such as `mqtt.url` or `workload[1].name`; empty where the file is no TOML at all.
    pub key: String,
    /// What is wrong and what to do.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

/// Collects what the checks find, so that all of it is told at once.
#[derive(Default)]
pub(super) struct Problems(pub(super) Vec<Noted>);

/// What a check has found.
pub(super) struct Noted {
    pub key: String,
    pub what: String,
    /// Where it stands, in bytes from the beginning, where that is known.
    pub at: Option<usize>,
}

impl Problems {
    /// Notes that the key is wrong, and how.
    pub(super) fn add(&mut self, key: impl Into<String>, what: impl Into<String>) {
        let (key, what) = (key.into(), what.into());
        self.0.push(Noted {
            key,
            what,
            at: None,
        });
    }

    /// The same of what is read just now.
    pub(super) fn add_at(&mut self, at: usize, key: &str, what: String) {
        let (key, at) = (key.to_owned(), Some(at));
        self.0.push(Noted { key, what, at });
    }
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => {
            " (create it, or leave out --config and OSTLER_CONFIG to work without)"
        }
        io::ErrorKind::PermissionDenied => " (run as root, or let this user read it)",
        _ => "",
    }
}

// The form `file:line: key: what` is what editors and people can jump to.
fn lines(file: &std::path::Path, problems: &[Problem]) -> String {
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| match problem.line {
            Some(line) => format!("{}:{line}: {problem}", file.display()),
            None => format!("{}: {problem}", file.display()),
        })
        .collect();
    match lines.len() {
        0 | 1 => lines.concat(),
        count => format!(
            "{count} problems in {}:\n{}",
            file.display(),
            lines.join("\n")
        ),
    }
}
