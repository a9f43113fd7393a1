//! Whether a directory is a mount point: then it cannot be renamed, only its entries can.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::error::Error;

const MOUNTS: &str = "/proc/self/mountinfo";

/// Whether something is mounted at `path`. A bind mount has the device number of what is around it, so only the
/// kernel's list can tell.
pub fn is_mount_point(path: &Path) -> Result<bool, Error> {
    let path = fs::canonicalize(path).map_err(Error::io("find", path))?;
    let list = fs::read(MOUNTS).map_err(Error::io("read", Path::new(MOUNTS)))?;
    Ok(mount_points(&list).any(|point| point == path))
}

/// The fifth field of each line (`proc_pid_mountinfo(5)`).
fn mount_points(list: &[u8]) -> impl Iterator<Item = PathBuf> + '_ {
    list.split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|field| PathBuf::from(OsString::from_vec(unescape(field))))
}

/// Space, tab, line feed and backslash are written as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        let octal = match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                Some(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'))
            }
            _ => None,
        };
        plain.push(octal.unwrap_or(*byte));
        rest = if octal.is_some() { &rest[4..] } else { after };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_mounts_is_read() {
        let list =
            b"36 35 98:0 / /mnt/my\\040disk rw - ext4 /dev/sda rw\n1 2 0:1 / / rw - ext4 x rw\n";
        let points: Vec<_> = mount_points(list).collect();
        assert_eq!(points, [Path::new("/mnt/my disk"), Path::new("/")]);
    }

    #[test]
    fn the_root_is_one_and_a_new_directory_is_not() {
        assert!(is_mount_point(Path::new("/")).unwrap());
        let directory = tempfile::tempdir().unwrap();
        assert!(!is_mount_point(directory.path()).unwrap());
    }
}
