//! Numbers as most are: seen whole, in the buffer, without a byte being moved.

/// A number by JSON's grammar, that is none of those which need care: integers of more than 18 digits.
pub(super) struct Plain {
    pub(super) length: usize,
    pub(super) form: Form,
    /// All its digits as one number, where these are at most 19 and no exponent follows, and how many are decimals.
    digits: Option<(u64, usize)>,
    pub(super) is_as_python_writes_it: bool,
}

/// What it is.
pub(super) enum Form {
    Integer(i64),
    Float,
}

/// Every double of this many decimal digits is told apart from the others, so its shortest form is what it was read from.
const EXACT_DIGITS: u64 = 1_000_000_000_000_000;

/// The powers of ten that are doubles.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

impl Plain {
    /// Looks at the number that `text` starts with; its end has to be in there too. Most of a checkpoint goes through here,
    /// in a program that is built to be small: so it is plain loops, and each byte is looked at once.
    pub(super) fn scan(text: &[u8]) -> Option<Self> {
        let negative = text.first() == Some(&b'-');
        let start = usize::from(negative);
        let (mut at, mut value) = (start, 0_u64);
        while let Some(digit @ b'0'..=b'9') = text.get(at) {
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            at += 1;
        }
        let whole = at - start;
        if whole == 0 || (whole > 1 && text[start] == b'0') {
            return None;
        }
        let mut decimals = 0;
        let mut is_float = false;
        if text.get(at) == Some(&b'.') {
            is_float = true;
            at += 1;
            let first = at;
            while let Some(digit @ b'0'..=b'9') = text.get(at) {
                value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
                at += 1;
            }
            decimals = at - first;
            if decimals == 0 {
                return None;
            }
        }
        let mut digits = (whole + decimals <= 19).then_some((value, decimals));
        let last = text[at - 1];
        if let Some(b'e' | b'E') = text.get(at) {
            (is_float, digits) = (true, None);
            at += 1;
            if let Some(b'+' | b'-') = text.get(at) {
                at += 1;
            }
            let first = at;
            while let Some(b'0'..=b'9') = text.get(at) {
                at += 1;
            }
            if at == first {
                return None;
            }
        }
        // At the end of the buffer more of it may follow.
        if matches!(
            text.get(at)?,
            b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'
        ) {
            return None;
        }
        let (form, is_as_python_writes_it) = if is_float {
            let is_short = digits.is_some_and(|(value, decimals)| {
                let is_positional = decimals <= 4 || value as f64 >= TENS[decimals - 4];
                let is_stripped = last != b'0' || decimals == 1;
                value < EXACT_DIGITS && is_stripped && (is_positional && value > 0 || decimals == 1)
            });
            (Form::Float, is_short)
        } else if whole <= 18 {
            let integer = i64::try_from(value).ok()?;
            let is_minus_zero = negative && value == 0;
            let signed = if negative { -integer } else { integer };
            (Form::Integer(signed), !is_minus_zero)
        } else {
            return None;
        };
        Some(Self {
            length: at,
            form,
            digits,
            is_as_python_writes_it,
        })
    }

    /// The nearest double to it, which is what `text` starts with.
    pub(super) fn float(&self, text: &[u8]) -> Option<f64> {
        // Both are doubles, so their quotient is rounded once.
        if let Some((value, decimals)) = self.digits
            && value <= 1 << 53
        {
            let float = value as f64 / TENS[decimals];
            return Some(if text[0] == b'-' { -float } else { float });
        }
        std::str::from_utf8(&text[..self.length]).ok()?.parse().ok()
    }
}
