//! Writing values with the bytes that Python's `json.dumps` writes.
//!
//! Separators are `", "` and `": "`, everything outside printable ASCII is escaped, and floats have
//! the layout of `repr` (CPython `float_repr_style` "short").

use std::fmt::Write;

use super::{Number, Text, Value};

/// Appends a string in quotes.
pub(crate) fn push_text(out: &mut Vec<u8>, text: &Text) {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    out.push(b'"');
    if text.lossy().as_bytes().iter().all(is_plain) {
        out.extend(text.lossy().as_bytes());
        out.push(b'"');
        return;
    }
    let mut lone = text.lone_surrogates().iter().peekable();
    for (offset, character) in text.lossy().char_indices() {
        match lone.next_if(|(at, _)| *at == offset) {
            Some((_, surrogate)) => push_unit(out, *surrogate),
            None => push_character(out, character),
        }
    }
    out.push(b'"');
}

fn push_character(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend(b"\\\""),
        '\\' => out.extend(b"\\\\"),
        '\n' => out.extend(b"\\n"),
        '\r' => out.extend(b"\\r"),
        '\t' => out.extend(b"\\t"),
        '\u{8}' => out.extend(b"\\b"),
        '\u{c}' => out.extend(b"\\f"),
        ' '..='~' => out.push(character as u8),
        _ => {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                push_unit(out, *unit);
            }
        }
    }
}

fn push_unit(out: &mut Vec<u8>, unit: u16) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.extend(b"\\u");
    for shift in [12, 8, 4, 0] {
        out.push(HEX[usize::from(unit >> shift) & 0xf]);
    }
}

/// Appends a number.
pub(crate) fn push_number(out: &mut Vec<u8>, number: &Number) {
    match number {
        Number::Integer(integer) => push_integer(out, *integer),
        Number::Big(digits) => out.extend(digits.as_bytes()),
        Number::Float(float) => push_float(out, *float),
    }
}

fn push_integer(out: &mut Vec<u8>, integer: i64) {
    let mut digits = Stack::<24>::default();
    // 20 characters at most: the buffer is large enough, so this cannot fail.
    let _ = write!(digits, "{integer}");
    out.extend(digits.bytes());
}

/// Appends a double: the shortest digits that read back the same, in `repr`'s layout, which is
/// positional while the decimal exponent is within -4 and 15 and scientific beyond.
pub(crate) fn push_float(out: &mut Vec<u8>, float: f64) {
    if !float.is_finite() {
        let name: &[u8] = match () {
            () if float.is_nan() => b"NaN",
            () if float > 0.0 => b"Infinity",
            () => b"-Infinity",
        };
        out.extend(name);
        return;
    }
    let mut shortest = zmij::Buffer::new();
    let shortest = shortest.format_finite(float).as_bytes();
    let is_tie = is_tie(float, shortest);
    // Where `repr` is positional, `zmij` has the same layout.
    if !is_tie && (float == 0.0 || (1e-4..1e16).contains(&float.abs())) {
        out.extend_from_slice(shortest);
        return;
    }
    let (mut digits, mut exponent) = Digits::of(shortest);
    if is_tie {
        let decimals = digits.count - 1;
        let mut even = Stack::<32>::default();
        // 24 characters at most.
        let _ = write!(even, "{:.decimals$e}", float.abs());
        // Below a power of two doubles are closer to each other: the even one of the two may be another double.
        if even.reads_as(float.abs()) {
            (digits, exponent) = Digits::of(even.bytes());
        }
    }
    let count = digits.count;
    let digits = &digits.bytes[..count];

    if float.is_sign_negative() {
        out.push(b'-');
    }
    match exponent {
        -4..0 => {
            out.extend(b"0.");
            out.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
            out.extend(digits);
        }
        0..16 => {
            let whole = exponent as usize + 1;
            out.extend(&digits[..whole.min(count)]);
            out.extend(std::iter::repeat_n(b'0', whole.saturating_sub(count)));
            out.push(b'.');
            out.extend(if count > whole {
                &digits[whole..]
            } else {
                b"0"
            });
        }
        _ => {
            out.push(digits[0]);
            if count > 1 {
                out.push(b'.');
                out.extend(&digits[1..]);
            }
            out.extend(if exponent < 0 { b"e-" } else { b"e+" });
            let exponent = i64::from(exponent.unsigned_abs());
            if exponent < 10 {
                out.push(b'0');
            }
            push_integer(out, exponent);
        }
    }
}

