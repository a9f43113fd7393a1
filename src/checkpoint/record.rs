//! Rewriting one object as the validator writes it, field by field, and noting what is wrong on the way.
//!
//! Checking and writing are one and the same code, so what was checked is what is written.

use super::json::{Number, Object, Path, Text, Value, push_float, push_number, push_text};
use super::report::Problems;

/// What a field is worth when the object does not have it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Absent<T> {
    /// It must be there.
    Refused,
    /// Then it is this.
    Is(T),
}

/// An object being rewritten. Every method handles one field and yields its value where it is sound.
pub(crate) struct Record<'r, 'v> {
    object: &'v Object,
    path: &'r Path<'r>,
    out: &'r mut Vec<u8>,
    problems: &'r mut Problems,
    started: bool,
}

impl<'r, 'v> Record<'r, 'v> {
    /// Starts rewriting `object`, found at `path`, to the end of `out`.
    pub(crate) fn begin(
        object: &'v Object,
        path: &'r Path<'r>,
        out: &'r mut Vec<u8>,
        problems: &'r mut Problems,
    ) -> Self {
        out.push(b'{');
        Self {
            object,
            path,
            out,
            problems,
            started: false,
        }
    }

    /// Ends the object.
    pub(crate) fn end(self) {
        self.out.push(b'}');
    }

    /// Notes a problem with the field `name`.
    pub(crate) fn problem(&mut self, name: &str, what: impl Into<String>) {
        self.problems.add(&self.path.key(name), what);
    }

    /// Notes what the operator should know of the field `name`.
    pub(crate) fn warning(&mut self, name: &str, what: &str) {
        self.problems.warn(&self.path.key(name), what);
    }

