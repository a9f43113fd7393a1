//! The entries of a snapshot, as its manifest lists them.

use serde::{Deserialize, Serialize};

use super::packed::{Pack, Packed, Packer, Unpacker};
use super::path::RelativePath;
use super::place::Method;
use super::tree::Attributes;

/// The entries of a snapshot by path, the root first.
pub type Files = Packed<FileRecord>;

/// What a file is to its engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A table of an LSM database.
    Table,
    /// A blob file of RocksDB.
    Blob,
    /// A write-ahead log.
    Log,
    /// A MANIFEST.
    Manifest,
    /// A CURRENT.
    Current,
    /// RocksDB's options and identity.
    Options,
    /// LMDB, MDBX, SQLite, bbolt.
    SingleFile,
    /// Anything else.
    Other,
    /// A symbolic link.
    Symlink,
    /// A directory.
    Directory,
}

/// One entry of the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Where it is below `data/`.
    pub path: RelativePath,
    /// What it is.
    pub kind: Kind,
    /// How it came here.
    pub method: Method,
    /// Bytes.
    pub size: u64,
    /// Hash of the content; none for directories and symbolic links.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hexadecimal")]
    pub blake3: Option<blake3::Hash>,
    /// Where a symbolic link points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Mode, owner, times.
    pub attributes: Attributes,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Table,
        Self::Blob,
        Self::Log,
        Self::Manifest,
        Self::Current,
        Self::Options,
        Self::SingleFile,
        Self::Other,
        Self::Symlink,
        Self::Directory,
    ];

    /// The kind that was packed as this number.
    pub(super) fn unpack(number: u8) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| *kind as u8 == number)
    }
}

pub(super) const METHODS: [Method; 4] =
    [Method::Link, Method::Reflink, Method::Copy, Method::Written];

/// Packs a hash, if there is one.
pub(super) fn pack_hash(hash: Option<&blake3::Hash>, to: &mut Packer<'_>) {
    to.raw(&[u8::from(hash.is_some())]);
    if let Some(hash) = hash {
        to.raw(hash.as_bytes());
    }
}

/// What [`pack_hash`] wrote.
pub(super) fn hash(from: &mut Unpacker<'_>) -> Option<Option<blake3::Hash>> {
    match from.byte()? {
        0 => Some(None),
        _ => {
            let hash = blake3::Hash::from_slice(from.bytes(blake3::OUT_LEN)?);
            hash.ok().map(Some)
        }
    }
}

impl Pack for FileRecord {
    fn path(&self) -> &RelativePath {
        &self.path
    }

    fn pack(&self, to: &mut Packer<'_>) {
        let has_target = self.target.is_some();
        to.raw(&[self.kind as u8, self.method as u8, u8::from(has_target)]);
        to.number(self.size);
        pack_hash(self.blake3.as_ref(), to);
        if let Some(target) = &self.target {
            to.bytes(target.as_bytes());
        }
        to.attributes(&self.attributes);
    }

    fn unpack(path: RelativePath, from: &mut Unpacker<'_>) -> Option<Self> {
        let kind = Kind::unpack(from.byte()?)?;
        let method = from.byte()?;
        let has_target = from.byte()?;
        let size = from.varint64()?;
        let blake3 = hash(from)?;
        let target = match has_target {
            0 => None,
            _ => Some(String::from_utf8(from.prefixed()?.to_vec()).ok()?),
        };
        Some(Self {
            path,
            kind,
            method: METHODS.into_iter().find(|known| *known as u8 == method)?,
            size,
            blake3,
            target,
            attributes: from.attributes()?,
        })
    }
}

impl Files {
    /// The entry of a path.
    pub fn find(&self, path: &RelativePath) -> Option<FileRecord> {
        self.iter().find(|file| file.path == *path)
    }

    /// The directories, each before the one that it is in: what is deepest comes first.
    pub fn directories(&self) -> Vec<FileRecord> {
        let all = self.iter().filter(|file| file.kind == Kind::Directory);
        let mut directories: Vec<_> = all.collect();
        directories.reverse();
        directories
    }
}

mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    pub fn serialize<S: Serializer>(
        hash: &Option<blake3::Hash>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = hash.as_ref().map(blake3::Hash::to_hex);
        text.as_deref().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<blake3::Hash>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let hash = blake3::Hash::from_hex(&text);
        hash.map(Some)
            .map_err(|_| de::Error::custom("a hash is not one of BLAKE3"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let file = |path: &str| FileRecord {
            path: path.parse().unwrap(),
            kind: Kind::Table,
            method: Method::Link,
            size: 1 << 40,
            blake3: Some(blake3::hash(path.as_bytes())),
            target: None,
            attributes: Attributes {
                mode: 0o4755,
                uid: u32::MAX,
                gid: 0,
                mtime: -1,
                mtime_nanos: 999_999_999,
            },
        };
        let link = FileRecord {
            kind: Kind::Symlink,
            blake3: None,
            target: Some("../elsewhere".to_owned()),
            ..file("d/ä-link")
        };
        // The two letters share a byte, and half of one is no text.
        let files = vec![
            file("."),
            file("a"),
            file("d/000001.ldb"),
            file("d/å"),
            link,
        ];
        let packed: Files = files.iter().cloned().collect();
        assert_eq!(packed.len(), files.len());
        assert_eq!(packed.iter().collect::<Vec<_>>(), files);
        for kind in Kind::ALL {
            assert_eq!(Kind::unpack(kind as u8), Some(kind));
        }
        for method in METHODS {
            let one = FileRecord {
                method,
                ..file("a")
            };
            assert_eq!(
                [one.clone()].into_iter().collect::<Files>().find(&one.path),
                Some(one)
            );
        }
    }

    #[test]
    fn a_hundred_thousand_tables_take_few_megabytes() {
        let mut packed = Files::default();
        for number in 0..100_000 {
            let path = format!("blockchain.db/{number:06}.ldb");
            packed.push(&FileRecord {
                blake3: Some(blake3::hash(path.as_bytes())),
                path: path.parse().unwrap(),
                kind: Kind::Table,
                method: Method::Link,
                size: 2 << 20,
                target: None,
                attributes: Attributes {
                    mode: 0o644,
                    uid: 1000,
                    gid: 1000,
                    mtime: 1_795_000_000,
                    mtime_nanos: 123_456_789,
                },
            });
        }
        assert!(
            packed.packed_bytes() < 6_000_000,
            "{}",
            packed.packed_bytes()
        );
    }
}
