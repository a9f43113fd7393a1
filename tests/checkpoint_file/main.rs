//! Checkpoint files that are damaged, strange, or change under us; and what a write leaves behind.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and writes what need not be durable"
)]

mod against;
mod damaged;
mod found;
mod judged;
#[path = "../lab/python.rs"]
mod python;
#[path = "../lab/staged.rs"]
mod staged;
mod written;

use std::fs;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ostler::checkpoint::{Checkpoint, Error, Report, Rules, check};
use python::{repository, workspace};

fn tiny() -> PathBuf {
    repository("tests/data/checkpoint/tiny/validator_checkpoint.json.gz")
}

fn tiny_text() -> String {
    let mut text = String::new();
    let file = fs::File::open(tiny()).unwrap();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text).unwrap();
    text.trim_end().to_owned()
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn judged(path: &Path, rules: &Rules) -> Result<Report, Error> {
    let checkpoint = Checkpoint::open_by_content(path)?;
    check(&checkpoint, rules, None, &mut |_| ControlFlow::Continue(()))
}

/// The problems of a document, as `path what`.
fn problems_of(text: &str, rules: &Rules) -> Vec<String> {
    let work = workspace();
    let path = work.path().join("c.json");
    fs::write(&path, text).unwrap();
    let report = judged(&path, rules).unwrap();
    let listed = report.problems.listed.iter();
    listed
        .map(|problem| format!("{} {}", problem.path, problem.what))
        .collect()
}
