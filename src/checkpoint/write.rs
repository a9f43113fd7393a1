//! Writing the tree of a checkpoint that was checked.

use std::path::Path;

use super::pass::pass;
use super::tree::{self, Tree};
use super::walk::Listener;
use super::{Checkpoint, Error, Layout, Owner, Report, Written};

/// Writes the `validation` tree of a checkpoint that was checked as the new directory `into`, durably.
///
/// # Errors
/// If the report has problems, the file is no longer the one that was checked, or the tree cannot be
/// written; then `into` is removed again. If `into` is there already, it is left alone.
pub fn write(
    checkpoint: &Checkpoint,
    report: &Report,
    into: &Path,
    owner: &Owner,
    listener: Listener<'_>,
) -> Result<Written, Error> {
    if !report.is_sound() {
        return Err(Error::Unsound {
            path: checkpoint.path().to_owned(),
            problems: report.problems.total,
        });
    }
    tree::check_space(into, &report.summary)?;
    let mut tree = Tree::create(into, owner)?;
    let layout = report.summary.layout.unwrap_or(Layout::Ptn711);
    let written = pass(checkpoint, &report.rules, layout, None, &mut tree, listener)
        .and_then(|passed| {
            let same = passed.digest == report.digest && passed.problems.total() == 0;
            same.then_some(()).ok_or_else(|| Error::Changed {
                path: checkpoint.path().to_owned(),
            })
        })
        .and_then(|()| tree.finish());
    if written.is_err() {
        // Best effort: half a tree is of no use, and the caller hears of the first failure.
        let _ = std::fs::remove_dir_all(into);
    }
    written
}
