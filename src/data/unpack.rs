//! A file that came from elsewhere, packed by gzip or not, as the file that it stands for.

use std::fs::{File, Permissions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::control::Control;
use super::error::Error;
use super::{space, tree};

/// How much is read at a time.
const PIECE: usize = 1024 * 1024;

/// How a file that gzip made begins (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Whether it has to be unpacked. What cannot be read is not packed: whoever reads it next says so.
pub fn is_packed(path: &Path) -> bool {
    File::open(path).is_ok_and(|mut file| begins_packed(&mut file))
}

fn begins_packed(file: &mut File) -> bool {
    let mut magic = [0; 2];
    file.read_exact(&mut magic).is_ok() && magic == GZIP
}

/// Makes an empty file, with the directories above it, in the place of whatever an earlier attempt left there. Everybody may read it: it is
/// for the workload, whoever that runs as.
pub fn make_anew(path: &Path) -> Result<File, Error> {
    tree::remove(path, &mut Control::unlimited())?;
    if let Some(directory) = path.parent() {
        crate::durable::make_directory(directory, 0o755).map_err(Error::io("create", directory))?;
    }
    let file = File::create_new(path).map_err(Error::io("create", path))?;
    file.set_permissions(Permissions::from_mode(0o644))
        .map_err(Error::io("set mode of", path))?;
    Ok(file)
}

/// Copies `source`, which was opened at `from`, unpacking it where it is packed; the copy is durable when this returns.
/// `reserve` bytes stay free.
pub fn unpack(
    mut source: File,
    from: &Path,
    to: &Path,
    reserve: u64,
    control: &mut Control,
) -> Result<u64, Error> {
    let size = source.metadata().map_err(Error::io("read", from))?.len();
    let packed = begins_packed(&mut source);
    source.rewind().map_err(Error::io("read", from))?;
    let mut target = make_anew(to)?;
    space::require(to, size.saturating_add(reserve), 0)?;
    control.expect(size);
    let mut source: Box<dyn Read> = match packed {
        true => Box::new(MultiGzDecoder::new(source)),
        false => Box::new(source),
    };
    let mut piece = vec![0; PIECE];
    let mut written = 0;
    loop {
        let read = source.read(&mut piece).map_err(Error::io("unpack", from))?;
        if read == 0 {
            break;
        }
        if written > size {
            // Nobody knows how large it becomes.
            space::require(to, reserve, 0)?;
        }
        target
            .write_all(&piece[..read])
            .map_err(Error::io("write", to))?;
        written += read as u64;
        control.advance(read as u64)?;
    }
    target.sync_all().map_err(Error::io("sync", to))?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_and_what_is_not_is_copied() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (
            directory.path().join("from"),
            directory.path().join("new/to"),
        );
        let open = || File::open(&from).unwrap();
        let content = b"snapshot ".repeat(1000);
        File::create(&from).unwrap().write_all(&content).unwrap();
        let mut control = Control::unlimited();
        assert_eq!(unpack(open(), &from, &to, 0, &mut control).unwrap(), 9000);
        assert_eq!(fs::read(&to).unwrap(), content);

        let file = File::create(&from).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        gzip.write_all(&content).unwrap();
        gzip.finish().unwrap();
        assert!(is_packed(&from) && !is_packed(&to));
        assert_eq!(unpack(open(), &from, &to, 0, &mut control).unwrap(), 9000);
        assert_eq!(fs::read(&to).unwrap(), content);

        let half = File::options().write(true).open(&from).unwrap();
        half.set_len(from.metadata().unwrap().len() / 2).unwrap();
        unpack(open(), &from, &to, 0, &mut control).unwrap_err();
        let full = unpack(open(), &from, &to, u64::MAX, &mut control).unwrap_err();
        assert!(matches!(full, Error::NoSpace { .. }), "{full}");
    }
}
