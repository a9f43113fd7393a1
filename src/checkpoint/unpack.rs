//! From the bytes of the file to the text of the document.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::GzDecoder;

/// Why the text could not be had; travels inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackFault {
    #[error("the compressed data ends early")]
    Truncated,
    #[error("{0}")]
    Damaged(io::Error),
    #[error("data after the compressed content, at byte {0}")]
    Trailing(u64),
    #[error("more than {0} bytes")]
    TooLarge(u64),
    #[error("the inner text of the string is not as it should be: {0}")]
    Inner(&'static str),
}

impl From<UnpackFault> for io::Error {
    fn from(fault: UnpackFault) -> Self {
        Self::other(fault)
    }
}

/// How much has been read of the file so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<AtomicU64>);

impl Tally {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The file from its start, without moving anyone's cursor; tallies what it reads.
pub(crate) struct Raw<'a> {
    pub(crate) file: &'a File,
    pub(crate) tally: Tally,
}

impl Read for Raw<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.tally.bytes())?;
        self.tally.0.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Gzip as Python's `gzip` reads it: any number of members, zero bytes as padding after each.
pub(crate) struct Members<R> {
    member: Option<GzDecoder<BufReader<R>>>,
    /// Bytes of the file that are known to be consumed, for the place of trailing data.
    tally: Tally,
}

impl<R: Read> Members<R> {
    pub(crate) fn new(raw: R, tally: Tally) -> Self {
        let raw = BufReader::with_capacity(128 * 1024, raw);
        Self {
            member: Some(GzDecoder::new(raw)),
            tally,
        }
    }

    /// Steps past the padding to the next member, if there is one.
    fn next_member(&self, mut raw: BufReader<R>) -> io::Result<Option<GzDecoder<BufReader<R>>>> {
        loop {
            let rest = raw.fill_buf()?;
            if rest.is_empty() {
                return Ok(None);
            }
            let zeros = rest.iter().take_while(|byte| **byte == 0).count();
            match rest.get(zeros) {
                None => raw.consume(zeros),
                Some(0x1f) => {
                    raw.consume(zeros);
                    return Ok(Some(GzDecoder::new(raw)));
                }
                Some(_) => {
                    let at = self.tally.bytes() - (rest.len() - zeros) as u64;
                    return Err(UnpackFault::Trailing(at).into());
                }
            }
        }
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            match member.read(buffer) {
                Ok(0) if !buffer.is_empty() => {
                    let done = self.member.take().map(GzDecoder::into_inner);
                    if let Some(raw) = done {
                        self.member = self.next_member(raw)?;
                    }
                }
                Ok(count) => return Ok(count),
                Err(error) => return Err(explain(error)),
            }
        }
        Ok(0)
    }
}

fn explain(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => UnpackFault::Truncated.into(),
        // What flate2 says of a bad header, stream or checksum.
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            UnpackFault::Damaged(error).into()
        }
        _ => error,
    }
}

/// Refuses to yield more than a number of bytes.
pub(crate) struct Capped<R> {
    pub(crate) input: R,
    pub(crate) left: u64,
    pub(crate) limit: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => return Err(UnpackFault::TooLarge(self.limit).into()),
        }
        Ok(count)
    }
}
