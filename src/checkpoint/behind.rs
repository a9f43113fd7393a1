//! Writing behind: one thread makes the files while another goes on with the document.

use std::io;
use std::thread::Scope;

use super::Error;
use super::fingerprint::Content;
use super::queue::{Receiver, Sender, queue};
use super::thread::{Working, start};
use super::walk::Sink;

/// So much is handed over at once: waking the other thread for each small file would cost more than the file.
const BATCH: usize = 128 * 1024;

/// One call of a [`Sink`]. What it is called with stands in the batch, in the order of the calls.
enum Call {
    /// The lengths of the directory, of the name and of the bytes.
    File([usize; 3], Content),
    Begin(&'static str),
    Append(usize),
    End,
}

#[derive(Default)]
struct Batch {
    calls: Vec<Call>,
    bytes: Vec<u8>,
}

/// Hands every call on to a sink on a thread of its own.
pub(crate) struct Behind {
    calls: Sender<Batch>,
    batch: Batch,
}

/// The thread of the other sink.
pub(crate) type Writer<'scope, S> = Working<'scope, Result<S, Error>>;

impl Behind {
    /// Starts the thread. It ends when the sink that is given is dropped or cannot do one thing.
    pub(crate) fn before<'scope, S: Sink + Send + 'scope>(
        scope: &'scope Scope<'scope, '_>,
        sink: S,
    ) -> io::Result<(Self, Writer<'scope, S>)> {
        let (calls, inbox) = queue();
        let writer = start(scope, "write", move || write(sink, &inbox))?;
        let behind = Self {
            calls,
            batch: Batch::default(),
        };
        Ok((behind, writer))
    }

    /// Hands over what is left; the thread ends when it has written it.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        self.hand_over()?;
        self.calls.finish();
        Ok(())
    }

    fn call(&mut self, call: Call, parts: &[&[u8]]) -> Result<(), Error> {
        let batch = &mut self.batch;
        batch.calls.push(call);
        for part in parts {
            batch.bytes.extend_from_slice(part);
        }
        match batch.bytes.len() < BATCH {
            true => Ok(()),
            false => self.hand_over(),
        }
    }

    fn hand_over(&mut self) -> Result<(), Error> {
        let batch = std::mem::take(&mut self.batch);
        let bytes = batch.bytes.len();
        // The thread has ended only if it failed, and its own error is the one that is told.
        match self.calls.send(batch, bytes) {
            true => Ok(()),
            false => Err(Error::Cancelled),
        }
    }
}

fn write<S: Sink>(mut sink: S, inbox: &Receiver<Batch>) -> Result<S, Error> {
    while let Some(batch) = inbox.recv() {
        let mut rest = &batch.bytes[..];
        let mut next = |length| {
            let (next, others) = rest.split_at(length);
            rest = others;
            next
        };
        for call in batch.calls {
            match call {
                Call::File([directory, name, bytes], content) => {
                    // They were strings when they were put in.
                    let directory = std::str::from_utf8(next(directory)).unwrap_or_default();
                    let name = std::str::from_utf8(next(name)).unwrap_or_default();
                    sink.file(directory, name, next(bytes), content)?;
                }
                Call::Begin(name) => sink.begin(name)?,
                Call::Append(bytes) => sink.append(next(bytes))?,
                Call::End => sink.end()?,
            }
        }
    }
    Ok(sink)
}

impl Sink for Behind {
    fn file(
        &mut self,
        directory: &str,
        name: &str,
        bytes: &[u8],
        content: Content,
    ) -> Result<(), Error> {
        let parts = [directory.as_bytes(), name.as_bytes(), bytes];
        self.call(Call::File(parts.map(<[u8]>::len), content), &parts)
    }

    fn begin(&mut self, name: &'static str) -> Result<(), Error> {
        self.call(Call::Begin(name), &[])
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.call(Call::Append(bytes.len()), &[bytes])
    }

    fn end(&mut self) -> Result<(), Error> {
        self.call(Call::End, &[])
    }
}
