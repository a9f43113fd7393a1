//! What rclone says on its standard error: how far it is, and what it complains of.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

use serde::Deserialize;

/// How many complaints are kept.
const KEPT: usize = 5;

/// The longest line that is read; more of it is passed over.
const LONGEST: u64 = 64 * 1024;

/// The most characters of one complaint.
const LONGEST_COMPLAINT: usize = 300;

/// What was said so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Bytes that were transferred.
    pub bytes: u64,
    /// Changes whenever rclone has done something.
    pub pulse: u64,
    /// The hash by which contents were compared.
    pub compared_by: Option<String>,
    complaints: VecDeque<String>,
}

/// A line of rclone's JSON log (`--use-json-log`, rclone 1.60: `fs/log/` and `fs/accounting/stats.go`).
#[derive(Deserialize)]
struct Line {
    level: String,
    msg: String,
    object: Option<String>,
    stats: Option<Stats>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct Stats {
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    checks: u64,
    #[serde(default)]
    transfers: u64,
    #[serde(default)]
    deletes: u64,
    #[serde(default)]
    renames: u64,
}

impl Report {
    /// Takes one line.
    pub fn hear(&mut self, line: &str) {
        let Ok(said) = serde_json::from_str::<Line>(line) else {
            // What it says before its log is set up, and as it gives up.
            return self.complain(line.trim());
        };
        if let Some(stats) = said.stats {
            self.bytes = stats.bytes;
            self.pulse = stats
                .bytes
                .wrapping_add(stats.checks)
                .wrapping_add(stats.transfers)
                .wrapping_add(stats.deletes)
                .wrapping_add(stats.renames);
        } else if ["error", "critical", "alert", "emergency"].contains(&said.level.as_str()) {
            match said.object.filter(|object| !object.is_empty()) {
                Some(object) => self.complain(&format!("{object}: {}", said.msg)),
                None => self.complain(&said.msg),
            }
        } else if let Some(hash) = said
            .msg
            .strip_prefix("Using ")
            .and_then(|rest| rest.strip_suffix(" for hash comparisons"))
        {
            self.compared_by = Some(hash.to_owned());
        }
    }

    /// Everything that it complained of, the last first.
    pub fn complaints(&self) -> String {
        let all: Vec<_> = self.complaints.iter().rev().map(String::as_str).collect();
        match all.is_empty() {
            true => "it does not say why".to_owned(),
            false => all.join("; "),
        }
    }

    fn complain(&mut self, text: &str) {
        let harmless = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = without_secrets(text)
            .chars()
            .map(harmless)
            .take(LONGEST_COMPLAINT)
            .collect();
        if text.is_empty() || self.complaints.contains(&text) {
            return;
        }
        self.complaints.push_back(text);
        if self.complaints.len() > KEPT {
            self.complaints.pop_front();
        }
    }
}

/// Takes out of addresses what may let others in: user and password, and the query, which may be a signature.
fn without_secrets(text: &str) -> String {
    let clean = |word: &str| {
        let Some(at) = word.find("://") else {
            return word.to_owned();
        };
        let (scheme, rest) = word.split_at(at + 3);
        let rest = match rest.split_once('?') {
            Some((path, query)) => {
                let end = query.find('"').map_or("", |at| &query[at..]);
                format!("{path}?…{end}")
            }
            None => rest.to_owned(),
        };
        let host = rest.find('/').unwrap_or(rest.len());
        match rest[..host].rfind('@') {
            Some(at) => format!("{scheme}…{}", &rest[at..]),
            None => format!("{scheme}{rest}"),
        }
    };
    text.split(' ').map(clean).collect::<Vec<_>>().join(" ")
}

/// Reads lines until the end, each at most [`LONGEST`] bytes long.
pub(super) fn lines(from: impl Read, mut each: impl FnMut(&str)) -> io::Result<()> {
    let mut from = io::BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        if from.by_ref().take(LONGEST).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        each(&String::from_utf8_lossy(&line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_hash_and_complaints_are_told_apart() {
        let mut report = Report::default();
        for line in [
            r#"{"level":"warning","msg":"x","stats":{"bytes":7,"checks":1,"transfers":2}}"#,
            r#"{"level":"info","msg":"Using md5 for hash comparisons"}"#,
            r#"{"level":"error","msg":"no space","object":"aa/b"}"#,
            r#"{"level":"error","msg":"no space","object":"aa/b"}"#,
            "2026/11/21 03:51:33 Failed to copy: no space",
        ] {
            report.hear(line);
        }
        assert_eq!((report.bytes, report.pulse), (7, 10));
        assert_eq!(report.compared_by.as_deref(), Some("md5"));
        let told = report.complaints();
        assert_eq!(told.matches("aa/b").count(), 1, "{told}");
        assert!(told.starts_with("2026/11/21"), "{told}");
    }

    #[test]
    fn complaints_are_bounded_and_the_last_ones_stay() {
        let mut report = Report::default();
        for at in 0..100 {
            report.hear(&format!("complaint {at} {}", "x".repeat(9999)));
        }
        let told = report.complaints();
        assert!(told.len() < 6 * LONGEST_COMPLAINT, "{}", told.len());
        assert!(told.contains("complaint 99") && told.contains("complaint 95"));
        assert!(!told.contains("complaint 94"));
    }

    #[test]
    fn addresses_lose_what_lets_others_in() {
        let told = without_secrets(
            "Put \"https://user:pass@s3.example/b/o?X-Amz-Signature=abc\": refused by http://u@h",
        );
        assert_eq!(
            told,
            "Put \"https://…@s3.example/b/o?…\": refused by http://…@h"
        );
    }
}
