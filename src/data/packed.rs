//! Long lists of entries in little memory: a database has a hundred thousand files, a hotspot few megabytes.
//!
//! Each entry is kept as a few bytes, with as much of its path as differs from the one before; reading the list makes
//! the entries again, one at a time.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::lsm::decode::Decoder;
use super::path::RelativePath;

/// What can be an entry of a [`Packed`] list.
pub trait Pack: Sized {
    /// Where it is.
    fn path(&self) -> &RelativePath;
    /// Writes everything but the path.
    fn pack(&self, to: &mut Packer<'_>);
    /// Reads what [`Pack::pack`] wrote.
    fn unpack(path: RelativePath, from: &mut Decoder<'_>) -> Option<Self>;
}

/// A list of entries in the order in which they were added; by path they take the least.
pub struct Packed<T> {
    bytes: Vec<u8>,
    count: usize,
    last: String,
    entries: PhantomData<T>,
}

/// Writes the fields of an entry.
pub struct Packer<'a>(&'a mut Vec<u8>);

/// The entries of a list, one after the other.
pub struct Iter<'a, T> {
    rest: Decoder<'a>,
    path: String,
    left: usize,
    entries: PhantomData<T>,
}

impl Packer<'_> {
    /// A number; small ones take little.
    pub fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// A number that may be negative.
    pub fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)) as u64);
    }

    /// Bytes whose number the reader knows.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Bytes of any number.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }
}

impl<T: Pack> Packed<T> {
    /// Adds an entry.
    pub fn push(&mut self, entry: &T) {
        let path = entry.path().as_str();
        let same = |(a, b): &(u8, u8)| a == b;
        let mut shared = path.bytes().zip(self.last.bytes()).take_while(same).count();
        while !path.is_char_boundary(shared) {
            shared -= 1;
        }
        let mut packer = Packer(&mut self.bytes);
        packer.number(shared as u64);
        packer.bytes(&path.as_bytes()[shared..]);
        entry.pack(&mut packer);
        self.last.truncate(shared);
        self.last.push_str(&path[shared..]);
        self.count += 1;
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How much memory they take.
    pub fn packed_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The entries, made again one by one.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter {
            rest: Decoder::new(&self.bytes),
            path: String::new(),
            left: self.count,
            entries: PhantomData,
        }
    }
}

impl<T: Pack> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        // A list that ended early instead would be a snapshot with files missing.
        Some(self.read().expect("this program has packed it"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T: Pack> Iter<'_, T> {
    fn read(&mut self) -> Option<T> {
        let shared = usize::try_from(self.rest.varint64()?).ok()?;
        self.path.truncate(shared);
        self.path
            .push_str(std::str::from_utf8(self.rest.prefixed()?).ok()?);
        let path = RelativePath::try_from(self.path.clone()).ok()?;
        T::unpack(path, &mut self.rest)
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
            bytes: Vec::new(),
            count: 0,
            last: String::new(),
            entries: PhantomData,
        }
    }
}

impl<T> Clone for Packed<T> {
    fn clone(&self) -> Self {
        Self {
            bytes: self.bytes.clone(),
            count: self.count,
            last: self.last.clone(),
            entries: PhantomData,
        }
    }
}

/// The same entries in the same order are the same bytes.
impl<T> PartialEq for Packed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.bytes == other.bytes
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