/// The significant digits of a double.
struct Digits {
    bytes: [u8; 24],
    count: usize,
}

impl Digits {
    /// The digits, and the decimal exponent of the first, of a number in either layout: `0.0012345`, `1.2345e-7`.
    fn of(text: &[u8]) -> (Self, i32) {
        let (mantissa, mut exponent) = parts(text);
        let mut digits = Self {
            bytes: [0; 24],
            count: 0,
        };
        exponent -= 1;
        let mut in_front = true;
        for byte in mantissa.iter().filter(|byte| **byte != b'-') {
            in_front &= *byte != b'.';
            match *byte {
                b'.' => {}
                b'0' if digits.count == 0 => exponent -= i32::from(!in_front),
                digit => {
                    digits.bytes[digits.count] = digit;
                    digits.count += 1;
                    exponent += i32::from(in_front);
                }
            }
        }
        (digits, exponent)
    }
}

/// The mantissa, and the exponent.
fn parts(text: &[u8]) -> (&[u8], i32) {
    let Some(mark) = text.iter().rposition(|byte| *byte == b'e') else {
        return (text, 0);
    };
    let exponent = std::str::from_utf8(&text[mark + 1..]).ok();
    let exponent = exponent.and_then(|text| text.parse().ok());
    (&text[..mark], exponent.unwrap_or(0))
}

/// Whether two numbers of as many digits as the `shortest` are equally near to `float`. `zmij` then takes either of the
/// two, while Python takes the one with the even last digit, as Rust does when told how many digits.
///
/// That is so if the exact decimal expansion has just one digit more, which is then a 5. An odd number
/// of 2^-k has k decimals, and from 26 on more digits than that; a multiple of two needs no look, for no double is a tie
/// at a whole digit.
fn is_tie(float: f64, shortest: &[u8]) -> bool {
    let bits = float.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let biased = (bits >> 52 & 0x7ff) as i32;
    let significand = if biased == 0 {
        fraction
    } else {
        fraction | 1 << 52
    };
    if significand == 0 {
        return false;
    }
    let all = 1075 - biased.max(1) - significand.trailing_zeros() as i32;
    if !(1..26).contains(&all) {
        return false;
    }
    let (mantissa, exponent) = parts(shortest);
    let point = mantissa.iter().position(|byte| *byte == b'.');
    let decimals = point.map_or(0, |point| mantissa.len() - point - 1) as i32;
    decimals - exponent == all - 1
}

/// Appends any value.
pub(crate) fn push_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend(b"null"),
        Value::Bool(true) => out.extend(b"true"),
        Value::Bool(false) => out.extend(b"false"),
        Value::Number(number) => push_number(out, number),
        Value::Text(text) => push_text(out, text),
        Value::Array(elements) => {
            out.push(b'[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.extend(b", ");
                }
                push_value(out, element);
            }
            out.push(b']');
        }
        Value::Object(object) => {
            out.push(b'{');
            for (index, (key, value)) in object.0.iter().enumerate() {
                if index > 0 {
                    out.extend(b", ");
                }
                push_text(out, key);
                out.extend(b": ");
                push_value(out, value);
            }
            out.push(b'}');
        }
    }
}

/// A small buffer on the stack to format a number into.
struct Stack<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Default for Stack<N> {
    fn default() -> Self {
        Self {
            bytes: [0; N],
            length: 0,
        }
    }
}

impl<const N: usize> Stack<N> {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn reads_as(&self, float: f64) -> bool {
        std::str::from_utf8(self.bytes()).is_ok_and(|text| text.parse() == Ok(float))
    }
}

impl<const N: usize> Write for Stack<N> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        let room = self
            .bytes
            .get_mut(self.length..end)
            .ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
