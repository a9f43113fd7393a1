//! Reading strings and numbers, which may be cut anywhere by the end of the buffer.

use super::plain::{Form, Plain};
use super::reader::{Fault, Result};
use super::{Number, Reader, Text, push_float, push_number};

/// CPython refuses to convert longer integers (`sys.int_info.default_max_str_digits`).
const MAX_DIGITS: usize = 4300;

impl Reader<'_> {
    pub(super) fn text(&mut self) -> Result<Text> {
        if let Some(plain) = self.plain_text() {
            return Ok(plain);
        }
        let mut lone = Vec::new();
        self.read_text(&mut lone)?;
        match std::str::from_utf8(&self.scratch) {
            Ok(characters) => Ok(Text::new(characters.to_owned(), lone)),
            Err(_) => Err(self.not_unicode()),
        }
    }

    /// A string as most are: of ASCII without an escape, and whole in the buffer. All else takes the long way.
    fn plain_text(&mut self) -> Option<Text> {
        let rest = &self.buffer[self.at + 1..self.end];
        let length = plain_bytes(rest);
        if *rest.get(length)? != b'"' {
            return None;
        }
        let characters = std::str::from_utf8(&rest[..length]).ok()?.to_owned();
        self.at += length + 2;
        Some(Text::new(characters, Vec::new()))
    }

    /// Reads past a string.
    pub(super) fn skip_text(&mut self) -> Result<()> {
        let rest = &self.buffer[self.at + 1..self.end];
        let length = plain_bytes(rest);
        if rest.get(length) == Some(&b'"') {
            self.at += length + 2;
            return Ok(());
        }
        self.read_text(&mut Vec::new())?;
        match std::str::from_utf8(&self.scratch) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.not_unicode()),
        }
    }

    fn not_unicode(&self) -> Fault {
        self.wrong("the string that ends here is not UTF-8")
    }

    /// Reads a string to `scratch`.
    fn read_text(&mut self, lone: &mut Vec<(usize, u16)>) -> Result<()> {
        self.at += 1;
        self.scratch.clear();
        loop {
            let rest = &self.buffer[self.at..self.end];
            let stop = rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
            self.scratch.extend(&rest[..stop.unwrap_or(rest.len())]);
            match stop.map(|stop| (stop, rest[stop])) {
                None => {
                    self.at = self.end;
                    if self.peek()?.is_none() {
                        return Err(self.wrong("the file ends inside a string"));
                    }
                }
                Some((stop, b'"')) => {
                    self.at += stop + 1;
                    return Ok(());
                }
                Some((stop, b'\\')) => {
                    self.at += stop + 1;
                    self.escape(lone)?;
                }
                Some((stop, _)) => {
                    self.at += stop;
                    return Err(self.wrong("a control character inside a string"));
                }
            }
        }
    }

    fn escape(&mut self, lone: &mut Vec<(usize, u16)>) -> Result<()> {
        let plain = match self.take()? {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let unit = self.hex()?;
                return self.unit(unit, lone);
            }
            _ => return Err(self.wrong("an unknown escape in a string")),
        };
        self.scratch.push(plain);
        Ok(())
    }

    /// Adds one `\u` escape, and the second half of its pair if that follows.
    fn unit(&mut self, mut unit: u16, lone: &mut Vec<(usize, u16)>) -> Result<()> {
        loop {
            let high = unit;
            if !(0xd800..0xdc00).contains(&high) || !self.followed_by_unit()? {
                self.push_unit(high, lone);
                return Ok(());
            }
            unit = self.hex()?;
            if let Some(Ok(pair)) = char::decode_utf16([high, unit]).next() {
                let mut bytes = [0; 4];
                self.scratch.extend(pair.encode_utf8(&mut bytes).as_bytes());
                return Ok(());
            }
            self.push_unit(high, lone);
        }
    }

    fn push_unit(&mut self, unit: u16, lone: &mut Vec<(usize, u16)>) {
        let character = char::from_u32(u32::from(unit)).unwrap_or_else(|| {
            lone.push((self.scratch.len(), unit));
            char::REPLACEMENT_CHARACTER
        });
        let mut bytes = [0; 4];
        self.scratch
            .extend(character.encode_utf8(&mut bytes).as_bytes());
    }

    /// Steps past `\u` if it comes next.
    fn followed_by_unit(&mut self) -> Result<bool> {
        while self.end - self.at < 2 && !self.drained {
            self.fill()?;
        }
        let follows = self.buffer[self.at..self.end].starts_with(b"\\u");
        if follows {
            self.at += 2;
        }
        Ok(follows)
    }

    fn hex(&mut self) -> Result<u16> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = match self.take()? {
                Some(byte @ b'0'..=b'9') => byte - b'0',
                Some(byte @ b'a'..=b'f') => byte - b'a' + 10,
                Some(byte @ b'A'..=b'F') => byte - b'A' + 10,
                _ => return Err(self.wrong("four hexadecimal digits are expected after `\\u`")),
            };
            unit = unit << 4 | u16::from(digit);
        }
        Ok(unit)
    }

    pub(super) fn number_within(&mut self) -> Result<Number> {
        self.skip_space()?;
        if let Some(number) = self.plain_number() {
            return Ok(number);
        }
        self.scratch.clear();
        let negative = self.peek()? == Some(b'-');
        if negative {
            self.scratch.push(b'-');
            self.at += 1;
        }
        let mut integer = true;
        match self.peek()? {
            Some(b'I') => {
                let infinity = if negative {
                    f64::NEG_INFINITY
                } else {
                    f64::INFINITY
                };
                return self.word(b"Infinity", Number::Float(infinity));
            }
            Some(b'N') if !negative => return self.word(b"NaN", Number::Float(f64::NAN)),
            Some(b'0') => {
                self.scratch.push(b'0');
                self.at += 1;
            }
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.wrong("a number is expected here")),
        }
        if self.peek()? == Some(b'.') {
            integer = false;
            self.mark(b'.');
            self.digits()?;
        }
        if let Some(mark @ (b'e' | b'E')) = self.peek()? {
            integer = false;
            self.mark(mark);
            if let Some(sign @ (b'+' | b'-')) = self.peek()? {
                self.mark(sign);
            }
            self.digits()?;
        }
        self.parsed(integer)
    }

    /// A number as most are, that is in the buffer with what follows it; all else takes the long way.
    fn plain_number(&mut self) -> Option<Number> {
        let rest = &self.buffer[self.at..self.end];
        let plain = Plain::scan(rest)?;
        let number = match plain.form {
            Form::Integer(integer) => Number::Integer(integer),
            Form::Float => Number::Float(plain.float(rest)?),
        };
        self.at += plain.length;
        Some(number)
    }

    /// Copies the next number to `out` as Python would write it. `None` where it is not a finite number as most are; then
    /// nothing was read.
    pub(crate) fn copy_plain_number(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let rest = &self.buffer[self.at..self.end];
        let plain = Plain::scan(rest)?;
        if plain.is_as_python_writes_it {
            out.extend_from_slice(&rest[..plain.length]);
        } else {
            match plain.form {
                Form::Integer(integer) => push_number(out, &Number::Integer(integer)),
                Form::Float => {
                    let float = plain.float(rest).filter(|float| float.is_finite())?;
                    push_float(out, float);
                }
            }
        }
        self.at += plain.length;
        Some(())
    }

    fn parsed(&self, integer: bool) -> Result<Number> {
        // Digits, signs, a dot and an `e`: always ASCII.
        let text = std::str::from_utf8(&self.scratch).unwrap_or_default();
        if !integer {
            return match text.parse() {
                Ok(float) => Ok(Number::Float(float)),
                Err(_) => Err(self.wrong("a number is expected here")),
            };
        }
        Ok(match text.parse() {
            Ok(integer) => Number::Integer(integer),
            Err(_) if text.trim_start_matches('-').len() > MAX_DIGITS => {
                return Err(self.wrong("an integer of more than 4300 digits"));
            }
            Err(_) => Number::Big(text.to_owned()),
        })
    }

    fn mark(&mut self, byte: u8) {
        self.scratch.push(byte);
        self.at += 1;
    }

    fn digits(&mut self) -> Result<()> {
        let before = self.scratch.len();
        loop {
            let rest = &self.buffer[self.at..self.end];
            let stop = rest.iter().position(|byte| !byte.is_ascii_digit());
            self.scratch.extend(&rest[..stop.unwrap_or(rest.len())]);
            self.at += stop.unwrap_or(rest.len());
            if stop.is_some() || self.peek()?.is_none() {
                break;
            }
        }
        if self.scratch.len() == before {
            return Err(self.wrong("a digit is expected here"));
        }
        Ok(())
    }

    pub(super) fn word<T>(&mut self, word: &'static [u8], meaning: T) -> Result<T> {
        for expected in word {
            if self.peek()? != Some(*expected) {
                return Err(self.wrong("a value is expected here"));
            }
            self.at += 1;
        }
        Ok(meaning)
    }
}

/// How many bytes of a string are ASCII that stands for itself, eight at a time.
#[inline]
fn plain_bytes(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    // The high bit of a byte that is zero; one above such a byte may be told as well.
    let zeros = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes & HIGH;
    let mut at = 0;
    while let Some(eight) = text.get(at..at + 8).and_then(|eight| eight.try_into().ok()) {
        let eight = u64::from_le_bytes(eight);
        let control = eight.wrapping_sub(0x20 * ONES);
        let quotes = zeros(eight ^ (u64::from(b'"') * ONES));
        let escapes = zeros(eight ^ (u64::from(b'\\') * ONES));
        let others = (eight | control) & HIGH | quotes | escapes;
        if others != 0 {
            return at + others.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let others = text[at..]
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f | 0x80..));
    others.map_or(text.len(), |other| at + other)
}
