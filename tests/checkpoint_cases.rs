//! The inputs that the validator's restore script was tried with, and what becomes of them here.
//!
//! `docs/checkpoint-cases.md` is made by this test: run it with `UPDATE_DOCS=1` after a change.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and writes what need not be durable"
)]

#[path = "lab/python.rs"]
mod python;
#[path = "lab/staged.rs"]
mod staged;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ostler::checkpoint::{Checkpoint, Error, Report, Rules, check};
use python::{Python, repository, run};
use staged::staged;

const NOW: i64 = 1_762_740_000_000;
const TEN_DAYS: i64 = 864_000_000;

/// What the script did, by case: measured with the real script at 7.1.1.
struct Script {
    code: String,
    says: String,
    positions: String,
    files: String,
    message: String,
}

impl Script {
    fn all() -> BTreeMap<String, Self> {
        let table =
            fs::read_to_string(repository("tests/data/checkpoint/script-results.tsv")).unwrap();
        table
            .lines()
            .skip(1)
            .map(|line| {
                let mut cells = line.split('\t').map(str::to_owned);
                let mut cell = || cells.next().unwrap_or_default();
                let name = cell();
                let script = Self {
                    code: cell(),
                    says: cell(),
                    positions: cell(),
                    files: cell(),
                    message: cell(),
                };
                (name, script)
            })
            .collect()
    }

    fn accepts(&self) -> bool {
        self.says == "complete"
    }

    /// Old position files left and new ones there, of 21 and 35.
    fn cell(&self) -> String {
        let (old, new) = self.positions.split_once('/').unwrap();
        let mut cell = format!("{}, exit {}: {old} old, {new} new", self.says, self.code);
        if self.files.ends_with("outside") {
            cell.push_str(", **writes outside the tree**");
        }
        if !self.message.is_empty() {
            write!(cell, " ({})", self.message).unwrap();
        }
        cell
    }
}

/// What became of a case here.
enum Outcome {
    Unreadable(Error),
    Refused(Report),
    Written(Report),
}

impl Outcome {
    fn of(repo: &Path, stage: &Path) -> Self {
        let listener = &mut |_| ControlFlow::Continue(());
        let checkpoint = match Checkpoint::find(repo) {
            Ok(checkpoint) => checkpoint,
            Err(error) => return Self::Unreadable(error),
        };
        let validation = repo.join("validation");
        let report = match check(&checkpoint, &Rules::default(), Some(&validation), listener) {
            Ok(report) => report,
            Err(error) => return Self::Unreadable(error),
        };
        let (same, written) =
            staged(&checkpoint, &Rules::default(), Some(&validation), stage).unwrap();
        assert_eq!(same.problems, report.problems);
        match written {
            None => Self::Refused(report),
            Some(_) => Self::Written(report),
        }
    }

    fn cell(&self, repo: &Path) -> String {
        let (verdict, listed, total) = match self {
            Self::Unreadable(error) => {
                let text = error.to_string().replace(repo.to_str().unwrap(), "BASE");
                return format!("refused: {}", without_sizes(&text.replace('\n', " ")));
            }
            Self::Refused(report) => ("refused", &report.problems.listed, report.problems.total),
            Self::Written(report) => ("written", &report.warnings.listed, report.warnings.total),
        };
        let Some(first) = listed.first() else {
            return verdict.to_owned();
        };
        let more = match total {
            1 => String::new(),
            more => format!(" (and {} more)", more - 1),
        };
        let note = if verdict == "written" { ", warns" } else { "" };
        format!("{verdict}{note}: `{}` {}{more}", first.path, first.what)
    }
}

