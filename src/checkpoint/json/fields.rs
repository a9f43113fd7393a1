//! Objects of numbers as Python writes them: copied as they are, at once.

use super::Reader;
use super::plain::Plain;

/// A field by its name, and the text that leads to its value behind another one.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) lead: &'static str,
}

impl Field {
    /// The text that leads to its value.
    pub(crate) fn lead(&self, first: bool) -> &'static str {
        &self.lead[if first { ", ".len() } else { 0 }..]
    }
}

impl Reader<'_> {
    /// Copies the next object to `out`, where it is in the buffer whole, has some of these fields in this order, and is just
    /// as Python would write it. Yields which fields those are, a bit for each; else nothing was read.
    pub(crate) fn copy_plain_fields(&mut self, fields: &[Field], out: &mut Vec<u8>) -> Option<u32> {
        let text = &self.buffer[self.at..self.end];
        let (mut at, mut found) = (1, 0);
        if *text.first()? != b'{' {
            return None;
        }
        for (index, field) in fields.iter().enumerate() {
            let lead = field.lead(found == 0).as_bytes();
            if !text.get(at..)?.starts_with(lead) {
                continue;
            }
            at += lead.len();
            let number = Plain::scan(&text[at..])?;
            if !number.is_as_python_writes_it {
                return None;
            }
            at += number.length;
            found |= 1 << index;
        }
        if *text.get(at)? != b'}' {
            return None;
        }
        out.extend_from_slice(&text[..=at]);
        self.at += at + 1;
        Some(found)
    }
}
