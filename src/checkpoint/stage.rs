//! Checking a checkpoint and writing its tree in one pass.
//!
//! Most of the time goes into reading the file, so it is read once: the tree is made while the check goes on, in a place
//! that nobody looks at, and it stays only where all of the check was without a problem.

use std::fs::{self, File};
use std::path::Path;
use std::thread::scope;

use super::behind::Behind;
use super::check::choose_layout;
use super::fingerprint::{Fingerprint, Half};
use super::lasting::{parent, sync};
use super::pass::{no_thread, pass};
use super::room::Room;
use super::thread::start;
use super::tree::{Owner, Tree};
use super::walk::Listener;
use super::{Checkpoint, Error, Packing, Report, Rules, Written};

/// Where a tree is made.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The directory to make.
    pub root: &'a Path,
    /// Whom the tree belongs to.
    pub owner: &'a Owner,
    /// Bytes that the filesystem has to have left when the tree is there.
    pub reserve: u64,
}

/// As [`super::check`], and where that finds no problem the `validation` tree is made too: it is durable, and what can be
/// read of it is what was written. Until then, and for ever where there is a problem, nobody is to take it for a tree.
///
/// # Errors
/// Those of [`super::check`], and what keeps the tree from being written. On an error, and where there is a problem,
/// nothing stays of it. If it is there already, that is left alone.
pub fn stage(
    checkpoint: &Checkpoint,
    rules: &Rules,
    on_disk: Option<&Path>,
    into: &Target<'_>,
    listener: Listener<'_>,
) -> Result<(Report, Option<Written>), Error> {
    let choice = choose_layout(checkpoint, rules)?;
    Room::of(parent(into.root), into.reserve).demand_more_than(least(checkpoint))?;
    let mut is_there = false;
    let staged = scope(|scope| {
        let tree = Tree::create(scope, into)?;
        is_there = true;
        let (mut behind, writer) = Behind::before(scope, tree).map_err(no_thread(checkpoint))?;
        let passed = pass(
            checkpoint,
            rules,
            choice.layout,
            on_disk,
            &mut behind,
            listener,
        )
        .and_then(|passed| behind.finish().map(|()| passed));
        // Its own error comes first: that it has ended is all that the pass knows of it.
        let tree = writer.join()?;
        let passed = passed?;
        checkpoint.refuse_changed()?;
        let report = choice.report(rules, passed, tree.measure());
        let written = match report.is_sound() {
            true => Some(tree.finish()?),
            false => None,
        };
        Ok((report, written))
    });
    let staged = staged.and_then(|(report, written)| {
        let written = match written {
            Some((written, directory)) => {
                make_last(into.root, &directory, &written.fingerprint)?;
                Some(written)
            }
            None => None,
        };
        Ok((report, written))
    });
    if is_there && !matches!(staged, Ok((_, Some(_)))) {
        // Best effort: half a tree is of no use, and the caller hears of the first failure.
        let _ = fs::remove_dir_all(into.root);
    }
    staged
}

/// What the tree of a checkpoint has at least: packed it has several times as much, and text may have much that is left out.
fn least(checkpoint: &Checkpoint) -> u64 {
    match checkpoint.packing() {
        Packing::Gzip => checkpoint.bytes(),
        Packing::Plain => checkpoint.bytes() / 2,
    }
}

/// Makes a tree durable, and reads it again meanwhile.
fn make_last(root: &Path, directory: &File, written: &Fingerprint) -> Result<(), Error> {
    let read = scope(|scope| {
        let reader = |half| {
            let reader = start(scope, "read", move || Fingerprint::of_half(root, half));
            reader.map_err(|source| Error::Io {
                action: "start a thread to read",
                path: root.to_owned(),
                source,
            })
        };
        let (top, below) = (reader(Half::Top)?, reader(Half::Below)?);
        sync(root, directory)?;
        let failed = |(path, source)| Error::Io {
            action: "read again",
            path,
            source,
        };
        let (top, below) = (top.join().map_err(failed)?, below.join().map_err(failed)?);
        Ok(top.plus(below))
    })?;
    match read == *written {
        true => Ok(()),
        false => Err(Error::Corrupted {
            path: root.to_owned(),
        }),
    }
}
