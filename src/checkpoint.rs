//! Validator checkpoint files: reading, checking, writing.