    /// A string; it must be valid Unicode, for the validator writes it as UTF-8.
    pub(crate) fn text(
        &mut self,
        name: &'static str,
        absent: Absent<&'static str>,
    ) -> Option<&'v str> {
        self.key(name);
        match (self.object.get(name), absent) {
            (Some(Value::Text(text)), _) => {
                push_text(self.out, text);
                if text.as_str().is_none() {
                    self.problem(name, "has a lone surrogate in it");
                }
                text.as_str()
            }
            (None, Absent::Is(text)) => {
                push_text(self.out, &Text::from(text));
                Some(text)
            }
            (found, _) => self.unfit(name, found, "a string"),
        }
    }

    /// One of a few words.
    pub(crate) fn word(
        &mut self,
        name: &'static str,
        words: &'static [&'static str],
        absent: Absent<&'static str>,
    ) -> Option<&'v str> {
        let word = self.text(name, absent)?;
        if words.contains(&word) {
            return Some(word);
        }
        let what = format!(
            "is `{}`, not one of {}",
            super::names::shown(word),
            words.join(", ")
        );
        self.problem(name, what);
        None
    }

    /// One of a few words, or null.
    pub(crate) fn word_or_null(
        &mut self,
        name: &'static str,
        words: &'static [&'static str],
    ) -> Option<&'v str> {
        if self.is_null(name) {
            self.literal(name, b"null");
            return None;
        }
        self.word(name, words, Absent::Refused)
    }

    /// An integer of at least `least`.
    pub(crate) fn integer(
        &mut self,
        name: &'static str,
        absent: Absent<i64>,
        least: i64,
    ) -> Option<i64> {
        self.key(name);
        let integer = match (self.object.get(name), absent) {
            (Some(Value::Number(Number::Integer(integer))), _) => *integer,
            (None, Absent::Is(integer)) => integer,
            (found, _) => return self.unfit(name, found, "an integer of 64 bits"),
        };
        push_number(self.out, &Number::Integer(integer));
        if integer < least {
            self.problem(name, format!("is {integer}, less than {least}"));
            return None;
        }
        Some(integer)
    }

    /// An integer, or null, which it also is when it is absent.
    pub(crate) fn integer_or_null(&mut self, name: &'static str) -> Option<i64> {
        if self.is_null(name) {
            self.literal(name, b"null");
            return None;
        }
        self.integer(name, Absent::Refused, i64::MIN)
    }

    /// A finite number, written as a double.
    pub(crate) fn float(&mut self, name: &'static str, absent: Absent<f64>) -> Option<f64> {
        let float = self.read_float(name, absent)?;
        self.push(name, float);
        Some(float)
    }

    /// A finite number or null; absent, it is `absent`, or null for `None`.
    pub(crate) fn float_or_null(&mut self, name: &'static str, absent: Option<f64>) -> Option<f64> {
        match (self.object.get(name), absent) {
            (Some(Value::Null), _) | (None, None) => {
                self.literal(name, b"null");
                None
            }
            (None, Some(float)) => {
                self.push(name, float);
                Some(float)
            }
            (Some(_), _) => self.float(name, Absent::Refused),
        }
    }

    /// A finite number that is not written yet: [`Record::push`] follows.
    pub(crate) fn read_float(&mut self, name: &'static str, absent: Absent<f64>) -> Option<f64> {
        let float = match (self.object.get(name), absent) {
            (Some(Value::Number(number)), _) => number.as_f64(),
            (None, Absent::Is(float)) => float,
            (found, _) => return self.unfit(name, found, "a number"),
        };
        if !float.is_finite() {
            self.problem(name, format!("is not finite ({float})"));
            return None;
        }
        Some(float)
    }

    /// Writes a double.
    pub(crate) fn push(&mut self, name: &'static str, float: f64) {
        self.key(name);
        push_float(self.out, float);
    }

    /// A number kept as it is, integer or double, or null where `null` allows it; absent, it is `absent` verbatim.
    pub(crate) fn number_as_is(
        &mut self,
        name: &'static str,
        absent: Absent<&'static [u8]>,
        null: bool,
    ) {
        match (self.object.get(name), absent) {
            (Some(Value::Number(number)), _) => {
                self.key(name);
                push_number(self.out, number);
                if !number.as_f64().is_finite() {
                    self.problem(name, "is not finite");
                }
            }
            (Some(Value::Null), _) if null => self.literal(name, b"null"),
            (None, Absent::Is(verbatim)) => self.literal(name, verbatim),
            (found, _) => {
                self.unfit::<()>(name, found, "a number");
            }
        }
    }

    /// A boolean, false when absent.
    pub(crate) fn flag(&mut self, name: &'static str) -> Option<bool> {
        match self.object.get(name) {
            None | Some(Value::Bool(false)) => {
                self.literal(name, b"false");
                Some(false)
            }
            Some(Value::Bool(true)) => {
                self.literal(name, b"true");
                Some(true)
            }
            found => self.unfit(name, found, "true or false"),
        }
    }

    /// A list whose elements `each` rewrites; empty when absent. Yields the number of elements.
    pub(crate) fn list(
        &mut self,
        name: &'static str,
        mut each: impl FnMut(&'v Value, &Path<'_>, &mut Vec<u8>, &mut Problems),
    ) -> usize {
        self.key(name);
        self.out.push(b'[');
        let mut count = 0;
        match self.object.get(name) {
            None => {}
            Some(Value::Array(elements)) => {
                count = elements.len();
                let path = self.path.key(name);
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        self.out.extend(b", ");
                    }
                    each(element, &path.index(index), self.out, self.problems);
                }
            }
            found => {
                self.unfit::<()>(name, found, "a list");
            }
        }
        self.out.push(b']');
        count
    }

    /// A field whose value is written by `write`.
    pub(crate) fn with(&mut self, name: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        self.key(name);
        write(self.out);
    }

    /// The value of a field, unchecked and unwritten.
    pub(crate) fn peek(&self, name: &str) -> Option<&'v Value> {
        self.object.get(name)
    }

    /// Notes every key that is not in `known`.
    pub(crate) fn only(&mut self, known: &[&str]) {
        for (key, _) in &self.object.0 {
            if !key.as_str().is_some_and(|key| known.contains(&key)) {
                self.problem(
                    key.lossy(),
                    "is not known here, and the validator would fail on it",
                );
            }
        }
    }

    fn is_null(&self, name: &str) -> bool {
        matches!(self.object.get(name), None | Some(Value::Null))
    }

    fn literal(&mut self, name: &'static str, literal: &[u8]) {
        self.key(name);
        self.out.extend(literal);
    }

    fn unfit<T>(&mut self, name: &str, found: Option<&Value>, wanted: &str) -> Option<T> {
        let what = match found {
            None => "is missing".to_owned(),
            Some(found) => format!("is {}, not {wanted}", found.kind()),
        };
        self.problem(name, what);
        None
    }

    fn key(&mut self, name: &'static str) {
        if self.started {
            self.out.extend(b", ");
        }
        self.started = true;
        self.out.push(b'"');
        self.out.extend(name.as_bytes());
        self.out.extend(b"\": ");
    }
}
