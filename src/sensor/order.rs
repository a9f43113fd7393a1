//! The order people expect: `thermal_zone2` before `thermal_zone10`.

use std::cmp::Ordering;

/// Compares runs of digits as numbers and everything else as bytes.
pub(super) fn natural(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    loop {
        let (a, b) = (digits(left), digits(right));
        let order = if !a.is_empty() && !b.is_empty() {
            (left, right) = (&left[a.len()..], &right[b.len()..]);
            numbers(a, b)
        } else {
            let (Some((a, rest)), Some((b, other))) = (left.split_first(), right.split_first())
            else {
                return left.len().cmp(&right.len());
            };
            (left, right) = (rest, other);
            a.cmp(b)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn digits(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    &text[..end.unwrap_or(text.len())]
}

/// Compares numbers of any length: without leading zeros, the longer is the larger.
fn numbers(left: &[u8], right: &[u8]) -> Ordering {
    let significant = |number: &[u8]| {
        let zeros = number.iter().take_while(|byte| **byte == b'0').count();
        number[zeros..].to_vec()
    };
    let (left, right) = (significant(left), significant(right));
    left.len().cmp(&right.len()).then_with(|| left.cmp(&right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers() {
        let mut names = vec![
            "zone10",
            "zone2",
            "hwmon0/temp12",
            "hwmon0/temp3",
            "zone",
            "zone99999999999999999999999",
            "zone010a",
        ];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            [
                "hwmon0/temp3",
                "hwmon0/temp12",
                "zone",
                "zone2",
                "zone10",
                "zone010a",
                "zone99999999999999999999999"
            ]
        );
    }
}
