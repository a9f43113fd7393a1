//! Listing directories in which the kernel numbers things.

use std::fs;
use std::io;
use std::path::Path;

use super::files::ReadError;
use super::order::natural;

/// The most entries of one directory that are looked at.
const MAX_ENTRIES: usize = 4096;

/// The names of the entries in a directory; none where it does not exist.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, ReadError> {
    let failed = |source| ReadError::Io {
        path: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries.take(MAX_ENTRIES) {
        // The kernel's own names are ASCII: others are nobody's.
        names.extend(entry.map_err(failed)?.file_name().into_string().ok());
    }
    names.sort_by(|a, b| natural(a, b));
    Ok(names)
}

/// The entries that are `prefix`, a number, `suffix`, in natural order.
pub(super) fn numbered(
    directory: &Path,
    prefix: &str,
    suffix: &str,
) -> Result<Vec<String>, ReadError> {
    let mut names = names(directory)?;
    names.retain(|name| {
        name.strip_prefix(prefix)
            .and_then(|rest| rest.strip_suffix(suffix))
            .is_some_and(|number| {
                !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
            })
    });
    Ok(names)
}
