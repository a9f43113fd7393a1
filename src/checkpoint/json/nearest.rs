//! The double that is nearest to a decimal, and whether the decimal is how that double is written: in whole numbers of 64
//! bits, without taking digits apart. What is too close or too small for these is left to the long way.

/// The powers of ten, each as the double that is nearest to it; up to 10^22 it is the same.
const TENS: [f64; 26] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 1e23, 1e24, 1e25,
];

/// The powers of five.
const FIVES: [u64; TENS.len()] = {
    let mut fives = [1; TENS.len()];
    let mut power = 1;
    while power < fives.len() {
        fives[power] = fives[power - 1] * 5;
        power += 1;
    }
    fives
};

/// The last power of ten that is a double.
const EXACT_TENS: usize = 22;

/// Every double of this many decimal digits is told apart from the others, so its shortest form is what it was read from.
const EXACT_DIGITS: u64 = 1_000_000_000_000_000;

/// No double needs as many digits.
const TOO_MANY_DIGITS: u64 = 100_000_000_000_000_000;

const FRACTION: u64 = (1 << 52) - 1;

/// The double that is nearest to `value` / 10^`decimals`.
pub(super) fn nearest(value: u64, decimals: usize) -> Option<f64> {
    if value <= 1 << 53 && decimals <= EXACT_TENS {
        // Both are doubles, so their quotient is rounded once.
        return Some(value as f64 / TENS[decimals]);
    }
    Nearest::to(value, decimals).map(|nearest| nearest.double)
}

/// Whether `value` / 10^`decimals` is the shortest decimal that reads as the double it is nearest to, and the nearest of
/// those; `false` too where that is not clear.
pub(super) fn is_shortest(value: u64, decimals: usize) -> bool {
    if value < EXACT_DIGITS {
        return true;
    }
    match Nearest::to(value, decimals) {
        Some(nearest) if value < TOO_MANY_DIGITS => nearest.is_shortest(value),
        _ => false,
    }
}

/// A decimal beside the double that is nearest to it. Everything here is in units of 2^-`shift` of the decimal's last digit,
/// in which both are whole numbers.
struct Nearest {
    double: f64,
    /// How much more than the double the decimal is.
    off: i64,
    /// From one double to the next.
    step: i64,
    shift: u32,
}

impl Nearest {
    fn to(value: u64, decimals: usize) -> Option<Self> {
        // Three roundings: off by three doubles at most.
        let double = value as f64 / TENS.get(decimals)?;
        let bits = double.to_bits();
        let fraction = bits & FRACTION;
        // Where the doubles become as dense again.
        if !(8..FRACTION - 8).contains(&fraction) {
            return None;
        }
        let significand = fraction | 1 << 52;
        let shift = 1075 - i64::try_from(decimals).ok()? - (bits >> 52) as i64;
        let shift = u32::try_from(shift).ok().filter(|shift| *shift <= 58)?;
        // The two differ by little, so what is beyond 64 bits is the same in both.
        let step = FIVES[decimals];
        let mut off = (value << shift).wrapping_sub(significand.wrapping_mul(step)) as i64;
        let (step, mut bits) = (step as i64, bits);
        while 2 * off > step {
            (off, bits) = (off - step, bits + 1);
        }
        while 2 * off < -step {
            (off, bits) = (off + step, bits - 1);
        }
        // Halfway between two doubles it is the even one.
        (2 * off.abs() < step).then_some(Self {
            double: f64::from_bits(bits),
            off,
            step,
            shift,
        })
    }

    fn is_shortest(&self, value: u64) -> bool {
        let (off, unit) = (2 * self.off, 1_i64 << self.shift);
        let last = (value % 10) as i64;
        // None of as many digits is nearer to the double, and the two of one digit less are not nearest to it.
        off.abs() < unit
            && 2 * last * unit - off > self.step
            && 2 * (10 - last) * unit + off > self.step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(20_000))]

        #[test]
        fn it_is_the_double_that_the_standard_library_reads(
            value in 1_u64..,
            cut in 0_u32..64,
            decimals in 0_usize..28,
        ) {
            let value = value >> cut;
            let text = format!("{value}e-{decimals}");
            if let Some(double) = nearest(value, decimals) {
                proptest::prop_assert_eq!(double, text.parse::<f64>().unwrap(), "{}", text);
            }
        }

        /// Of the digits of a double, and of those beside them.
        #[test]
        fn the_shortest_is_what_the_double_is_written_as(
            significand in 1_u64 << 52..1 << 53,
            exponent in -90..0_i32,
            beside in -2_i64..3,
            cut in 0_u32..3,
        ) {
            let (value, decimals) = written(significand as f64 * 2_f64.powi(exponent));
            let value = value.saturating_add_signed(beside) / 10_u64.pow(cut);
            let decimals = decimals.saturating_sub(cut as usize);
            if value % 10 == 0 || decimals == 0 {
                return Ok(());
            }
            let double: f64 = format!("{value}e-{decimals}").parse().unwrap();
            let is_it = written(double) == (value, decimals);
            // Between two that are as near it takes none.
            let is_near = |nearest: Nearest| 2 * nearest.off.abs() != 1 << nearest.shift;
            let is_clear = value < EXACT_DIGITS || Nearest::to(value, decimals).is_some_and(is_near);
            proptest::prop_assert_eq!(is_shortest(value, decimals), is_it && is_clear, "{}e-{}", value, decimals);
        }
    }

    /// The shortest digits of a double, and how many of them are decimals.
    fn written(double: f64) -> (u64, usize) {
        let mut buffer = zmij::Buffer::new();
        let shortest = buffer.format_finite(double);
        let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
        let mantissa = mantissa.strip_suffix(".0").unwrap_or(mantissa);
        let decimals = mantissa.split_once('.').map_or(0, |(_, rest)| rest.len()) as i32;
        let decimals = decimals - exponent.parse::<i32>().unwrap();
        (
            mantissa.replace('.', "").parse().unwrap(),
            decimals.try_into().unwrap_or(usize::MAX),
        )
    }
}
