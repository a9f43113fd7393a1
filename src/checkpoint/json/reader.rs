//! A pull reader over Python's JSON dialect: the caller steps through the document, and only what it
//! asks for is held in memory.

use std::collections::HashSet;
use std::io::{self, Read};

use super::{Number, Object, Text, Value};

const BUFFER: usize = 128 * 1024;
/// Checkpoints nest nine levels deep; Python itself gives up at about a thousand.
const MAX_DEPTH: usize = 64;

/// Why the document could not be read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
}

/// What is wrong with the text, and where.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, byte {byte}: {what}")]
pub(crate) struct SyntaxError {
    /// From 1.
    line: u64,
    /// In the line, from 1.
    byte: u64,
    pub(crate) what: &'static str,
    /// Whether the text simply ended.
    pub(crate) ended: bool,
}

/// What the next value is, by its first character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    Text,
    Array,
    Object,
}

/// The reader. Its memory is one buffer plus the value being asked for, which `max_record` bounds.
pub(crate) struct Reader<'a> {
    /// Any: one reader for all of them is half the code.
    input: Box<dyn Read + 'a>,
    pub(super) buffer: Box<[u8]>,
    pub(super) at: usize,
    pub(super) end: usize,
    /// Bytes of the document before the buffer.
    before: u64,
    line: u64,
    line_start: u64,
    depth: usize,
    max_record: u64,
    /// The offset that the value being read may not pass.
    limit: u64,
    /// Whether the input has said that it has no more.
    pub(super) drained: bool,
    /// A key that the last value had twice in one object.
    repeated: Option<String>,
    pub(super) scratch: Vec<u8>,
}

pub(super) type Result<T> = std::result::Result<T, Fault>;

impl<'a> Reader<'a> {
    /// Reads `input`; no single value may take more than `max_record` bytes.
    pub(crate) fn new(input: impl Read + 'a, max_record: u64) -> Self {
        Self::buffered(input, max_record, BUFFER)
    }

    /// The same with a buffer of `size` bytes: for one of many small files.
    pub(crate) fn buffered(input: impl Read + 'a, max_record: u64, size: usize) -> Self {
        Self {
            input: Box::new(input),
            buffer: vec![0; size].into(),
            at: 0,
            end: 0,
            before: 0,
            line: 1,
            line_start: 0,
            depth: 0,
            max_record,
            limit: u64::MAX,
            drained: false,
            repeated: None,
            scratch: Vec::new(),
        }
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    /// The kind of the next value, which is left unread.
    pub(crate) fn kind(&mut self) -> Result<Kind> {
        self.skip_space()?;
        match self.peek()? {
            Some(b'n') => Ok(Kind::Null),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'-' | b'0'..=b'9' | b'N' | b'I') => Ok(Kind::Number),
            Some(b'"') => Ok(Kind::Text),
            Some(b'[') => Ok(Kind::Array),
            Some(b'{') => Ok(Kind::Object),
            _ => Err(self.wrong("a value is expected here")),
        }
    }

    /// The first bytes of the document, left unread; fewer than four only if it has no more.
    pub(crate) fn head(&mut self) -> Result<&[u8]> {
        while self.end - self.at < 4 && !self.drained {
            self.fill()?;
        }
        Ok(&self.buffer[self.at..self.end.min(self.at + 4)])
    }

    /// Steps into an object; [`Reader::next_key`] walks it and steps out at its end.
    pub(crate) fn open_object(&mut self) -> Result<()> {
        self.open(b'{')
    }

    /// Steps into a list; [`Reader::next_element`] walks it and steps out at its end.
    pub(crate) fn open_array(&mut self) -> Result<()> {
        self.open(b'[')
    }

    /// Steps to the value of the next key, or out of the object. `first` says whether none was read yet.
    pub(crate) fn next_key(&mut self, first: bool) -> Result<Option<Text>> {
        self.arm();
        self.next_key_within(first)
    }

    /// Steps to the next element, or out of the list. `first` says whether none was read yet.
    pub(crate) fn next_element(&mut self, first: bool) -> Result<bool> {
        self.skip_space()?;
        match (self.peek()?, first) {
            (Some(b']'), _) => {
                self.close();
                return Ok(false);
            }
            (_, true) => {}
            (Some(b','), false) => {
                self.at += 1;
                self.skip_space()?;
                if self.peek()? == Some(b']') {
                    return Err(self.wrong("a comma without a value after it"));
                }
            }
            _ => return Err(self.wrong("a comma or `]` is expected here")),
        }
        Ok(true)
    }

    /// Reads the next value whole.
    pub(crate) fn value(&mut self) -> Result<Value> {
        self.arm();
        self.value_within()
    }

    /// A key that an object in the values read since the last call had twice; Python would keep the
    /// last of the two and say nothing.
    pub(crate) fn take_repeated(&mut self) -> Option<String> {
        self.repeated.take()
    }

    /// Reads a number.
    pub(crate) fn number(&mut self) -> Result<Number> {
        self.arm();
        self.number_within()
    }

    /// Reads past the next value, checking only its syntax.
    pub(crate) fn skip(&mut self) -> Result<()> {
        match self.kind()? {
            Kind::Object => {
                self.open_object()?;
                let mut first = true;
                while self.key_follows(first)? {
                    first = false;
                    self.arm();
                    self.skip_text()?;
                    self.colon()?;
                    self.skip()?;
                }
            }
            Kind::Array => {
                self.open_array()?;
                let mut first = true;
                while self.next_element(first)? {
                    first = false;
                    self.skip()?;
                }
            }
            Kind::Text => {
                self.arm();
                self.skip_text()?;
            }
            Kind::Null | Kind::Bool | Kind::Number => {
                self.value()?;
            }
        }
        Ok(())
    }

