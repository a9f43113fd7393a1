//! Reading ahead: one thread unpacks the document while another understands it.

use std::io::{self, Read};
use std::thread::Scope;

use super::queue::{Receiver, queue};
use super::thread::start;

/// Small enough for an allocator to keep it at hand.
const PIECE: usize = 64 * 1024;

/// What another thread has read already. Dropping it ends that thread.
pub(crate) struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
}

impl Ahead {
    /// Reads `input` on a thread of its own.
    pub(crate) fn of<'scope>(
        scope: &'scope Scope<'scope, '_>,
        mut input: impl Read + Send + 'scope,
    ) -> io::Result<Self> {
        let (sender, pieces) = queue();
        start(scope, "unpack", move || {
            loop {
                let (piece, fault) = next_piece(&mut input);
                let (last, length) = (fault.is_some() || piece.is_empty(), piece.len());
                // What was read before a fault is understood before it is told.
                let told = piece.is_empty() || sender.send(Ok(piece), length);
                if let Some(error) = fault {
                    // Nobody may be listening any more.
                    sender.send(Err(error), 0);
                }
                if last || !told {
                    return sender.finish();
                }
            }
        })?;
        Ok(Self {
            pieces,
            piece: Vec::new(),
            at: 0,
        })
    }
}

/// What can be read next, and what then kept it from being more. Each call of the reader costs a copy of what it has
/// unpacked last, so it gets as much room as there is.
fn next_piece(input: &mut impl Read) -> (Vec<u8>, Option<io::Error>) {
    let (mut piece, mut length) = (vec![0; PIECE], 0);
    let mut fault = None;
    while length < PIECE {
        match input.read(&mut piece[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                fault = Some(error);
                break;
            }
        }
    }
    piece.truncate(length);
    (piece, fault)
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            match self.pieces.recv() {
                Some(piece) => (self.piece, self.at) = (piece?, 0),
                None => return Ok(0),
            }
        }
        let count = (&self.piece[self.at..]).read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes, then a fault.
    struct Faulty(usize);

    impl Read for Faulty {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::other("worn out"));
            }
            let count = buffer.len().min(self.0).min(1000);
            buffer[..count].fill(7);
            self.0 -= count;
            Ok(count)
        }
    }

    #[test]
    fn all_of_it_comes_in_order_and_a_fault_where_it_was() {
        let all: Vec<u8> = (0..=u8::MAX).cycle().take(3 * PIECE + 5).collect();
        std::thread::scope(|scope| {
            let mut read = Vec::new();
            Ahead::of(scope, &all[..])
                .unwrap()
                .read_to_end(&mut read)
                .unwrap();
            assert!(read == all);
            let mut read = Vec::new();
            let fault = Ahead::of(scope, Faulty(PIECE + 10))
                .unwrap()
                .read_to_end(&mut read);
            assert_eq!(fault.unwrap_err().to_string(), "worn out");
            assert_eq!(read.len(), PIECE + 10);
        });
    }

    #[test]
    fn nobody_waits_for_a_reader_that_has_left() {
        std::thread::scope(|scope| {
            let mut ahead = Ahead::of(scope, io::repeat(1)).unwrap();
            assert_eq!(ahead.read(&mut [0; 10]).unwrap(), 10);
        });
    }
}
