//! Rules that turn what is observed into operations. They ask through the same door as everybody.

mod drop;
mod schedule;
mod times;

pub use drop::{DropDirectory, Drops};
pub use schedule::{Schedule, Scheduler};
