//! Performance ledgers: 85 % of a checkpoint. They are kept as they are, so they are copied through
//! number by number and never held.
//!
//! What the loader needs is from the constructors of the validator's `PerfLedger` and `PerfCheckpoint`.

use std::collections::HashSet;

use super::json::{Field, Kind, Path, Text, Value, push_number, push_text, push_value};
use super::names::shown;
use super::pairs::Pair;
use super::walk::{Stop, Walk};

/// The ledger of a miner as a whole.
const PORTFOLIO: &str = "portfolio";

/// What a ledger may have; any other key makes the validator fail at its start.
const LEDGER: [&str; 7] = [
    "initialization_time_ms",
    "max_return",
    "target_cp_duration_ms",
    "target_ledger_window_ms",
    "cps",
    "last_known_prices",
    "tp_id",
];

macro_rules! fields {
    ($($name:literal),* $(,)?) => {
        [$(Field { name: $name, lead: concat!(", \"", $name, "\": ") }),*]
    };
}

/// The numbers of one entry of a ledger; the first two are required. 7.1.1 and 8.8.9 differ in the last
/// rows, and both let others through.
const ENTRY: [Field; 19] = fields![
    "last_update_ms",
    "prev_portfolio_ret",
    "prev_portfolio_spread_fee",
    "prev_portfolio_carry_fee",
    "accum_ms",
    "open_ms",
    "n_updates",
    "gain",
    "loss",
    "spread_fee_loss",
    "carry_fee_loss",
    "mdd",
    "mpv",
    "pnl_gain",
    "pnl_loss",
    "prev_portfolio_realized_pnl",
    "prev_portfolio_unrealized_pnl",
    "realized_pnl",
    "unrealized_pnl",
];

