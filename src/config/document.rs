//! The text of a configuration: what it says, and on which line.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problem;

/// A TOML document that remembers where its keys stand.
pub(super) struct Document<'a> {
    text: &'a str,
    root: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    /// Reads the syntax.
    pub(super) fn parse(text: &'a str) -> Result<Self, Problem> {
        let root = DeTable::parse(text).map_err(|error| problem(text, String::new(), &error))?;
        Ok(Self { text, root })
    }

    /// Reads the meaning.
    pub(super) fn read<T: Deserialize<'a>>(&self) -> Result<T, Problem> {
        let deserializer = toml::Deserializer::from(self.root.clone());
        T::deserialize(deserializer).map_err(|error| {
            let key = error.span().and_then(|span| self.key_at(&span));
            problem(self.text, key.unwrap_or_default(), &error)
        })
    }

    /// The key that stands here, or whose value does: the innermost one.
    ///
    /// Following the path while everything is read says the same, and takes twice as much code for each type.
    fn key_at(&self, place: &Range<usize>) -> Option<String> {
        let mut innermost = Innermost { place, found: None };
        innermost.table(self.root.get_ref(), "");
        innermost.found.map(|(_, key)| key)
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

/// The shortest text so far that holds a place, and its key.
struct Innermost<'a> {
    place: &'a Range<usize>,
    found: Option<(usize, String)>,
}

impl Innermost<'_> {
    /// Looks through everything: what a table's own text is depends on how it is written, and what is in it may lie outside.
    fn table(&mut self, table: &DeTable<'_>, prefix: &str) {
        for (name, value) in table {
            let name_of = name.get_ref();
            let key = match prefix {
                "" => name_of.to_string(),
                _ => format!("{prefix}.{name_of}"),
            };
            self.consider(&name.span(), &key);
            self.value(value, &key);
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, key: &str) {
        self.consider(&value.span(), key);
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, key),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(item, &format!("{key}[{index}]"));
                }
            }
            _ => {}
        }
    }

    fn consider(&mut self, text: &Range<usize>, key: &str) {
        let holds = text.start <= self.place.start && self.place.end <= text.end;
        // Of two that are as long, the later one is inside of the other.
        let shortest = self
            .found
            .as_ref()
            .is_none_or(|(length, _)| text.len() <= *length);
        if holds && shortest {
            self.found = Some((text.len(), key.to_owned()));
        }
    }
}

fn problem(text: &str, key: String, error: &toml::de::Error) -> Problem {
    Problem {
        line: error.span().map(|span| line_of(text, span.start)),
        key,
        // Serde speaks of its own types; whoever writes the file thinks of keys and values.
        what: error
            .message()
            .replace("unknown field", "unknown key")
            .replace("unknown variant", "unknown value"),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    before.matches('\n').count() + 1
}
