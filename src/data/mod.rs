//! Directories of bytes: what a database consists of, copies of it, and whether they are whole.
