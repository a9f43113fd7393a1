//! The small sections: eliminations, challenge period, account sizes, asset selections.

use super::json::{Kind, Number, Path, Text, Value, push_number, push_text, push_value};
use super::names::{hotkey_fault, shown};
use super::pairs::MARKETS;
use super::record::{Absent, Record};
use super::walk::{Stop, Walk};

/// The states of a miner's challenge period.
const BUCKETS: [&str; 5] = [
    "MAINCOMP",
    "CHALLENGE",
    "PROBATION",
    "PLAGIARISM",
    "unknown",
];

/// Why a miner can be eliminated.
const REASONS: [&str; 6] = [
    "ZOMBIE",
    "PLAGIARISM",
    "MAX_TOTAL_DRAWDOWN",
    "FAILED_CHALLENGE_PERIOD_TIME",
    "FAILED_CHALLENGE_PERIOD_DRAWDOWN",
    "LIQUIDATED",
];

const DAY_MS: i64 = 86_400_000;
/// The last moment that Python's `datetime` can tell the next day of: the end of the year 9998.
const LAST_MS: i64 = 253_370_764_799_999;

impl Walk<'_> {
    /// `eliminations`: a list, kept as it is under a key of its own.
    pub(super) fn eliminations(&mut self) -> Result<(), Stop> {
        let root = Path::root("eliminations");
        if !self.expect(Kind::Array, &root)? {
            return Ok(());
        }
        self.sink.begin("eliminations.json")?;
        self.out.clear();
        self.out.extend(b"{\"eliminations\": [");
        self.reader.open_array()?;
        let mut index = 0;
        while self.reader.next_element(index == 0)? {
            self.place.index = Some(index);
            let path = root.index(index);
            let value = self.record(&path)?;
            self.elimination(&value, &path);
            if index > 0 {
                self.out.extend(b", ");
            }
            push_value(&mut self.out, &value);
            self.flush()?;
            index += 1;
        }
        self.out.extend(b"]}");
        self.sink.append(&self.out)?;
        self.sink.end()?;
        self.summary.eliminations = index as u64;
        if index == 0 {
            self.problems
                .warn(&root, "is empty: no miner is eliminated");
        }
        Ok(())
    }

    fn elimination(&mut self, value: &Value, path: &Path<'_>) {
        let Value::Object(object) = value else {
            self.problems
                .add(path, format!("is {}, not an elimination", value.kind()));
            return;
        };
        self.check_finite(value, path);
        let hotkey = object.get("hotkey").and_then(Value::as_str);
        if let Some(fault) = hotkey.map_or(Some("is missing"), hotkey_fault) {
            let what = format!("`{}` {fault}", shown(hotkey.unwrap_or_default()));
            self.problems.add(&path.key("hotkey"), what);
        }
        let time = object.get("elimination_initiated_time_ms");
        if !matches!(time, Some(Value::Number(Number::Integer(0..)))) {
            let path = path.key("elimination_initiated_time_ms");
            self.problems.add(&path, "is not a time in milliseconds");
        }
        match object.get("reason").map(Value::as_str) {
            Some(Some(reason)) if REASONS.contains(&reason) => {}
            Some(Some(reason)) => {
                let what = format!("`{}` is a reason that 7.1.1 does not know", shown(reason));
                self.problems.warn(&path.key("reason"), what);
            }
            _ => self.problems.add(&path.key("reason"), "is not a string"),
        }
    }

    /// `challengeperiod`: `{hotkey: {bucket, …}}`, or `{"testing": {hotkey: ms}, "success": {hotkey: ms}}` of old.
    pub(super) fn challengeperiod(&mut self) -> Result<(), Stop> {
        const OLD: [&str; 2] = ["testing", "success"];
        let mut old: [Option<Value>; 2] = [None, None];
        let mut count = 0;
        self.keyed_file("challengeperiod.json", |walk| {
            walk.each_hotkey("challengeperiod", &OLD, |walk, hotkey, path| {
                let value = walk.record(path)?;
                if let Some(which) = OLD.iter().position(|old| *old == hotkey) {
                    old[which] = Some(value);
                } else {
                    walk.begin_entry(hotkey, count);
                    count += 1;
                    walk.bucket(&value, path);
                    walk.flush()?;
                }
                Ok(())
            })?;
            match &old {
                [None, None] => {}
                [Some(testing), Some(success)] if count == 0 => {
                    walk.old_buckets(testing, "testing", "CHALLENGE", &mut count);
                    walk.old_buckets(success, "success", "MAINCOMP", &mut count);
                }
                _ => {
                    let what = "mixes the old form (`testing` and `success`) with something else";
                    walk.problems.add(&Path::root("challengeperiod"), what);
                }
            }
            Ok(())
        })?;
        self.summary.challengeperiod = count;
        Ok(())
    }

    fn bucket(&mut self, value: &Value, path: &Path<'_>) {
        let Value::Object(object) = value else {
            self.problems
                .add(path, format!("is {}, not an object", value.kind()));
            return;
        };
        let mut record = Record::begin(object, path, &mut self.out, &mut self.problems);
        record.word("bucket", &BUCKETS, Absent::Refused);
        record.integer("bucket_start_time", Absent::Refused, i64::MIN);
        record.word_or_null("previous_bucket", &BUCKETS);
        record.integer_or_null("previous_bucket_start_time");
        record.end();
    }

    fn old_buckets(&mut self, value: &Value, section: &str, bucket: &str, count: &mut u64) {
        let root = Path::root("challengeperiod");
        let root = root.key(section);
        let Value::Object(object) = value else {
            self.problems
                .add(&root, format!("is {}, not an object", value.kind()));
            return;
        };
        for (key, start) in &object.0 {
            let hotkey = key.lossy();
            let path = root.key(hotkey);
            if let Some(fault) = hotkey_fault(hotkey) {
                self.problems
                    .add(&path, format!("is no hotkey: its name {fault}"));
            }
            let Value::Number(start @ Number::Integer(_)) = start else {
                self.problems.add(&path, "is not a time in milliseconds");
                continue;
            };
            self.begin_entry(hotkey, *count);
            *count += 1;
            self.out.extend(b"{\"bucket\": ");
            push_text(&mut self.out, &Text::from(bucket));
            self.out.extend(b", \"bucket_start_time\": ");
            push_number(&mut self.out, start);
            self.out
                .extend(b", \"previous_bucket\": null, \"previous_bucket_start_time\": null}");
        }
    }

    /// `miner_account_sizes`: `{hotkey: [{account_size, …}, …]}`. Without any, the old file stays.
    pub(super) fn miner_account_sizes(&mut self) -> Result<(), Stop> {
        let mut count = 0;
        self.optional_file(
            "miner_account_sizes",
            "miner_account_sizes.json",
            |walk, hotkey, path| {
                let value = walk.record(path)?;
                let Value::Array(records) = &value else {
                    walk.problems
                        .add(path, format!("is {}, not a list", value.kind()));
                    return Ok(());
                };
                if records.is_empty() {
                    walk.problems.warn(path, "is empty: the miner is left out");
                    return Ok(());
                }
                walk.begin_entry(hotkey, count);
                count += 1;
                walk.out.push(b'[');
                for (index, record) in records.iter().enumerate() {
                    if index > 0 {
                        walk.out.extend(b", ");
                    }
                    walk.account_size(record, &path.index(index));
                }
                walk.out.push(b']');
                walk.flush()
            },
        )?;
        self.summary.miner_account_sizes = count;
        Ok(())
    }

    /// The day that a size counts from is worked out again: the start of the day after the update, UTC.
    fn account_size(&mut self, value: &Value, path: &Path<'_>) {
        let Value::Object(object) = value else {
            self.problems
                .add(path, format!("is {}, not an object", value.kind()));
            return;
        };
        let mut record = Record::begin(object, path, &mut self.out, &mut self.problems);
        record.number_as_is("account_size", Absent::Refused, false);
        record.number_as_is("account_size_theta", Absent::Refused, false);
        if let Some(updated) = record.integer("update_time_ms", Absent::Refused, 0) {
            if updated > LAST_MS {
                record.problem("update_time_ms", "is beyond the year 9998");
            }
            let next_day = (updated.min(LAST_MS) / DAY_MS + 1) * DAY_MS;
            record.with("valid_date_timestamp", |out| {
                push_number(out, &Number::Integer(next_day))
            });
        }
        record.end();
    }

    /// `asset_selections`: `{hotkey: market}`. Without any, the old file stays.
    pub(super) fn asset_selections(&mut self) -> Result<(), Stop> {
        let mut count = 0;
        self.optional_file(
            "asset_selections",
            "asset_selections.json",
            |walk, hotkey, path| {
                let value = walk.record(path)?;
                if !value
                    .as_str()
                    .is_some_and(|market| MARKETS.contains(&market))
                {
                    walk.problems
                        .add(path, format!("is not one of {}", MARKETS.join(", ")));
                }
                walk.begin_entry(hotkey, count);
                count += 1;
                push_value(&mut walk.out, &value);
                walk.flush()
            },
        )?;
        self.summary.asset_selections = count;
        Ok(())
    }

    /// A file keyed by hotkey that is only made if the section has an entry at all.
    fn optional_file(
        &mut self,
        section: &str,
        name: &'static str,
        mut each: impl FnMut(&mut Self, &str, &Path<'_>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let mut begun = false;
        self.each_hotkey(section, &[], |walk, hotkey, path| {
            if !begun {
                begun = true;
                walk.sink.begin(name)?;
                walk.out.clear();
                walk.out.push(b'{');
            }
            each(walk, hotkey, path)
        })?;
        if begun {
            self.out.push(b'}');
            self.sink.append(&self.out)?;
            self.sink.end()?;
        }
        Ok(())
    }
}
