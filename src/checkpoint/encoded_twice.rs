//! A document that is a JSON string which holds the document: the script reads that too.

use std::io::{self, BufRead, BufReader, Read};

use super::unpack::UnpackFault;

/// The text inside a JSON string, for a document that was encoded twice.
pub(crate) struct Inner<R> {
    input: BufReader<R>,
    state: State,
    /// Decoded bytes that are not handed out yet.
    pending: Vec<u8>,
}

enum State {
    Before,
    Inside,
    After,
}

impl<R: Read> Inner<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input: BufReader::with_capacity(64 * 1024, input),
            state: State::Before,
            pending: Vec::new(),
        }
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.input.fill_buf()?.first().copied();
        self.input.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    /// Decodes a little more into `pending`.
    fn step(&mut self) -> io::Result<()> {
        let byte = self.byte()?;
        match (&self.state, byte) {
            (State::Before | State::After, Some(b' ' | b'\t' | b'\r' | b'\n')) => {}
            (State::Before, Some(b'"')) => self.state = State::Inside,
            (State::Before, _) => {
                return Err(UnpackFault::Inner("it does not start with a quote").into());
            }
            (State::Inside, Some(b'"')) => self.state = State::After,
            (State::Inside, Some(b'\\')) => self.escape()?,
            (State::Inside, Some(0..=0x1f)) => {
                return Err(UnpackFault::Inner("a control character").into());
            }
            (State::Inside, Some(byte)) => self.pending.push(byte),
            (State::Inside, None) => return Err(UnpackFault::Truncated.into()),
            (State::After, Some(_)) => {
                return Err(UnpackFault::Inner("more follows its end").into());
            }
            (State::After, None) => {}
        }
        Ok(())
    }

    fn escape(&mut self) -> io::Result<()> {
        let plain = match self.byte()? {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => return self.unit(),
            _ => return Err(UnpackFault::Inner("an unknown escape").into()),
        };
        self.pending.push(plain);
        Ok(())
    }

    fn unit(&mut self) -> io::Result<()> {
        let first = self.hex()?;
        let mut units = vec![first];
        if (0xd800..0xdc00).contains(&first) {
            if (self.byte()?, self.byte()?) != (Some(b'\\'), Some(b'u')) {
                return Err(UnpackFault::Inner("a lone surrogate").into());
            }
            units.push(self.hex()?);
        }
        let text =
            String::from_utf16(&units).map_err(|_| UnpackFault::Inner("a lone surrogate"))?;
        self.pending.extend(text.as_bytes());
        Ok(())
    }

    fn hex(&mut self) -> io::Result<u16> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.byte()?.and_then(|byte| char::from(byte).to_digit(16));
            let digit = digit.ok_or(UnpackFault::Inner("a bad escape"))?;
            unit = unit << 4 | digit as u16;
        }
        Ok(unit)
    }
}

impl<R: Read> Read for Inner<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.pending.len() < buffer.len() {
            let ended = matches!(self.state, State::After) && self.input.fill_buf()?.is_empty();
            if ended {
                break;
            }
            self.step()?;
        }
        let count = buffer.len().min(self.pending.len());
        buffer[..count].copy_from_slice(&self.pending[..count]);
        self.pending.drain(..count);
        Ok(count)
    }
}
