//! Running one pass through a checkpoint file, and saying what ended it early.
//!
//! It keeps several processors at work: one thread unpacks, one understands and checks, one looks at the state on disk.

use std::io;
use std::path::Path;
use std::thread::scope;

use super::ahead::Ahead;
use super::compare::{Compare, Comparison};
use super::json::Fault;
use super::queue::queue;
use super::report::Problems;
use super::source::Unpacked;
use super::thread::{Working, start};
use super::unpack::UnpackFault;
use super::walk::{Listener, Place, Sink, Stop, Task, Walk};
use super::{Checkpoint, Error, Layout, Packing, Rules, Summary};

/// What a pass gathered.
pub(crate) struct Passed {
    pub(crate) problems: Problems,
    pub(crate) summary: Summary,
    pub(crate) on_disk: Option<Comparison>,
}

/// Goes through all of the file once, and compares it with the state in `on_disk`.
pub(crate) fn pass(
    checkpoint: &Checkpoint,
    rules: &Rules,
    layout: Layout,
    on_disk: Option<&Path>,
    sink: &mut dyn Sink,
    listener: Listener<'_>,
) -> Result<Passed, Error> {
    let Unpacked { text, tally } = checkpoint.text(rules.max_unpacked)?;
    scope(|scope| {
        let (mut compare, mut comparison) = (None, None);
        if let Some(validation) = on_disk {
            let (sender, miners) = queue();
            let work = Compare::with(validation, rules.max_record);
            let thread = start(scope, "compare", move || work.all(&miners));
            compare = Some(sender);
            comparison = Some(thread.map_err(no_thread(checkpoint))?);
        }
        let task = Task {
            text: Ahead::of(scope, text).map_err(no_thread(checkpoint))?,
            tally,
            file_bytes: checkpoint.bytes(),
            rules,
            layout,
            compare,
        };
        let mut walk = Walk::new(task, sink, listener);
        if let Err(stop) = walk.run() {
            let bytes = walk.reader.offset();
            return Err(explain(checkpoint, stop, &walk.place, bytes));
        }
        let (problems, summary) = walk.end();
        Ok(Passed {
            problems,
            summary,
            on_disk: comparison.map(Working::join),
        })
    })
}

/// What keeps a file from being read where no thread can be had for it.
pub(crate) fn no_thread(checkpoint: &Checkpoint) -> impl Fn(io::Error) -> Error {
    |source| Error::Io {
        action: "start a thread to read",
        path: checkpoint.path().to_owned(),
        source,
    }
}

/// Why the pass ended, with the file and the place in it.
pub(crate) fn explain(checkpoint: &Checkpoint, stop: Stop, place: &Place, bytes: u64) -> Error {
    let path = checkpoint.path().to_owned();
    let fault = match stop {
        Stop::Error(error) => return error,
        Stop::Fault(fault) => fault,
    };
    let place = place.to_string();
    let error = match fault {
        Fault::Syntax(fault) if fault.ended => return Error::Unfinished { path, place, bytes },
        Fault::Syntax(fault) => {
            let source = fault.into();
            return Error::Syntax {
                path,
                place,
                source,
            };
        }
        Fault::Io(error) => error,
    };
    match error.downcast::<UnpackFault>() {
        Ok(UnpackFault::Truncated) if checkpoint.packing() == Packing::Plain => {
            Error::Unfinished { path, place, bytes }
        }
        Ok(UnpackFault::Truncated) => Error::Truncated {
            path,
            bytes: checkpoint.bytes(),
        },
        Ok(UnpackFault::Damaged(source)) => Error::Damaged { path, source },
        Ok(UnpackFault::Trailing(at)) => Error::Trailing { path, at },
        Ok(UnpackFault::TooLarge(limit)) => Error::TooLarge { path, limit },
        Ok(fault @ UnpackFault::Inner(_)) => Error::Damaged {
            path,
            source: io::Error::other(fault),
        },
        Err(source) => Error::Io {
            action: "read",
            path,
            source,
        },
    }
}
