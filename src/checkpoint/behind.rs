//! Writing behind: one thread makes the files while another goes on with the document.

use std::thread::{Scope, ScopedJoinHandle};

use super::Error;
use super::queue::{Receiver, Sender, queue};
use super::walk::Sink;

/// So much is handed over at once: waking the other thread for each small file would cost more than the file.
const BATCH: usize = 128 * 1024;

/// How many batches may wait.
const BATCHES: usize = 4;

/// One call of a [`Sink`].
enum Call {
    File(String, String, Vec<u8>),
    Begin(&'static str),
    Append(Vec<u8>),
    End,
}

/// Hands every call on to a sink on a thread of its own.
pub(crate) struct Behind {
    calls: Sender<Vec<Call>>,
    batch: Vec<Call>,
    bytes: usize,
}

/// The thread of the other sink.
pub(crate) type Writer<'scope, S> = ScopedJoinHandle<'scope, Result<S, Error>>;

impl Behind {
    /// Starts the thread. It ends when the sink that is given is dropped or cannot do one thing.
    pub(crate) fn before<'scope, S: Sink + Send + 'scope>(
        scope: &'scope Scope<'scope, '_>,
        sink: S,
    ) -> (Self, Writer<'scope, S>) {
        let (calls, inbox) = queue(BATCHES);
        let writer = scope.spawn(move || write(sink, &inbox));
        let behind = Self {
            calls,
            batch: Vec::new(),
            bytes: 0,
        };
        (behind, writer)
    }

    /// Hands over what is left; the thread ends when it has written it.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        self.hand_over()
    }

    fn call(&mut self, call: Call, bytes: usize) -> Result<(), Error> {
        self.batch.push(call);
        self.bytes += bytes;
        match self.bytes < BATCH {
            true => Ok(()),
            false => self.hand_over(),
        }
    }

    fn hand_over(&mut self) -> Result<(), Error> {
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        // The thread has ended only if it failed, and its own error is the one that is told.
        match self.calls.send(batch) {
            true => Ok(()),
            false => Err(Error::Cancelled),
        }
    }
}

fn write<S: Sink>(mut sink: S, inbox: &Receiver<Vec<Call>>) -> Result<S, Error> {
    while let Some(batch) = inbox.recv() {
        for call in batch {
            match call {
                Call::File(directory, name, content) => sink.file(&directory, &name, &content)?,
                Call::Begin(name) => sink.begin(name)?,
                Call::Append(bytes) => sink.append(&bytes)?,
                Call::End => sink.end()?,
            }
        }
    }
    Ok(sink)
}

impl Sink for Behind {
    fn file(&mut self, directory: &str, name: &str, content: &[u8]) -> Result<(), Error> {
        let call = Call::File(directory.to_owned(), name.to_owned(), content.to_owned());
        self.call(call, content.len())
    }

    fn begin(&mut self, name: &'static str) -> Result<(), Error> {
        self.call(Call::Begin(name), 0)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.call(Call::Append(bytes.to_owned()), bytes.len())
    }

    fn end(&mut self) -> Result<(), Error> {
        self.call(Call::End, 0)
    }
}