/// Sizes depend on the release of zlib that packed the input.
fn without_sizes(text: &str) -> String {
    let words = text.split(' ').scan("", |before, word| {
        let size = word.starts_with(|first: char| first.is_ascii_digit());
        let counted = size && matches!(*before, "after" | "byte");
        *before = word;
        Some(match counted {
            true => word
                .trim_start_matches(|each: char| each.is_ascii_digit())
                .replacen("", "N", 1),
            false => word.to_owned(),
        })
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The state of three of the five miners, ten days before the checkpoint.
fn make_old_state(python: &mut Python, work: &Path) -> PathBuf {
    let file = work.join("old.json");
    let now = (NOW - TEN_DAYS).to_string();
    let path = file.to_str().unwrap();
    let sizes = [
        "--miners",
        "3",
        "--positions",
        "7",
        "--entries",
        "4",
        "--pairs",
        "1",
        "--now",
        &now,
    ];
    run("generate.py", &[&["--into", path], &sizes[..]].concat());
    let old = work.join("old");
    python.tree(&file, &old, "7.1.1");
    old
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn every_case_is_either_refused_untouched_or_written_as_the_script_would() {
    let work = python::workspace();
    let root = work.path().join("cases");
    let made = run("cases.py", &[root.to_str().unwrap()]);
    let cases: Vec<(String, String)> = serde_json::from_slice(&made).unwrap();
    let script = Script::all();
    assert_eq!(cases.len(), 131);
    assert_eq!(script.len(), 131);

    let mut python = Python::start("rules.py");
    let old = make_old_state(&mut python, work.path());
    let mut rows = String::new();
    for (name, what) in &cases {
        let script = &script[name];
        let repo = root.join(name).join("repo");
        copy(&old, &repo.join("validation"));
        let everything = root.join(name);
        let stage = everything.join("stage");
        let before = python.manifest(&everything);

        let outcome = Outcome::of(&repo, &stage);
        if let Outcome::Written(_) = outcome {
            assert!(script.accepts(), "{name}: the script refuses this");
            assert_is_the_scripts(&mut python, name, &repo, &stage);
            fs::remove_dir_all(&stage).unwrap();
        }
        let after = python.manifest(&everything);
        assert_eq!(before, after, "{name}: something else was touched");

        let cells = [
            name.clone(),
            what.clone(),
            script.cell(),
            outcome.cell(&repo),
        ];
        writeln!(
            rows,
            "| {} |",
            cells.map(|cell| cell.replace('|', "\\|")).join(" | ")
        )
        .unwrap();
    }
    compare_with_the_page(&rows);
}

/// The stage is what the script's rules make of the same file.
fn assert_is_the_scripts(python: &mut Python, name: &str, repo: &Path, stage: &Path) {
    let checkpoint = Checkpoint::find(repo).unwrap();
    let expected = repo.parent().unwrap().join("expected");
    let into = expected.join("stage");
    fs::create_dir(&expected).unwrap();
    python.tree(checkpoint.path(), &into, "7.1.1");
    assert_eq!(python.manifest(stage), python.manifest(&into), "{name}");
    fs::remove_dir_all(&expected).unwrap();
}

const HEAD: &str = "\
# Checkpoints: 131 inputs, the restore script and Ostler

The restore script of the validator (7.1.1) was run on each of these inputs, over a state of 21 position
files; a good checkpoint has 35. The third column is what it said, its exit status, how many of the old
files were left and how many new ones were there. The last column is what Ostler does with such an input
over such a state: *refused* means that nothing at all is written, *written* that the new tree is byte for
byte the script's. This page is made and checked by `tests/checkpoint_cases.rs`.

| case | input | the script | Ostler |
| --- | --- | --- | --- |
";

fn compare_with_the_page(rows: &str) {
    let page = repository("docs/checkpoint-cases.md");
    let made = format!("{HEAD}{rows}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(page.parent().unwrap()).unwrap();
        fs::write(&page, &made).unwrap();
    }
    let kept = fs::read_to_string(&page).unwrap_or_default();
    for (kept, made) in kept.lines().zip(made.lines()) {
        assert_eq!(
            kept, made,
            "docs/checkpoint-cases.md is out of date: run with UPDATE_DOCS=1"
        );
    }
    assert_eq!(kept.lines().count(), made.lines().count());
}
