//! The validator's own script, in a copy of its tree.

use super::judge::Judged;
use super::place::Place;
use super::staging::Maker;
use crate::checkpoint::Rules;
use crate::operation::arguments::RestoreCheckpoint;
use crate::operation::context::Context;
use crate::operation::validator::Validator;
use crate::protocol::{Failure, Reason};

pub(super) fn rules(_asked: &RestoreCheckpoint) -> Rules {
    Rules::default()
}

pub(super) async fn run(
    _context: &mut Context,
    _validator: &Validator,
    _place: &Place,
    _judged: Judged,
) -> Result<Maker, Failure> {
    Err(Failure::new(Reason::Unsupported, "not built yet"))
}
