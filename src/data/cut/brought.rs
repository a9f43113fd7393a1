//! What an earlier pass brought over, in little memory, for the next pass to find again in its order.

use super::super::files::{METHODS, hash, pack_hash};
use super::super::packed::{Pack, Packed, Packer, Unpacker};
use super::super::path::RelativePath;
use super::super::place::{Method, Placed};
use super::super::tree::Identity;

/// A file at its place, and the original that it was made from. One that is a link says so itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub path: RelativePath,
    pub identity: Identity,
    pub placed: Placed,
}

/// What one pass notes by path, and the next asks for by path.
#[derive(Debug, Default)]
pub(super) struct Brought {
    noted: Packed<Origin>,
    /// Of the pass before.
    left: Packed<Origin>,
    /// The first of those, the next one last.
    next: Vec<Origin>,
}

impl Brought {
    /// A pass begins: what was noted so far is what it may ask for.
    pub fn turn(&mut self) {
        self.left = std::mem::take(&mut self.noted);
        self.next = Vec::new();
    }

    /// Notes what this pass brought over. A link is not noted.
    pub fn note(&mut self, path: &RelativePath, identity: Identity, placed: &Placed) {
        if placed.method != Method::Link {
            self.noted.push(&Origin {
                path: path.clone(),
                identity,
                placed: placed.clone(),
            });
        }
    }

    /// What the pass before noted of this path. Asked for path by path: those before this one are forgotten.
    pub fn find(&mut self, path: &RelativePath) -> Option<Origin> {
        loop {
            while let Some(next) = self.next.last() {
                if next.path == *path {
                    return self.next.pop();
                }
                if !next.path.comes_before(path) {
                    return None;
                }
                self.next.pop();
            }
            self.next = self.left.take_some()?.iter().collect();
            self.next.reverse();
        }
    }
}

impl Pack for Origin {
    fn path(&self) -> &RelativePath {
        &self.path
    }

    fn pack(&self, to: &mut Packer<'_>) {
        to.raw(&[self.placed.method as u8]);
        to.number(self.identity.device);
        to.number(self.identity.inode);
        to.number(self.identity.size);
        to.number(self.placed.size);
        pack_hash(self.placed.hash.as_ref(), to);
    }

    fn unpack(path: RelativePath, from: &mut Unpacker<'_>) -> Option<Self> {
        let method = from.byte()?;
        Some(Self {
            path,
            identity: Identity {
                device: from.varint64()?,
                inode: from.varint64()?,
                size: from.varint64()?,
            },
            placed: Placed {
                method: METHODS.into_iter().find(|known| *known as u8 == method)?,
                size: from.varint64()?,
                hash: hash(from)?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(number: u64) -> RelativePath {
        format!("db/{number:06}.ldb").parse().unwrap()
    }

    #[test]
    fn the_next_pass_finds_what_was_brought_and_nothing_else() {
        let mut brought = Brought::default();
        let identity = |inode| Identity {
            device: 1,
            inode,
            size: inode * 2,
        };
        let placed = |number| Placed {
            method: if number % 2 == 0 {
                Method::Copy
            } else {
                Method::Reflink
            },
            size: number * 2,
            hash: (number % 2 == 0).then(|| blake3::hash(&[number as u8])),
        };
        brought.turn();
        for number in (10..5000).step_by(5) {
            assert_eq!(brought.find(&path(number)), None);
            brought.note(&path(number), identity(number), &placed(number));
        }
        let linked = Placed::linked(identity(6000));
        brought.note(&path(6000), identity(6000), &linked);
        brought.turn();
        for number in (0..7000).step_by(2) {
            let there = (10..5000).contains(&number) && number % 5 == 0;
            let expected = there.then(|| Origin {
                path: path(number),
                identity: identity(number),
                placed: placed(number),
            });
            assert_eq!(brought.find(&path(number)), expected, "{number}");
        }
        brought.turn();
        assert_eq!(
            brought.find(&path(10)),
            None,
            "nothing was noted in between"
        );
    }
}
