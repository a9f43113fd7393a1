//! Reading ahead: one thread unpacks the document while another understands it.

use std::io::{self, Read};
use std::thread::Scope;

use super::queue::{Receiver, queue};

/// Small enough for an allocator to keep it at hand.
const PIECE: usize = 64 * 1024;

/// How many pieces may wait.
const PIECES: usize = 8;

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
    ) -> Self {
        let (sender, pieces) = queue(PIECES);
        scope.spawn(move || {
            loop {
                let mut piece = Vec::with_capacity(PIECE);
                let read = (&mut input).take(PIECE as u64).read_to_end(&mut piece);
                let last = read.is_err() || piece.is_empty();
                // What was read before a fault is understood before it is told.
                let told = piece.is_empty() || sender.send(Ok(piece));
                if let Err(error) = read {
                    // Nobody may be listening any more.
                    sender.send(Err(error));
                }
                if last || !told {
                    return;
                }
            }
        });
        Self {
            pieces,
            piece: Vec::new(),
            at: 0,
        }
    }
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
            Ahead::of(scope, &all[..]).read_to_end(&mut read).unwrap();
            assert!(read == all);
            let mut read = Vec::new();
            let fault = Ahead::of(scope, Faulty(PIECE + 10)).read_to_end(&mut read);
            assert_eq!(fault.unwrap_err().to_string(), "worn out");
            assert_eq!(read.len(), PIECE + 10);
        });
    }

    #[test]
    fn nobody_waits_for_a_reader_that_has_left() {
        std::thread::scope(|scope| {
            let mut ahead = Ahead::of(scope, io::repeat(1));
            assert_eq!(ahead.read(&mut [0; 10]).unwrap(), 10);
        });
    }
}
