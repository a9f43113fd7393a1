//! Running one pass through a checkpoint file, and saying what ended it early.

use std::io;

use super::compare::{Compare, Comparison};
use super::json::Fault;
use super::report::Problems;
use super::source::Unpacked;
use super::unpack::UnpackFault;
use super::walk::{Listener, Place, Sink, Stop, Task, Walk};
use super::{Checkpoint, Error, Layout, Packing, Rules, Summary};

/// What a pass gathered.
pub(crate) struct Passed {
    pub(crate) problems: Problems,
    pub(crate) summary: Summary,
    pub(crate) on_disk: Option<Comparison>,
    pub(crate) digest: blake3::Hash,
}

/// Goes through all of the file once.
pub(crate) fn pass(
    checkpoint: &Checkpoint,
    rules: &Rules,
    layout: Layout,
    compare: Option<Compare>,
    sink: &mut dyn Sink,
    listener: Listener<'_>,
) -> Result<Passed, Error> {
    let Unpacked { text, tally } = checkpoint.text(rules.max_unpacked)?;
    let task = Task {
        text,
        tally: std::rc::Rc::clone(&tally),
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
    let digest = tally.borrow().hasher.finalize();
    Ok(Passed {
        on_disk: walk.compare.take().map(Compare::finish),
        problems: walk.problems,
        summary: walk.summary,
        digest,
    })
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