    /// Checks that nothing but white space follows the document.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.arm();
        self.skip_space()?;
        match self.peek()? {
            None => Ok(()),
            Some(_) => Err(self.wrong("there is more after the end of the document")),
        }
    }

    // === inside one record ===

    fn value_within(&mut self) -> Result<Value> {
        Ok(match self.kind()? {
            Kind::Null => self.word(b"null", Value::Null)?,
            Kind::Bool if self.peek()? == Some(b't') => self.word(b"true", Value::Bool(true))?,
            Kind::Bool => self.word(b"false", Value::Bool(false))?,
            Kind::Number => Value::Number(self.number_within()?),
            Kind::Text => Value::Text(self.text()?),
            Kind::Array => {
                self.open_array()?;
                let mut elements = Vec::new();
                while self.next_element(elements.is_empty())? {
                    elements.push(self.value_within()?);
                }
                Value::Array(elements)
            }
            Kind::Object => {
                self.open_object()?;
                let mut entries: Vec<(Text, Value)> = Vec::new();
                while let Some(key) = self.next_key_within(entries.is_empty())? {
                    let value = self.value_within()?;
                    entries.push((key, value));
                }
                self.note_repeated(&entries);
                Value::Object(Object(entries))
            }
        })
    }

    fn note_repeated(&mut self, entries: &[(Text, Value)]) {
        // A walk is quickest for the few keys of an honest record; a hostile one must not make it quadratic.
        let repeated = if entries.len() <= 32 {
            entries.iter().enumerate().find(|(index, (key, _))| {
                entries[..*index].iter().any(|(earlier, _)| earlier == key)
            })
        } else {
            let mut seen = HashSet::new();
            entries
                .iter()
                .enumerate()
                .find(|(_, (key, _))| !seen.insert(key))
        };
        if let Some((_, (key, _))) = repeated {
            self.repeated.get_or_insert(key.lossy().to_owned());
        }
    }

    fn next_key_within(&mut self, first: bool) -> Result<Option<Text>> {
        if !self.key_follows(first)? {
            return Ok(None);
        }
        let key = self.text()?;
        self.colon()?;
        Ok(Some(key))
    }

    /// Steps to the next key, or out of the object.
    fn key_follows(&mut self, first: bool) -> Result<bool> {
        self.skip_space()?;
        match (self.peek()?, first) {
            (Some(b'}'), _) => {
                self.close();
                return Ok(false);
            }
            (_, true) => {}
            (Some(b','), false) => {
                self.at += 1;
                self.skip_space()?;
            }
            _ => return Err(self.wrong("a comma or `}` is expected here")),
        }
        if self.peek()? != Some(b'"') {
            return Err(self.wrong("a key in double quotes is expected here"));
        }
        Ok(true)
    }

    fn colon(&mut self) -> Result<()> {
        self.skip_space()?;
        if self.peek()? != Some(b':') {
            return Err(self.wrong("a colon is expected here"));
        }
        self.at += 1;
        Ok(())
    }

    // === bytes ===

    fn open(&mut self, bracket: u8) -> Result<()> {
        self.skip_space()?;
        if self.peek()? != Some(bracket) {
            return Err(self.wrong(match bracket {
                b'{' => "an object is expected here",
                _ => "a list is expected here",
            }));
        }
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong("nested more than 64 levels deep"));
        }
        Ok(())
    }

    fn close(&mut self) {
        self.at += 1;
        self.depth -= 1;
    }

    #[inline]
    pub(super) fn skip_space(&mut self) -> Result<()> {
        match self.buffer[self.at..self.end].first() {
            Some(byte) if *byte > b' ' => Ok(()),
            _ => self.skip_any_space(),
        }
    }

    fn skip_any_space(&mut self) -> Result<()> {
        while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = self.peek()? {
            self.at += 1;
            if byte == b'\n' {
                self.line += 1;
                self.line_start = self.offset();
            }
        }
        Ok(())
    }

    pub(super) fn take(&mut self) -> Result<Option<u8>> {
        let byte = self.peek()?;
        self.at += usize::from(byte.is_some());
        Ok(byte)
    }

    #[inline]
    pub(super) fn peek(&mut self) -> Result<Option<u8>> {
        if self.at == self.end {
            self.fill()?;
        }
        Ok(self.buffer[..self.end].get(self.at).copied())
    }

    /// Reads more, keeping what is unread. At the end of the file it changes nothing.
    pub(super) fn fill(&mut self) -> Result<()> {
        if self.offset() > self.limit {
            return Err(self.wrong("one record is larger than the limit"));
        }
        self.buffer.copy_within(self.at..self.end, 0);
        self.before += self.at as u64;
        self.end -= self.at;
        self.at = 0;
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    self.drained = count == 0;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Starts the allowance of a new record.
    fn arm(&mut self) {
        self.limit = self.offset().saturating_add(self.max_record);
    }

    pub(super) fn wrong(&self, what: &'static str) -> Fault {
        let ended = self.drained && self.at == self.end;
        SyntaxError {
            line: self.line,
            byte: self.offset() - self.line_start + 1,
            what,
            ended,
        }
        .into()
    }
}
