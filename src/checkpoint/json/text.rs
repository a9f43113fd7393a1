//! A JSON string.

/// A string as Python holds it: Unicode, in which an escape may have put a lone surrogate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Text {
    /// The characters; U+FFFD stands where a lone surrogate is.
    characters: String,
    /// The lone surrogates, by the byte offset of their stand-in.
    lone: Vec<(usize, u16)>,
}

impl Text {
    pub(crate) fn new(characters: String, lone: Vec<(usize, u16)>) -> Self {
        Self { characters, lone }
    }

    /// The string, unless it holds a lone surrogate and so is no valid Unicode.
    pub(crate) fn as_str(&self) -> Option<&str> {
        self.lone.is_empty().then_some(self.characters.as_str())
    }

    /// The string for a reader's eyes: a lone surrogate shows as U+FFFD.
    pub(crate) fn lossy(&self) -> &str {
        &self.characters
    }

    /// The lone surrogates, in order, each with the byte offset of its stand-in in [`Text::lossy`].
    pub(crate) fn lone_surrogates(&self) -> &[(usize, u16)] {
        &self.lone
    }
}

impl From<&str> for Text {
    fn from(characters: &str) -> Self {
        Self::new(characters.to_owned(), Vec::new())
    }
}