impl Walk<'_> {
    /// `perf_ledgers`: `{hotkey: {"portfolio": ledger, pair: ledger, …}}`, or of old `{hotkey: ledger}`.
    pub(super) fn perf_ledgers(&mut self) -> Result<(), Stop> {
        let mut count = 0;
        self.keyed_file(self.layout.ledgers_file(), |walk| {
            walk.each_hotkey("perf_ledgers", &[], |walk, hotkey, path| {
                if walk.expect(Kind::Object, path)? {
                    walk.begin_entry(hotkey, count);
                    count += 1;
                    walk.bundle(path)?;
                }
                Ok(())
            })?;
            Ok(())
        })?;
        self.summary.perf_ledgers = count;
        Ok(())
    }

    fn bundle(&mut self, path: &Path<'_>) -> Result<(), Stop> {
        self.reader.open_object()?;
        self.out.push(b'{');
        let mut seen: HashSet<String> = HashSet::new();
        while let Some(key) = self.reader.next_key(seen.is_empty())? {
            let name = key.lossy();
            if seen.is_empty() && LEDGER.contains(&name) {
                // The old form: what we are in is the ledger.
                return self.ledger_fields(path, Some(key));
            }
            let inner = path.key(name);
            if name != PORTFOLIO && Pair::find(name).is_none() {
                self.problems
                    .add(&inner, "is neither `portfolio` nor a trade pair");
            }
            self.separate(&key, seen.is_empty());
            if !seen.insert(name.to_owned()) {
                self.problems.add(&inner, "is there twice");
            }
            if self.expect(Kind::Object, &inner)? {
                self.reader.open_object()?;
                self.out.push(b'{');
                self.ledger_fields(&inner, None)?;
            }
        }
        if !seen.contains(PORTFOLIO) {
            self.problems.add(&path.key(PORTFOLIO), "is missing");
        }
        self.out.push(b'}');
        self.flush()
    }

    /// The rest of a ledger whose object is open. `pending` is its first key, where that is read already.
    fn ledger_fields(&mut self, path: &Path<'_>, pending: Option<Text>) -> Result<(), Stop> {
        let old_form = pending.is_some();
        let mut pending = pending;
        let mut first = true;
        let mut seen: Vec<&str> = Vec::new();
        let mut other_pair = false;
        let mut prices = false;
        loop {
            let key = match pending.take() {
                Some(key) => key,
                None => match self.reader.next_key(first)? {
                    Some(key) => key,
                    None => break,
                },
            };
            first = false;
            let field = path.key(key.lossy());
            let Some(name) = LEDGER.into_iter().find(|name| *name == key.lossy()) else {
                self.problems.add(
                    &field,
                    "is not known here, and the validator would fail on it",
                );
                self.reader.skip()?;
                continue;
            };
            self.separate(&key, seen.is_empty());
            if seen.contains(&name) {
                self.problems.add(&field, "is there twice");
            } else {
                seen.push(name);
            }
            match name {
                "cps" => self.entries(&field)?,
                "tp_id" => {
                    let value = self.record(&field)?;
                    other_pair = value.as_str() != Some(PORTFOLIO);
                    push_value(&mut self.out, &value);
                }
                "last_known_prices" => prices = self.last_known_prices(&field)?,
                _ => self.copy_number(&field)?,
            }
        }
        self.out.push(b'}');
        for needed in ["cps", "initialization_time_ms"] {
            // Without the second the old form is not recognised as such.
            if !seen.contains(&needed) && (needed == "cps" || old_form) {
                self.problems.add(&path.key(needed), "is missing");
            }
        }
        if prices && other_pair {
            let what = "belongs into the portfolio's ledger only";
            self.problems.add(&path.key("last_known_prices"), what);
        }
        self.flush()
    }

    fn entries(&mut self, path: &Path<'_>) -> Result<(), Stop> {
        if !self.expect(Kind::Array, path)? {
            return Ok(());
        }
        self.reader.open_array()?;
        self.out.push(b'[');
        let mut index = 0;
        while self.reader.next_element(index == 0)? {
            let path = path.index(index);
            if index > 0 {
                self.out.extend(b", ");
            }
            index += 1;
            if self.expect(Kind::Object, &path)? {
                self.entry(&path)?;
            }
            self.flush()?;
        }
        self.out.push(b']');
        self.tick()
    }

    fn entry(&mut self, path: &Path<'_>) -> Result<(), Stop> {
        // As a validator writes them, and most of a checkpoint is this.
        let copied = self.reader.copy_plain_fields(&ENTRY, &mut self.out);
        match copied {
            Some(found) => {
                self.needed(found, path);
                Ok(())
            }
            None => self.any_entry(path),
        }
    }

    fn any_entry(&mut self, path: &Path<'_>) -> Result<(), Stop> {
        self.reader.open_object()?;
        self.out.push(b'{');
        let mut seen = 0_u32;
        let mut extra: HashSet<String> = HashSet::new();
        while let Some(key) = self.reader.next_key(seen == 0 && extra.is_empty())? {
            let name = key.lossy();
            let field = path.key(name);
            self.separate(&key, seen == 0 && extra.is_empty());
            let Some(known) = ENTRY.iter().position(|known| known.name == name) else {
                if !extra.insert(name.to_owned()) {
                    self.problems.add(&field, "is there twice");
                }
                let value = self.record(&field)?;
                self.check_finite(&value, &field);
                push_value(&mut self.out, &value);
                continue;
            };
            if seen & (1 << known) != 0 {
                self.problems.add(&field, "is there twice");
            }
            seen |= 1 << known;
            self.copy_number(&field)?;
        }
        self.out.push(b'}');
        self.needed(seen, path);
        Ok(())
    }

    /// Notes what is not among the fields that were found.
    fn needed(&mut self, found: u32, path: &Path<'_>) {
        for (known, field) in ENTRY.iter().enumerate().take(2) {
            if found & (1 << known) == 0 {
                self.problems.add(&path.key(field.name), "is missing");
            }
        }
    }

    /// `{pair: [price, ms]}`. Yields whether there is any.
    fn last_known_prices(&mut self, path: &Path<'_>) -> Result<bool, Stop> {
        let value = self.record(path)?;
        let Value::Object(prices) = &value else {
            self.problems
                .add(path, format!("is {}, not an object", value.kind()));
            return Ok(false);
        };
        for (pair, price) in &prices.0 {
            let whole = match price {
                Value::Array(list) => matches!(list[..], [Value::Number(_), Value::Number(_)]),
                _ => false,
            };
            if !whole {
                let what = format!("of `{}` is not a price and a time", shown(pair.lossy()));
                self.problems.add(path, what);
            }
        }
        self.check_finite(&value, path);
        push_value(&mut self.out, &value);
        Ok(!prices.0.is_empty())
    }

    fn copy_number(&mut self, path: &Path<'_>) -> Result<(), Stop> {
        if self.reader.copy_plain_number(&mut self.out).is_some() {
            return Ok(());
        }
        if !self.expect(Kind::Number, path)? {
            return Ok(());
        }
        let number = self.reader.number()?;
        let float = number.as_f64();
        if !float.is_finite() {
            self.problems.add(path, format!("is not finite ({float})"));
        }
        push_number(&mut self.out, &number);
        Ok(())
    }

    fn separate(&mut self, key: &Text, first: bool) {
        if !first {
            self.out.extend(b", ");
        }
        push_text(&mut self.out, key);
        self.out.extend(b": ");
    }
}
