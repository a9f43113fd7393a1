//! Checking all of a checkpoint before anything is touched.

use std::path::Path;

use crate::clock::Timestamp;

use super::compare::Comparison;
use super::json::{self, Kind, Reader};
use super::pass::{Passed, explain, pass};
use super::report::Problems;
use super::tree::Measure;
use super::walk::{Listener, Place, Stop, name_of};
use super::{Checkpoint, Error, Layout, Packing, Report, Rules, Summary, source};

/// Checks all of a checkpoint against `rules` and touches nothing.
///
/// With `on_disk`, the `validation` directory in use, it also tells what restoring would lose, and
/// refuses a checkpoint that is older than what is there. `listener` hears of every record and may stop.
///
/// # Errors
/// If the file cannot be read to its end as gzip and JSON, or the listener stops it. What is wrong with
/// its content is no error but a [`Problem`] in the report.
pub fn check(
    checkpoint: &Checkpoint,
    rules: &Rules,
    on_disk: Option<&Path>,
    listener: Listener<'_>,
) -> Result<Report, Error> {
    let choice = choose_layout(checkpoint, rules)?;
    let mut sink = Measure::default();
    let passed = pass(
        checkpoint,
        rules,
        choice.layout,
        on_disk,
        &mut sink,
        listener,
    )?;
    checkpoint.refuse_changed()?;
    Ok(choice.report(rules, passed, &sink))
}

/// The layout to use, and what speaks against it.
pub(crate) struct Choice {
    pub(crate) layout: Layout,
    version: Option<String>,
}

/// Looks for the version first, wherever in the document it is: the rules for positions depend on it.
pub(crate) fn choose_layout(checkpoint: &Checkpoint, rules: &Rules) -> Result<Choice, Error> {
    let unpacked = checkpoint.text(rules.max_unpacked)?;
    let mut reader = Reader::new(unpacked.text, rules.max_record);
    let found = version(checkpoint, &mut reader);
    let version = match found {
        Ok(version) => version,
        Err(stop) => {
            return Err(explain(
                checkpoint,
                stop,
                &Place::default(),
                reader.offset(),
            ));
        }
    };
    let written_by = version.as_deref().and_then(|version| version.parse().ok());
    Ok(Choice {
        layout: rules.layout.or(written_by).unwrap_or(Layout::Ptn711),
        version,
    })
}

fn version(checkpoint: &Checkpoint, reader: &mut Reader<'_>) -> Result<Option<String>, Stop> {
    let path = || checkpoint.path().to_owned();
    source::refuse_foreign_text(reader.head()?, checkpoint.path())?;
    match reader.kind()? {
        Kind::Object => {}
        Kind::Text if checkpoint.packing() == Packing::Gzip => {
            return Err(Error::EncodedTwice { path: path() }.into());
        }
        kind => {
            return Err(Error::NotAnObject {
                path: path(),
                what: name_of(kind),
            }
            .into());
        }
    }
    reader.open_object()?;
    let mut first = true;
    while let Some(key) = reader.next_key(first)? {
        first = false;
        if key.as_str() == Some("version") {
            return Ok(reader.value()?.as_str().map(str::to_owned));
        }
        reader.skip()?;
    }
    Ok(None)
}

impl Choice {
    /// What a pass comes to.
    pub(crate) fn report(&self, rules: &Rules, mut passed: Passed, made: &Measure) -> Report {
        passed.summary.layout = Some(self.layout);
        passed.summary.files = made.files;
        passed.summary.tree_bytes = made.bytes;
        if !rules.only_names {
            self.judge(rules, &mut passed.problems);
        }
        if let Some(found) = &passed.on_disk {
            judge_freshness(found, &passed.summary, rules, &mut passed.problems);
        }
        let (problems, warnings) = passed.problems.into_findings();
        Report {
            problems,
            warnings,
            summary: passed.summary,
            on_disk: passed.on_disk,
        }
    }

    fn judge(&self, rules: &Rules, problems: &mut Problems) {
        let path = json::Path::root("version");
        let unknown = match &self.version {
            None => "is missing, or is no string".to_owned(),
            Some(version) => match version.parse::<Layout>() {
                Ok(layout) if layout == self.layout => return,
                Ok(layout) => {
                    let what = format!(
                        "is {layout}, and the tree is for {}: what only one of them knows is lost or defaulted",
                        self.layout
                    );
                    problems.warn(&path, what);
                    return;
                }
                Err(error) => format!("is not one we can vouch for: {error}"),
            },
        };
        if rules.unknown_version && rules.layout.is_some() {
            problems.warn(&path, unknown);
        } else {
            problems.add(&path, unknown);
        }
    }
}

/// The restore script has this check and never uses it.
fn judge_freshness(found: &Comparison, summary: &Summary, rules: &Rules, problems: &mut Problems) {
    let path = json::Path::root("positions");
    let lost = format!(
        "{} miners, {} positions and {} orders that are on disk are not in the checkpoint and would be lost",
        found.lost_miners, found.lost_positions, found.lost_orders
    );
    // Without any order here, whatever is there is newer.
    if found.newest_order_ms > summary.newest_order_ms {
        let what = format!(
            "is older than what is on disk (newest order {} here, {} there): {lost}",
            shown_time(summary.newest_order_ms),
            shown_time(found.newest_order_ms)
        );
        if rules.older_than_disk {
            problems.warn(&path, what);
        } else {
            problems.add(&path, what);
        }
    } else if found.lost_orders + found.lost_positions > 0 {
        problems.warn(&path, lost);
    }
}

fn shown_time(milliseconds: Option<i64>) -> String {
    let seconds = milliseconds.map(|milliseconds| milliseconds.div_euclid(1000));
    match seconds.and_then(Timestamp::from_unix_seconds) {
        Some(time) => time.to_string(),
        None => "unknown".to_owned(),
    }
}
