//! Chance, and what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

/// Chance that can be repeated: splitmix64.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn any_seed() -> u64 {
        u64::from(std::process::id()) << 32 | ostler::clock::Timestamp::now().unix_seconds() as u64
    }

    /// At random, less than this.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// When to kill what takes an unknown time: so that most kills fall into it, however fast the machine is just now, and
/// some after it.
pub struct Aim(Duration);

impl Default for Aim {
    fn default() -> Self {
        Self(Duration::from_millis(150))
    }
}

impl Aim {
    /// At what took so long, while others began as well.
    pub fn at(took: Duration) -> Self {
        Self(took.mul_f64(0.8))
    }

    /// Some instant.
    pub fn instant(&self, dice: &mut Dice) -> Duration {
        Duration::from_micros(dice.below(self.0.as_micros() as u64))
    }

    /// Whether it was over by then.
    pub fn learn(&mut self, over: bool) {
        self.0 = self.0.mul_f64(if over { 0.6 } else { 1.1 });
    }
}

/// How often something was so.
#[derive(Default)]
pub struct Tally {
    /// Where the kills fell: operation, step and its state.
    kills: BTreeMap<String, u32>,
    /// How the operations ended.
    outcomes: BTreeMap<String, u32>,
}

impl Tally {
    /// A kill fell there.
    pub fn kill(&mut self, at: &str) {
        *self.kills.entry(at.to_owned()).or_default() += 1;
    }

    /// An operation ended so.
    pub fn outcome(&mut self, how: &str) {
        *self.outcomes.entry(how.to_owned()).or_default() += 1;
    }

    /// Both together.
    pub fn and(mut self, other: Self) -> Self {
        for (mine, more) in [
            (&mut self.kills, other.kills),
            (&mut self.outcomes, other.outcomes),
        ] {
            for (what, count) in more {
                *mine.entry(what).or_default() += count;
            }
        }
        self
    }

    /// Shows it, and that enough of the kills fell into the middle: or they prove nothing.
    pub fn check(&self, cycles: u32) {
        println!("outcomes: {:#?}\nkills: {:#?}", self.outcomes, self.kills);
        for operation in ["snapshot", "restore"] {
            let struck = self.kills.iter().filter(|(at, _)| {
                at.starts_with(operation)
                    && !at.ends_with("over")
                    && !at.ends_with("not yet accepted")
            });
            let struck: u32 = struck.map(|(_, count)| count).sum();
            // Of a few, chance may miss nearly all.
            let least = if cycles < 100 { 1 } else { cycles / 8 };
            assert!(struck >= least, "{operation}: {struck} of {cycles}");
        }
    }
}
