//! Instants at which the power is cut, and what the disk holds after each.

use fastrand::Rng;

use crate::disk::{Event, Record, put};

/// What a disk writes as one.
const SECTOR: usize = 512;

/// So many writes that are not flushed are much at stake: most of the time there is one, or none.
const MUCH: usize = 3;

/// The disk after a cut.
pub struct Cut {
    /// How much had reached the disk, in bytes of the record.
    pub position: u64,
    /// What it holds.
    pub content: Vec<u8>,
    /// How many writes were lost or torn.
    pub lost: usize,
}

/// Goes through a record once and stops at random instants.
pub struct Cuts {
    record: Record,
    /// Before which events the power is cut.
    instants: std::vec::IntoIter<usize>,
    /// What was on the disk for good at `flushed`.
    durable: Vec<u8>,
    flushed: usize,
    random: Rng,
}

impl Cuts {
    /// `count` instants after this position: half of them anywhere, half where much is at stake.
    pub fn new(record: Record, from: u64, count: usize, seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let first = record.ends.partition_point(|end| *end <= from);
        let all: Vec<usize> = (first..record.events.len()).collect();
        let mut waiting = 0;
        let at_stake: Vec<usize> = (0..record.events.len())
            .filter(|instant| {
                let stake = waiting;
                waiting = match record.events[*instant] {
                    Event::Flush => 0,
                    Event::Write(..) => waiting + 1,
                };
                *instant >= first && stake >= MUCH
            })
            .collect();
        let mut instants: Vec<usize> = (0..count)
            .filter_map(|number| match number % 2 {
                0 => random.choice(&all),
                _ => random.choice(&at_stake).or(random.choice(&all)),
            })
            .copied()
            .collect();
        instants.sort_unstable();
        Self {
            durable: record.blank.clone(),
            record,
            instants: instants.into_iter(),
            flushed: 0,
            random,
        }
    }

    fn flush_until(&mut self, instant: usize) {
        let since = &self.record.events[self.flushed..instant];
        let Some(last) = since
            .iter()
            .rposition(|event| matches!(event, Event::Flush))
        else {
            return;
        };
        for event in &since[..last] {
            if let Event::Write(offset, data) = event {
                put(&mut self.durable, *offset, data);
            }
        }
        self.flushed += last;
    }
}

impl Iterator for Cuts {
    type Item = Cut;

    /// All up to the last flush is there. Of what came later, a disk keeps what it likes, in whatever order: each cut is
    /// by a disk of another temper, from one that had written all to one that had written nothing.
    fn next(&mut self) -> Option<Cut> {
        let instant = self.instants.next()?;
        self.flush_until(instant);
        let mut content = self.durable.clone();
        let mut lost = 0;
        let keeps = *self.random.choice(&[0.0, 0.2, 0.5, 0.8, 1.0])?;
        let tears = self.random.bool();
        for event in &self.record.events[self.flushed..instant] {
            let Event::Write(offset, data) = event else {
                continue;
            };
            let whole = self.random.f64() < keeps;
            let sectors = data.len() / SECTOR;
            let kept = match whole {
                true if tears && self.random.u8(..8) == 0 => self.random.usize(..=sectors) * SECTOR,
                true => data.len(),
                false => 0,
            };
            lost += usize::from(kept < data.len());
            put(&mut content, *offset, &data[..kept]);
        }
        Some(Cut {
            position: instant
                .checked_sub(1)
                .map_or(0, |last| self.record.ends[last]),
            content,
            lost,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_flushed_is_there_and_the_rest_may_be_lost() {
        let events = || {
            let write = |offset, byte| Event::Write(offset, vec![byte; 2 * SECTOR]);
            vec![
                write(0, 1),
                Event::Flush,
                write(2048, 2),
                write(4096, 3),
                Event::Flush,
            ]
        };
        let (mut all, mut none, mut reordered, mut torn) = (0, 0, 0, 0);
        for seed in 0..5000 {
            let record = Record {
                blank: vec![0; 8192],
                events: events(),
                ends: vec![1, 2, 3, 4, 5],
            };
            let cut = Cuts::new(record, 4, 1, seed).next().unwrap();
            assert!(cut.content[..1024].iter().all(|byte| *byte == 1));
            let second = &cut.content[2048..3072];
            let third = &cut.content[4096..5120];
            let whole = |bytes: &[u8], byte| bytes.iter().all(|found| *found == byte);
            all += u32::from(whole(second, 2) && whole(third, 3));
            none += u32::from(whole(second, 0) && whole(third, 0));
            reordered += u32::from(whole(second, 0) && whole(third, 3));
            torn += u32::from(second[0] == 2 && second[1023] == 0);
            assert_eq!(cut.lost == 0, whole(second, 2) && whole(third, 3));
        }
        assert!(all > 0 && none > 0 && reordered > 0 && torn > 0);
    }
}
