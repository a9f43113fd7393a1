//! The text of a configuration: what it says, and on which line.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problem;
use super::read::Table;

/// A TOML document that remembers where its keys stand.
pub(super) struct Document<'a> {
    text: &'a str,
    root: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    /// Reads the syntax.
    pub(super) fn parse(text: &'a str) -> Result<Self, Problem> {
        let root = DeTable::parse(text).map_err(|error| Problem {
            line: error.span().map(|span| line_of(text, span.start)),
            key: String::new(),
            what: error.message().to_owned(),
        })?;
        Ok(Self { text, root })
    }

    /// All that is written.
    pub(super) fn table(&self) -> Table<'_> {
        Table::whole(&self.root)
    }

    /// The line of a place in the text.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        line_of(self.text, offset)
    }

    /// The line of a key such as `workload[1].name`, or of the innermost table around it that is there.
    pub(super) fn line(&self, key: &str) -> Option<usize> {
        let mut steps = key
            .split(['.', '[', ']'])
            .filter(|step| !step.is_empty())
            .peekable();
        let (name, mut value) = self.root.get_ref().get_key_value(steps.next()?)?;
        let mut span = name.span();
        for step in steps {
            let inner = match value.get_ref() {
                DeValue::Table(table) => table.get_key_value(step),
                DeValue::Array(items) => step
                    .parse()
                    .ok()
                    .and_then(|index: usize| items.get(index))
                    .map(|item| (name, item)),
                _ => None,
            };
            let Some((name, next)) = inner else { break };
            span = match value.get_ref() {
                DeValue::Array(_) => next.span(),
                _ => name.span(),
            };
            value = next;
        }
        Some(line_of(self.text, span.start))
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    before.matches('\n').count() + 1
}
