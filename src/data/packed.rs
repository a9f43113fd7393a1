//! Long lists of entries in little memory: a database has a hundred thousand files, a hotspot few megabytes.
//!
//! Each entry is kept as a few bytes, with as much of its path and attributes as differs from the one before; reading the
//! list makes the entries again, one at a time.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::lsm::decode::Decoder;
use super::path::RelativePath;
use super::tree::Attributes;

/// Bytes of a piece, beyond which the next begins: one that is done with is given back while the rest is still read.
const PIECE: usize = 32 * 1024;

/// What can be an entry of a [`Packed`] list.
pub trait Pack: Sized {
    /// Where it is.
    fn path(&self) -> &RelativePath;
    /// Writes everything but the path.
    fn pack(&self, to: &mut Packer<'_>);
    /// Reads what [`Pack::pack`] wrote.
    fn unpack(path: RelativePath, from: &mut Unpacker<'_>) -> Option<Self>;
}

/// A list of entries in the order in which they were added; by path they take the least.
pub struct Packed<T> {
    pieces: VecDeque<Piece>,
    /// The last entry's path and attributes.
    last: (String, Attributes),
    entries: PhantomData<T>,
}

/// Some entries of a list, whole without the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Piece {
    bytes: Vec<u8>,
    count: usize,
}

/// Writes the fields of an entry.
pub struct Packer<'a> {
    bytes: &'a mut Vec<u8>,
    before: &'a mut Attributes,
}

/// Reads the fields of an entry.
pub struct Unpacker<'a> {
    bytes: Decoder<'a>,
    before: Attributes,
}

/// The entries of a list, one after the other.
pub struct Iter<'a, T> {
    pieces: std::collections::vec_deque::Iter<'a, Piece>,
    from: Unpacker<'a>,
    path: String,
    /// In this piece, and in those after it.
    left: (usize, usize),
    entries: PhantomData<T>,
}

impl Packer<'_> {
    /// A number; small ones take little.
    pub fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    /// A number that may be negative.
    pub fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)) as u64);
    }

    /// Bytes whose number the reader knows.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes of any number.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }

    /// Mode, owner and times; mode and owner mostly are those of the entry before.
    pub fn attributes(&mut self, attributes: &Attributes) {
        let before = std::mem::replace(self.before, *attributes);
        let of = |attributes: &Attributes| (attributes.mode, attributes.uid, attributes.gid);
        let same = of(&before) == of(attributes);
        self.raw(&[u8::from(same)]);
        if !same {
            self.number(attributes.mode.into());
            self.number(attributes.uid.into());
            self.number(attributes.gid.into());
        }
        self.signed(attributes.mtime.wrapping_sub(before.mtime));
        self.signed(attributes.mtime_nanos);
    }
}

impl Unpacker<'_> {
    /// What [`Packer::attributes`] wrote.
    pub fn attributes(&mut self) -> Option<Attributes> {
        let mut attributes = self.before;
        if self.bytes.byte()? == 0 {
            attributes.mode = self.bytes.varint32()?;
            attributes.uid = self.bytes.varint32()?;
            attributes.gid = self.bytes.varint32()?;
        }
        attributes.mtime = attributes.mtime.wrapping_add(self.bytes.zigzag64()?);
        attributes.mtime_nanos = self.bytes.zigzag64()?;
        self.before = attributes;
        Some(attributes)
    }
}

impl<'a> std::ops::Deref for Unpacker<'a> {
    type Target = Decoder<'a>;

    fn deref(&self) -> &Decoder<'a> {
        &self.bytes
    }
}

impl std::ops::DerefMut for Unpacker<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.bytes
    }
}

