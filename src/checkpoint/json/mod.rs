//! JSON as Python's `json` module reads and writes it, read as a stream.
//!
//! A checkpoint is written by `json.dumps` and read by `json.load`, whose dialect is wider than the
//! standard: `NaN`, the infinities, integers of any size, numbers beyond the range of a double and
//! lone surrogates all pass. So this reader understands them, and its callers refuse them by path.

mod fields;
mod nearest;
mod path;
mod plain;
mod python;
mod reader;
mod scalar;
mod text;
mod value;

pub(crate) use fields::Field;
pub(crate) use path::Path;
pub(crate) use python::{push_float, push_number, push_text, push_value};
pub(crate) use reader::{Fault, Kind, Reader, SyntaxError};
pub(crate) use text::Text;
pub(crate) use value::{Number, Object, Value};

#[cfg(test)]
mod tests;
