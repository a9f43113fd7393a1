//! Names from a checkpoint that become file names.

/// What is wrong with `name` as the ss58 address of a hotkey; `None` where it may become a directory.
///
/// Substrate addresses with prefix 42 are 47 or 48 base58 characters and start with `5`.
pub(crate) fn hotkey_fault(name: &str) -> Option<&'static str> {
    let base58 = |byte: u8| byte.is_ascii_alphanumeric() && !b"0OIl".contains(&byte);
    if name.is_empty() {
        Some("is empty")
    } else if !(47..=48).contains(&name.len()) {
        Some("is not 47 or 48 characters long")
    } else if !name.starts_with('5') {
        Some("does not start with `5`")
    } else if !name.bytes().all(base58) {
        Some("has a character that is not base58")
    } else {
        None
    }
}

/// What is wrong with `name` as a file name for a position or an order; `None` where it may be one.
///
/// The validator skips `*.swp` and hidden files when it loads, so such a position would be lost.
pub(crate) fn uuid_fault(name: &str) -> Option<&'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.is_empty() {
        Some("is empty")
    } else if name.len() > 128 {
        Some("is longer than 128 characters")
    } else if name.contains('\0') {
        Some("has a NUL in it")
    } else if name.contains('/') {
        Some("has a `/` in it, so it would be written somewhere else")
    } else if name.starts_with('.') {
        Some("starts with a dot")
    } else if !name.bytes().all(plain) {
        Some("has a character other than a-z, A-Z, 0-9, `.`, `_`, `-`")
    } else if name.ends_with(".swp") {
        Some("ends in `.swp`, which the validator never loads")
    } else {
        None
    }
}

/// `name` for an error text: escaped and cut to a readable length.
pub(crate) fn shown(name: &str) -> String {
    const SHOWN: usize = 80;
    let mut shown: String = name
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if name.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_directory_or_be_skipped_are_faulty() {
        for name in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "/etc/passwd",
            "a\0b",
            "x.swp",
            ".DS_Store",
            "é",
            "a b",
            "a\nb",
        ] {
            assert!(uuid_fault(name).is_some(), "{name:?}");
        }
        assert!(uuid_fault(&"a".repeat(129)).is_some());
        for name in [
            "6d6e2447-8b67-4bf9-82c1-547ddc971706",
            "a",
            &"a".repeat(128),
            "A_b.c-1",
        ] {
            assert_eq!(uuid_fault(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_hotkey_is_an_ss58_address() {
        assert_eq!(
            hotkey_fault("5DE6K842eErCeDcMvodN6EL6AeBomyFtn8FqjgnjzDT75FhE"),
            None
        );
        for name in [
            "",
            "../../../X",
            "positions",
            "6DE6K842eErCeDcMvodN6EL6AeBomyFtn8FqjgnjzDT75FhE",
            "5DE6K842eErCeDcMvodN6EL6AeBomyFtn8FqjgnjzDT75Fh0",
            "5DE6K842eErCeDcMvodN6EL6AeBomyFtn8FqjgnjzDT75/hE",
            "5DE6K842eErCeDcMvodN6EL6AeBomyFtn8FqjgnjzDT75FhE5",
        ] {
            assert!(hotkey_fault(name).is_some(), "{name:?}");
        }
    }
}
