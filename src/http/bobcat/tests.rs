//! A body for each state of the stock device, as its owners have recorded them, compared field by field and in order.

mod answering;
mod body;
mod seen;
mod silence;
mod surface;
mod work;
