//! Whether a text is one whole JSON value, in constant memory, however it is cut into pieces.
//!
//! What power cuts leave of files that were never synced is nothing, a part, or zeroes: that is what this finds. It does
//! not tell `tru` from `true`, and does not mind Python's `NaN`.

/// What was read so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Complete {
    /// The brackets that are open, as their closing ones.
    open: Vec<u8>,
    in_string: bool,
    escaped: bool,
    /// Whether the value has begun, and whether it has ended.
    begun: bool,
    ended: bool,
    wrong: Option<&'static str>,
}

/// No file of a validator's is nested deeper.
const DEEPEST: usize = 128;

impl Complete {
    /// Reads on.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.wrong.is_some() {
                return;
            }
            self.wrong = self.step(*byte).err();
        }
    }

    /// What is wrong with all that was read.
    pub(super) fn problem(&self) -> Option<&'static str> {
        match self.wrong {
            Some(wrong) => Some(wrong),
            None if !self.begun => Some("it is empty"),
            None if !self.ended => Some("it breaks off"),
            None => None,
        }
    }

    fn step(&mut self, byte: u8) -> Result<(), &'static str> {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                0..=0x1f => return Err("a text in it has a control character"),
                _ => {}
            }
            return Ok(());
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            0 => return Err("it has zeroes where text should be"),
            _ if self.ended => return Err("something follows after its end"),
            b'{' | b'[' => {
                self.begun = true;
                self.open.push(if byte == b'{' { b'}' } else { b']' });
                if self.open.len() > DEEPEST {
                    return Err("it is nested too deeply");
                }
            }
            b'}' | b']' => {
                if self.open.pop() != Some(byte) {
                    return Err("its brackets do not match");
                }
                self.ended = self.open.is_empty();
            }
            // Every file of a validator's holds an object or a list.
            _ if self.open.is_empty() => return Err("it is no object"),
            b'"' => self.in_string = true,
            0..=0x1f | 0x7f.. => return Err("it has a byte that is no JSON"),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn problem(text: &[u8]) -> Option<&'static str> {
        let mut complete = Complete::default();
        complete.feed(text);
        complete.problem()
    }

    #[test]
    fn what_a_power_cut_leaves_is_found() {
        let whole = br#"{"a": [1.5e-07, NaN, "\"}\\", {"b": null}], "c": "\u00e9"} "#;
        assert_eq!(problem(whole), None);
        for cut in 0..whole.len() - 1 {
            assert!(problem(&whole[..cut]).is_some(), "{cut}");
        }
        for (text, told) in [
            (&b""[..], "it is empty"),
            (b"  \n", "it is empty"),
            (b"\0\0\0\0", "it has zeroes where text should be"),
            (b"{\"a\": \0\0", "it has zeroes where text should be"),
            (b"{\"a\0", "a text in it has a control character"),
            (b"{]", "its brackets do not match"),
            (b"{} {}", "something follows after its end"),
            (b"null", "it is no object"),
            (b"\xef\xbb\xbf{}", "it is no object"),
        ] {
            assert_eq!(problem(text), Some(told), "{text:?}");
        }
        assert_eq!(problem(&[b'['; 10_000]), Some("it is nested too deeply"));
    }

    proptest! {
        #[test]
        fn all_that_serde_writes_is_complete_however_it_is_cut(text in ".{0,40}", number: f64, cut in 0usize..60) {
            let value = serde_json::json!({ text.clone(): [number, text, { "x": [] }] }).to_string();
            let (one, other) = value.as_bytes().split_at(cut.min(value.len()));
            let mut complete = Complete::default();
            complete.feed(one);
            prop_assert!(complete.problem().is_some() || other.is_empty());
            complete.feed(other);
            prop_assert_eq!(complete.problem(), None);
        }
    }
}
