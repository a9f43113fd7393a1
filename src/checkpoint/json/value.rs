//! One JSON value in memory: a record of the checkpoint.

use super::Text;

/// A number as Python keeps it: an integer of any size, or a double.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Number {
    /// An integer that fits.
    Integer(i64),
    /// An integer that does not: its digits.
    Big(String),
    /// A double; not finite for `NaN`, the infinities and literals that overflow.
    Float(f64),
}

impl Number {
    /// The nearest double, as Python's `float()` has it; infinite where Python raises an overflow.
    pub(crate) fn as_f64(&self) -> f64 {
        match self {
            // Rounds to nearest, ties to even: the rule of Python's conversion too.
            Self::Integer(integer) => *integer as f64,
            Self::Big(digits) => digits.parse().unwrap_or(f64::INFINITY),
            Self::Float(float) => *float,
        }
    }
}

/// Any JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(Text),
    Array(Vec<Value>),
    Object(Object),
}

impl Value {
    /// What it is, in words for an error text.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(Number::Float(_)) => "a fractional number",
            Self::Number(Number::Big(_)) => "a huge integer",
            Self::Number(_) => "an integer",
            Self::Text(_) => "a string",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// The string, where this is one and valid Unicode.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => text.as_str(),
            _ => None,
        }
    }
}

/// A JSON object in the order of the file.
///
/// A key that is there twice is kept twice: [`super::Reader::take_repeated`] tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Object(pub(crate) Vec<(Text, Value)>);

impl Object {
    /// The value of `key`. Records are small: a walk is quicker than a hash.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(name, _)| name.as_str() == Some(key))
            .map(|(_, value)| value)
    }
}
