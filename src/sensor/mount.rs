//! The table of mounts, `/proc/self/mountinfo`: proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::files::{self, ReadError, Root, TABLE};

/// One mounted filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// Its type: `ext4`.
    pub filesystem: String,
    /// Whether the filesystem itself is read-only: mounted so, or made so by the kernel after an error.
    ///
    /// That its mount is read-only is not meant: a service's sandbox makes most mounts so, for itself alone.
    pub read_only: bool,
    /// Whether its mount is, for whoever sees this table.
    pub read_only_here: bool,
}

/// The mounts, in the order in which they were made.
pub(super) fn table(root: &Root) -> Result<Vec<Mount>, ReadError> {
    read(&root.path("proc/self/mountinfo"))
}

/// The mounts as a process sees them.
pub(crate) fn table_of(process: i32) -> Result<Vec<Mount>, ReadError> {
    read(&PathBuf::from(format!("/proc/{process}/mountinfo")))
}

fn read(table: &Path) -> Result<Vec<Mount>, ReadError> {
    let text = files::text(table, TABLE)?;
    Ok(text.lines().filter_map(parse).collect())
}

/// The mount that holds a path, which must be canonical: the deepest, and of several on one point the last.
pub(crate) fn holding<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    mounts
        .iter()
        .filter(|mount| path.starts_with(&mount.point))
        .max_by_key(|mount| mount.point.components().count())
}

/// `36 35 98:0 /root /mount/point options [optional …] - ext4 /dev/sda1 superblock-options`
fn parse(line: &str) -> Option<Mount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(4);
    let (point, here) = (mount.next()?, mount.next()?);
    let mut filesystem = filesystem.split(' ');
    let kind = filesystem.next()?;
    let options = filesystem.nth(1)?;
    Some(Mount {
        point: unescape(point),
        filesystem: kind.to_owned(),
        read_only: is_read_only(options),
        read_only_here: is_read_only(here),
    })
}

fn is_read_only(options: &str) -> bool {
    options.split(',').any(|option| option == "ro")
}

/// The kernel writes space, tab, newline and backslash as `\` and three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 1 179:2 / / rw,relatime shared:1 - ext4 /dev/mmcblk0p2 rw
30 22 0:5 / /run ro,nosuid - tmpfs tmpfs rw,size=1k
41 22 8:1 / /mnt/a\\040disk rw,relatime - ext4 /dev/sda1 ro,errors=remount-ro
42 41 8:2 / /mnt/a\\040disk rw - xfs /dev/sda2 rw
43 22 0:9 broken";

    #[test]
    fn the_deepest_mount_holds_a_path_and_the_last_of_two() {
        let mounts: Vec<_> = TABLE.lines().filter_map(parse).collect();
        assert_eq!(mounts.len(), 4);
        let kind = |path| {
            holding(&mounts, Path::new(path))
                .unwrap()
                .filesystem
                .as_str()
        };
        assert_eq!(kind("/mnt/a disk/miner"), "xfs");
        assert_eq!(kind("/run/x"), "tmpfs");
        // Not a string prefix: `/runner` is not below `/run`.
        assert_eq!(kind("/runner"), "ext4");
    }

    #[test]
    fn read_only_is_the_filesystem_not_its_mount() {
        let mounts: Vec<_> = TABLE.lines().filter_map(parse).collect();
        let read_only: Vec<_> = mounts.iter().map(|mount| mount.read_only).collect();
        assert_eq!(read_only, [false, false, true, false]);
        let here: Vec<_> = mounts.iter().map(|mount| mount.read_only_here).collect();
        assert_eq!(here, [false, true, false, false]);
    }
}
