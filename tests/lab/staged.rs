//! A checkpoint that is checked and made into a tree in one pass.

use std::ops::ControlFlow;
use std::path::Path;

use ostler::checkpoint::{Checkpoint, Error, Owner, Report, Rules, Target, Written, stage};

/// Checks it against what is `on_disk`, and makes its tree as `root` where it is sound.
pub fn staged(
    checkpoint: &Checkpoint,
    rules: &Rules,
    on_disk: Option<&Path>,
    root: &Path,
) -> Result<(Report, Option<Written>), Error> {
    let into = Target {
        root,
        owner: &Owner::default(),
        reserve: 0,
    };
    let go_on = &mut |_| ControlFlow::Continue(());
    stage(checkpoint, rules, on_disk, &into, go_on)
}
