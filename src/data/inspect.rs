//! Reading one file of a snapshot from end to end: its hash, and whether its inside is sound.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::control::Control;
use super::error::Error;
use super::lsm::blob::{self, BadBlob};
use super::lsm::record::{self, End};
use super::lsm::table::{self, BadTable, Coverage, Found};
use super::lsm::{FileName, LiveSet};
use super::manifest::Kind;
use super::place;

/// Bytes read at once.
const PIECE: usize = 256 * 1024;

/// What reading a file has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Hash of the content.
    pub hash: blake3::Hash,
    /// Bytes.
    pub size: u64,
    /// Blocks, blobs or records whose checksum is right.
    pub checked: u64,
    /// Its inside cannot be read by this program: why.
    pub opaque: Option<String>,
    /// Its inside is wrong: what.
    pub damage: Option<String>,
}

/// Reads the file at `path`. Its inside is looked into with `deep` only.
///
/// `may_be_torn`: nobody stopped the engine in order, so a log that ends inside a record is no damage.
pub fn inspect(
    path: &Path,
    kind: Kind,
    deep: bool,
    may_be_torn: bool,
    control: &mut Control,
) -> Result<Inspection, Error> {
    let file = place::open(path)?;
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    let tee = Tee {
        file: &file,
        hasher: blake3::Hasher::new(),
        size: 0,
        control,
    };
    // Blocks and records are small; the hash and the disk want large pieces.
    let mut reader = io::BufReader::with_capacity(PIECE, tee);
    let verdict = match deep {
        true => look_inside(path, &file, length, kind, may_be_torn, &mut reader),
        false => Ok(Verdict::default()),
    };
    let verdict = match verdict {
        Ok(verdict) => verdict,
        // A file that is shorter than its own index says is damaged, not unreadable.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Verdict::damaged("it is cut short")
        }
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    io::copy(&mut reader, &mut io::sink()).map_err(Error::io("read", path))?;
    let tee = reader.into_inner();
    Ok(Inspection {
        hash: tee.hasher.finalize(),
        size: tee.size,
        checked: verdict.checked,
        opaque: verdict.opaque,
        damage: verdict.damage,
    })
}

#[derive(Default)]
struct Verdict {
    checked: u64,
    opaque: Option<String>,
    damage: Option<String>,
}

impl Verdict {
    fn sound(checked: u64) -> Self {
        Self {
            checked,
            ..Self::default()
        }
    }

    fn opaque(why: String) -> Self {
        Self {
            opaque: Some(why),
            ..Self::default()
        }
    }

    fn damaged(what: impl Into<String>) -> Self {
        Self {
            damage: Some(what.into()),
            ..Self::default()
        }
    }
}

fn look_inside(
    path: &Path,
    file: &File,
    length: u64,
    kind: Kind,
    may_be_torn: bool,
    reader: &mut dyn Read,
) -> io::Result<Verdict> {
    let name = FileName::parse(
        path.file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default(),
    );
    match (kind, name) {
        (Kind::Table, _) => check_table(file, length, reader),
        (Kind::Blob, _) => match blob::check(reader, length) {
            Ok(records) => Ok(Verdict::sound(records)),
            Err(BadBlob::Read(error)) => Err(error),
            Err(bad) => Ok(Verdict::damaged(bad.to_string())),
        },
        (Kind::Log, FileName::Log(number)) => {
            let scan = record::scan(reader, number, &mut |_| {})?;
            Ok(match scan.end {
                End::Exact | End::Stale => Verdict::sound(scan.records),
                End::Torn if may_be_torn => Verdict::sound(scan.records),
                End::Torn => Verdict::damaged(format!(
                    "it ends inside a record, after byte {}",
                    scan.whole
                )),
                End::Damaged { offset } => {
                    Verdict::damaged(format!("no record can be read at byte {offset}"))
                }
            })
        }
        (Kind::Manifest, FileName::Manifest(number)) => match LiveSet::read(reader, number) {
            Ok(live) if live.scan.end == End::Exact => Ok(Verdict::sound(live.scan.records)),
            Ok(live) => Ok(Verdict::damaged(format!(
                "it does not end at a record, after byte {}",
                live.scan.whole
            ))),
            Err(super::lsm::live::BadManifest::Read(error)) => Err(error),
            Err(bad) => Ok(Verdict::damaged(bad.to_string())),
        },
        _ => Ok(Verdict::default()),
    }
}

fn check_table(file: &File, length: u64, reader: &mut dyn Read) -> io::Result<Verdict> {
    let checked = table::layout(file, length).and_then(|found| match found {
        Found::Layout(layout) => layout.check(reader),
        Found::Unknown(why) => Ok(Coverage::Unknown(why)),
    });
    match checked {
        Ok(Coverage::Blocks(blocks)) => Ok(Verdict::sound(blocks)),
        Ok(Coverage::Unknown(why)) => Ok(Verdict::opaque(why)),
        Err(BadTable::Read(error)) => Err(error),
        Err(bad) => Ok(Verdict::damaged(bad.to_string())),
    }
}

/// Hashes, counts and throttles what is read through it.
struct Tee<'a> {
    file: &'a File,
    hasher: blake3::Hasher,
    size: u64,
    control: &'a mut Control,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.size += read as u64;
        self.control
            .advance(read as u64)
            .map_err(io::Error::other)?;
        Ok(read)
    }
}
