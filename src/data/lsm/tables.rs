//! The tables of a column family in little memory: a database has a hundred thousand of them, a hotspot few megabytes.

use std::collections::BTreeMap;

/// A table that an edit adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTable {
    /// The level it is on.
    pub level: u32,
    /// The number in its name.
    pub number: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Which of RocksDB's `db_paths` holds it; 0 is the database's own directory.
    pub path_id: u32,
    /// The oldest blob file that its values point into, if any.
    pub oldest_blob: Option<u64>,
}

/// Number, size and level in sixteen bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    number: u64,
    /// The size, and the level in the lowest byte.
    rest: u64,
}

/// What few tables have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Note {
    path_id: u32,
    oldest_blob: Option<u64>,
}

/// The level of a table that is gone; engines have seven levels, or some tens.
const GONE: u64 = 0xff;

impl Slot {
    /// `None` where no disk holds such a file, or no engine has such a level.
    fn new(table: &NewTable) -> Option<Self> {
        let level = u64::from(table.level);
        (level < GONE && table.size < 1 << 56).then_some(Self {
            number: table.number,
            rest: table.size << 8 | level,
        })
    }

    fn level(self) -> u64 {
        self.rest & 0xff
    }

    fn size(self) -> u64 {
        self.rest >> 8
    }
}

/// The tables that one edit adds, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTables {
    slots: Vec<Slot>,
    notes: BTreeMap<u64, Note>,
}

impl NewTables {
    /// Adds one; `None` where it cannot be one.
    pub fn push(&mut self, table: &NewTable) -> Option<()> {
        self.slots.push(Slot::new(table)?);
        let note = Note {
            path_id: table.path_id,
            oldest_blob: table.oldest_blob,
        };
        match note == Note::default() {
            true => self.notes.remove(&table.number),
            false => self.notes.insert(table.number, note),
        };
        Some(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

/// The tables of a column family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    /// By number; some of them gone.
    slots: Vec<Slot>,
    gone: usize,
    notes: BTreeMap<u64, Note>,
}

impl Tables {
    /// Takes out a table, if it is on this level.
    pub fn remove(&mut self, level: u32, number: u64) {
        let Some(slot) = self
            .slot(number)
            .filter(|at| self.slots[*at].level() == u64::from(level))
        else {
            return;
        };
        self.slots[slot].rest |= GONE;
        self.notes.remove(&number);
        self.gone += 1;
        if self.gone > 1024 && self.gone > self.slots.len() / 2 {
            self.tidy();
        }
    }

    /// Adds tables. Engines count upwards, so nearly always they come last; all tables in one edit come in any order.
    pub fn add(&mut self, mut new: NewTables) {
        // The last of several with one number is what counts, as it would be one by one.
        new.slots.reverse();
        new.slots.sort_by_key(|slot| slot.number);
        new.slots.dedup_by_key(|slot| slot.number);
        for slot in &new.slots {
            self.notes.remove(&slot.number);
        }
        self.notes.extend(new.notes);
        if self.slots.is_empty() {
            self.slots = new.slots;
            return;
        }
        new.slots.retain(|slot| match self.slot(slot.number) {
            Some(at) => {
                self.gone -= usize::from(self.slots[at].level() == GONE);
                self.slots[at] = *slot;
                false
            }
            None => true,
        });
        let Some(first) = new.slots.first() else {
            return;
        };
        let at = self
            .slots
            .partition_point(|slot| slot.number < first.number);
        let mut later = self.slots.split_off(at).into_iter().peekable();
        self.slots.reserve(new.slots.len() + later.len());
        for slot in new.slots {
            while let Some(before) = later.next_if(|there| there.number < slot.number) {
                self.slots.push(before);
            }
            self.slots.push(slot);
        }
        self.slots.extend(later);
    }

    /// Forgets what is gone.
    pub fn tidy(&mut self) {
        self.slots.retain(|slot| slot.level() != GONE);
        self.gone = 0;
    }

    /// The size of the table with this number.
    pub fn size(&self, number: u64) -> Option<u64> {
        let slot = self.slots[self.slot(number)?];
        (slot.level() != GONE).then(|| slot.size())
    }

    /// Number and size of each, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let there = self.slots.iter().filter(|slot| slot.level() != GONE);
        there.map(|slot| (slot.number, slot.size()))
    }

    /// The oldest blob file that each points into, where it does.
    pub fn oldest_blobs(&self) -> impl Iterator<Item = u64> + '_ {
        self.notes.values().filter_map(|note| note.oldest_blob)
    }

    /// One that is kept in another directory.
    pub fn elsewhere(&self) -> Option<u64> {
        let mut notes = self.notes.iter();
        notes
            .find(|(_, note)| note.path_id != 0)
            .map(|(number, _)| *number)
    }

    fn slot(&self, number: u64) -> Option<usize> {
        self.slots
            .binary_search_by_key(&number, |slot| slot.number)
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn table(number: u64, level: u32, size: u64) -> NewTable {
        NewTable {
            level,
            number,
            size,
            path_id: u32::from(size.is_multiple_of(7)),
            oldest_blob: size.is_multiple_of(3).then_some(size),
        }
    }

    proptest! {
        /// Whatever an engine writes down in whatever order, it is what a plain map would hold.
        #[test]
        fn it_is_a_map_of_what_was_added_and_not_removed(
            edits in prop::collection::vec(
                (prop::collection::vec((0u64..200, 0u32..3), 0..20), prop::collection::vec((0u64..200, 0u32..3, 0u64..100), 0..20)),
                0..40,
            ),
        ) {
            let mut tables = Tables::default();
            let mut plain: BTreeMap<u64, NewTable> = BTreeMap::new();
            for (removed, added) in edits {
                for (number, level) in removed {
                    tables.remove(level, number);
                    if plain.get(&number).is_some_and(|table| table.level == level) {
                        plain.remove(&number);
                    }
                }
                let mut new = NewTables::default();
                for (number, level, size) in added {
                    let table = table(number, level, size);
                    prop_assert!(new.push(&table).is_some());
                    plain.insert(number, table);
                }
                tables.add(new);
                tables.tidy();
            }
            let expected: Vec<_> = plain.values().map(|table| (table.number, table.size)).collect();
            prop_assert_eq!(tables.iter().collect::<Vec<_>>(), expected);
            let blobs: Vec<_> = plain.values().filter_map(|table| table.oldest_blob).collect();
            prop_assert_eq!(tables.oldest_blobs().collect::<Vec<_>>(), blobs);
            let elsewhere = plain.values().find(|table| table.path_id != 0);
            prop_assert_eq!(tables.elsewhere(), elsewhere.map(|table| table.number));
            for number in 0..200 {
                prop_assert_eq!(tables.size(number), plain.get(&number).map(|table| table.size));
            }
        }
    }

    #[test]
    fn those_that_are_gone_take_no_place_in_the_long_run() {
        let mut tables = Tables::default();
        for number in 0..100_000 {
            let mut new = NewTables::default();
            new.push(&table(number, 0, 1)).unwrap();
            tables.add(new);
            if number >= 10 {
                tables.remove(0, number - 10);
            }
        }
        assert_eq!(tables.iter().count(), 10);
        assert!(tables.slots.len() < 4096, "{}", tables.slots.len());
    }

    #[test]
    fn no_disk_holds_such_a_file() {
        let mut new = NewTables::default();
        assert_eq!(new.push(&table(1, 0, 1 << 56)), None);
        assert_eq!(new.push(&table(1, 255, 1)), None);
        assert!(new.is_empty());
    }
}
