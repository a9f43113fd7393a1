//! Amounts, as people say them.

/// Milliseconds: `64 ms`, `4.4 s`.
pub fn milliseconds(milliseconds: u64) -> String {
    match milliseconds {
        0..1000 => format!("{milliseconds} ms"),
        _ => seconds(milliseconds),
    }
}

/// Milliseconds, to a tenth of a second: `0.0 s`, `4.4 s`.
pub fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
}

/// Seconds, in the two units that matter: `8 s`, `1 min 5 s`, `2 h 0 min`, `3 d 4 h`.
pub fn duration(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match seconds {
        0..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => format!("{} min {} s", seconds / MINUTE, seconds % MINUTE),
        HOUR..DAY => format!("{} h {} min", seconds / HOUR, seconds % HOUR / MINUTE),
        DAY.. => format!("{} d {} h", seconds / DAY, seconds % DAY / HOUR),
    }
}

/// Bytes, in powers of 1000: `512 B`, `3.0 GB`.
pub fn bytes(bytes: u64) -> String {
    let mut unit = 1;
    let mut name = "B";
    for larger in ["kB", "MB", "GB", "TB", "PB"] {
        if bytes / unit < 1000 {
            break;
        }
        (unit, name) = (unit * 1000, larger);
    }
    match unit {
        1 => format!("{bytes} B"),
        _ => format!("{}.{} {name}", bytes / unit, bytes % unit / (unit / 10)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_said_in_the_unit_that_fits() {
        for (amount, said) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_999, "999.9 kB"),
            (3_021_000_000, "3.0 GB"),
            (u64::MAX, "18446.7 PB"),
        ] {
            assert_eq!(bytes(amount), said);
        }
        for (amount, said) in [
            (59, "59 s"),
            (60, "1 min 0 s"),
            (3_725, "1 h 2 min"),
            (273_600, "3 d 4 h"),
        ] {
            assert_eq!(duration(amount), said);
        }
        assert_eq!(
            (milliseconds(64), milliseconds(4404)),
            ("64 ms".into(), "4.4 s".into())
        );
    }
}
