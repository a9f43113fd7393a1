//! Numbers as most are: seen whole, in the buffer, without a byte being moved.

use super::nearest::{is_shortest, nearest};

/// A number by JSON's grammar, that is none of those which need care: integers of more than 18 digits.
pub(super) struct Plain {
    pub(super) length: usize,
    pub(super) form: Form,
    /// All its digits as one number, where that fits, and how many are decimals.
    digits: Option<(u64, usize)>,
    pub(super) is_as_python_writes_it: bool,
}

/// What it is.
pub(super) enum Form {
    Integer(i64),
    Float,
}

/// So many digits fit, whichever they are.
const DIGITS: usize = 19;

/// Python writes as many digits before the point at most.
const WHOLE_DIGITS: usize = 16;

impl Plain {
    /// Looks at the number that `text` starts with; its end has to be in there too. Most of a checkpoint goes through here,
    /// in a program that is built to be small: so it is plain loops, and each byte is looked at once.
    pub(super) fn scan(text: &[u8]) -> Option<Self> {
        let negative = text.first() == Some(&b'-');
        let start = usize::from(negative);
        let (whole_end, mut value) = digits(text, start, 0);
        let whole = whole_end - start;
        if whole == 0 || (whole > 1 && text[start] == b'0') {
            return None;
        }
        let mut at = whole_end;
        let (mut decimals, mut zeros) = (0, 0);
        if text.get(at) == Some(&b'.') {
            at += 1;
            if value == 0 {
                zeros = text[at..].iter().take_while(|byte| **byte == b'0').count();
            }
            let end;
            (end, value) = digits(text, at + zeros, value);
            decimals = end - at;
            if decimals == 0 {
                return None;
            }
            at = end;
        }
        let fits = whole + decimals - zeros <= DIGITS;
        let last = text[at - 1];
        let mut exponent = None;
        if let Some(letter @ (b'e' | b'E')) = text.get(at) {
            let sign = text.get(at + 1)?;
            let first = at + 1 + usize::from(matches!(sign, b'+' | b'-'));
            let end;
            (end, exponent) = match digits(text, first, 0) {
                (end, _) if end == first => return None,
                (end, power) => (end, Some(power)),
            };
            let is_usual = *letter == b'e' && *sign == b'-' && end - first == 2;
            (at, exponent) = (end, exponent.filter(|power| is_usual && *power > 4));
            if exponent.is_none() {
                return Self::ended(text, at, Form::Float, None, false);
            }
        }
        if let Some(power) = exponent {
            let is_stripped = text[start] != b'0' && whole == 1 && last != b'0';
            let decimals = decimals + power as usize;
            let shortest = fits && is_stripped && is_shortest(value, decimals);
            let digits = fits.then_some((value, decimals));
            return Self::ended(text, at, Form::Float, digits, shortest);
        }
        if decimals > 0 {
            let is_stripped = last != b'0' || decimals == 1;
            let is_positional = if value > 0 { zeros <= 3 } else { decimals == 1 };
            let shortest = fits
                && is_stripped
                && is_positional
                && whole <= WHOLE_DIGITS
                && is_shortest(value, decimals);
            let digits = fits.then_some((value, decimals));
            return Self::ended(text, at, Form::Float, digits, shortest);
        }
        if whole > 18 {
            return None;
        }
        let integer = i64::try_from(value).ok()?;
        let is_minus_zero = negative && value == 0;
        let signed = if negative { -integer } else { integer };
        Self::ended(text, at, Form::Integer(signed), None, !is_minus_zero)
    }

    /// At the end of the buffer more of it may follow.
    #[inline]
    fn ended(
        text: &[u8],
        length: usize,
        form: Form,
        digits: Option<(u64, usize)>,
        is_as_python_writes_it: bool,
    ) -> Option<Self> {
        match text.get(length)? {
            b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E' => None,
            _ => Some(Self {
                length,
                form,
                digits,
                is_as_python_writes_it,
            }),
        }
    }

    /// The nearest double to it, which is what `text` starts with.
    pub(super) fn float(&self, text: &[u8]) -> Option<f64> {
        let quick = self
            .digits
            .and_then(|(value, decimals)| nearest(value, decimals));
        match quick {
            Some(float) if text[0] == b'-' => Some(-float),
            Some(float) => Some(float),
            None => std::str::from_utf8(&text[..self.length]).ok()?.parse().ok(),
        }
    }
}

/// Where the digits from `at` on end, and what they add to `value`.
#[inline]
fn digits(text: &[u8], mut at: usize, mut value: u64) -> (usize, u64) {
    while let Some(eight) = text.get(at..at + 8).and_then(eight_digits) {
        value = value.wrapping_mul(100_000_000).wrapping_add(eight);
        at += 8;
    }
    while let Some(digit @ b'0'..=b'9') = text.get(at) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        at += 1;
    }
    (at, value)
}

/// The number of eight digits, all of them at once: neighbours are joined to twice as large digits three times.
#[inline]
fn eight_digits(text: &[u8]) -> Option<u64> {
    let text = u64::from_le_bytes(text.try_into().ok()?);
    // A digit is from 0x30 to 0x39, so with six more it is below 0x40 still.
    let is_digits = |text: u64| text & 0xf0f0_f0f0_f0f0_f0f0 == 0x3030_3030_3030_3030;
    if !is_digits(text) || !is_digits(text.wrapping_add(0x0606_0606_0606_0606)) {
        return None;
    }
    let ones = text & 0x0f0f_0f0f_0f0f_0f0f;
    let tens = ones.wrapping_mul(10).wrapping_add(ones >> 8) & 0x00ff_00ff_00ff_00ff;
    let hundreds = tens.wrapping_mul(100).wrapping_add(tens >> 16) & 0x0000_ffff_0000_ffff;
    let all = hundreds.wrapping_mul(10_000).wrapping_add(hundreds >> 32);
    Some(all & 0xffff_ffff)
}
