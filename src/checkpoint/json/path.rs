//! Where in a document something is, said the way an operator would look it up.

use std::fmt;

/// The longest key shown; a hostile one may be megabytes.
const SHOWN: usize = 80;

/// One step down.
#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// A place in the document, as a chain of borrowed steps: it costs nothing until it is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

impl<'a> Path<'a> {
    /// A key of the document's top level.
    pub(crate) fn root(key: &'a str) -> Self {
        Self {
            parent: None,
            step: Step::Key(key),
        }
    }

    /// The value of `key` in here.
    pub(crate) fn key(&'a self, key: &'a str) -> Path<'a> {
        Path {
            parent: Some(self),
            step: Step::Key(key),
        }
    }

    /// The element number `index` (from 0) in here.
    pub(crate) fn index(&'a self, index: usize) -> Path<'a> {
        Path {
            parent: Some(self),
            step: Step::Index(index),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) if is_plain(key) => {
                let dot = if self.parent.is_some() { "." } else { "" };
                write!(f, "{dot}{key}")
            }
            Step::Key(key) => {
                let shown: String = key.chars().take(SHOWN).collect();
                let cut = if shown.len() < key.len() { "…" } else { "" };
                write!(f, "[{shown:?}{cut}]")
            }
        }
    }
}

fn is_plain(key: &str) -> bool {
    (1..=SHOWN).contains(&key.len())
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}
