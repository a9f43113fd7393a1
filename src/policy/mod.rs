//! Rules that turn what is observed into operations. They ask through the same door as everybody.

mod schedule;
mod times;

pub use schedule::{Schedule, Scheduler};
