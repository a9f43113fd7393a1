//! The end of a log, for every runtime.

/// The last whole lines that fit; of a line that does not fit alone, its end.
pub(super) fn last(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let start = text.ceil_char_boundary(text.len() - bytes);
    let tail = &text[start..];
    if text[..start].ends_with('\n') {
        return tail;
    }
    match tail.find('\n') {
        Some(end) if end + 1 < tail.len() => &tail[end + 1..],
        _ => tail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_lines_are_kept() {
        let text = "one\ntwo\nthree\n";
        assert_eq!(last(text, 100), text);
        assert_eq!(last(text, 10), "two\nthree\n");
        assert_eq!(last(text, 9), "three\n");
        assert_eq!(last(text, 6), "three\n");
        assert_eq!(last(text, 3), "ee\n");
        assert_eq!(last(text, 0), "");
        assert_eq!(last("éé", 3), "é");
    }
}