impl<T: Pack> Packed<T> {
    /// Adds an entry.
    pub fn push(&mut self, entry: &T) {
        if self
            .pieces
            .back()
            .is_none_or(|piece| piece.bytes.len() >= PIECE)
        {
            // The memory of what is taken off another list fits again.
            let bytes = Vec::with_capacity(PIECE + 1024);
            self.pieces.push_back(Piece { bytes, count: 0 });
            self.last = Default::default();
        }
        let Some(piece) = self.pieces.back_mut() else {
            return;
        };
        let (last, before) = (&mut self.last.0, &mut self.last.1);
        let path = entry.path().as_str();
        let same = |(a, b): &(u8, u8)| a == b;
        let mut shared = path.bytes().zip(last.bytes()).take_while(same).count();
        while !path.is_char_boundary(shared) {
            shared -= 1;
        }
        let bytes = &mut piece.bytes;
        let mut packer = Packer { bytes, before };
        packer.number(shared as u64);
        packer.bytes(&path.as_bytes()[shared..]);
        entry.pack(&mut packer);
        last.truncate(shared);
        last.push_str(&path[shared..]);
        piece.count += 1;
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.count).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// How much memory they take.
    pub fn packed_bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.bytes.len()).sum()
    }

    /// The entries, made again one by one.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::over(&self.pieces)
    }

    /// Takes some entries off the front, so that what has been dealt with takes no memory; `None` when there are no more.
    pub fn take_some(&mut self) -> Option<Self> {
        let piece = self.pieces.pop_front()?;
        Some(Self {
            pieces: VecDeque::from([piece]),
            ..Self::default()
        })
    }
}

impl<T: Pack> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        while self.left.0 == 0 {
            let piece = self.pieces.next()?;
            self.left = (piece.count, self.left.1 - piece.count);
            self.from = Unpacker::new(&piece.bytes);
            self.path.clear();
        }
        self.left.0 -= 1;
        // A list that ended early instead would be a snapshot with files missing.
        Some(self.read().expect("this program has packed it"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.left.0 + self.left.1;
        (left, Some(left))
    }
}

impl<'a> Unpacker<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes: Decoder::new(bytes),
            before: Attributes::default(),
        }
    }
}

impl<'a, T: Pack> Iter<'a, T> {
    fn over(pieces: &'a VecDeque<Piece>) -> Self {
        Self {
            left: (0, pieces.iter().map(|piece| piece.count).sum()),
            pieces: pieces.iter(),
            from: Unpacker::new(&[]),
            path: String::new(),
            entries: PhantomData,
        }
    }

    fn read(&mut self) -> Option<T> {
        let shared = usize::try_from(self.from.varint64()?).ok()?;
        self.path.truncate(shared);
        self.path
            .push_str(std::str::from_utf8(self.from.prefixed()?).ok()?);
        let path = RelativePath::try_from(self.path.clone()).ok()?;
        T::unpack(path, &mut self.from)
    }
}

impl<'a, T: Pack> IntoIterator for &'a Packed<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T: Pack> FromIterator<T> for Packed<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        let mut list = Self::default();
        entries.into_iter().for_each(|entry| list.push(&entry));
        list
    }
}

impl<T> Default for Packed<T> {
    fn default() -> Self {
        Self {
            pieces: VecDeque::new(),
            last: Default::default(),
            entries: PhantomData,
        }
    }
}

impl<T> Clone for Packed<T> {
    fn clone(&self) -> Self {
        Self {
            pieces: self.pieces.clone(),
            last: self.last.clone(),
            entries: PhantomData,
        }
    }
}

/// The same entries in the same order are the same bytes.
impl<T> PartialEq for Packed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.pieces == other.pieces
    }
}

impl<T> Eq for Packed<T> {}

impl<T: Pack + fmt::Debug> fmt::Debug for Packed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<T: Pack + Serialize> Serialize for Packed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<'de, T: Pack + Deserialize<'de>> Deserialize<'de> for Packed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T>(PhantomData<T>);

        impl<'de, T: Pack + Deserialize<'de>> Visitor<'de> for List<T> {
            type Value = Packed<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Packed<T>, A::Error> {
                let mut packed = Packed::default();
                while let Some(entry) = list.next_element::<T>()? {
                    packed.push(&entry);
                }
                Ok(packed)
            }
        }

        deserializer.deserialize_seq(List(PhantomData))
    }
}
