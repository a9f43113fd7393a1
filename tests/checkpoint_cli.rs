//! `ostler checkpoint check` and `unpack`, as one types them; no agent runs.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and writes what need not be durable"
)]

#[path = "lab/python.rs"]
mod python;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use python::{Python, repository, run, workspace};
use serde_json::Value;

fn ostler(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ostler"))
        .arg("checkpoint")
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn answer(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn check_tells_what_is_in_it_and_succeeds() {
    let directory = repository("tests/data/checkpoint/s");
    let output = ostler(&["check", path(&directory)]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = text(&output.stdout);
    let first = format!(
        "Found compressed checkpoint file: {}/validator_checkpoint.json.gz\n",
        directory.display()
    );
    assert!(told.starts_with(&first), "{told}");
    assert!(
        told.contains("miners 12, positions 246 (24 open), orders 637, limit orders 0\n"),
        "{told}"
    );
    assert!(
        told.contains("made         2025-11-10T02:00:00.000Z ("),
        "{told}"
    );
    assert!(
        told.ends_with("sound: it makes 252 files of 1305325 bytes\n"),
        "{told}"
    );
}

#[test]
fn check_of_an_unsound_file_fails_and_lists_the_problems() {
    let work = workspace();
    let file = work.path().join("validator_checkpoint.json");
    run(
        "generate.py",
        &[
            "--into",
            path(&file),
            "--miners",
            "2",
            "--positions",
            "2",
            "--entries",
            "1",
        ],
    );
    let content = fs::read_to_string(&file)
        .unwrap()
        .replacen("\"src\": 0", "\"src\": \"0\"", 1);
    fs::write(&file, content).unwrap();

    let output = ostler(&["check", path(&file)]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = text(&output.stdout);
    assert!(told.contains("1 problem:\n  positions.5"), "{told}");
    assert!(
        told.contains("orders[0].src is a string, not an integer"),
        "{told}"
    );

    let output = ostler(&[
        "unpack",
        path(&file),
        "--into",
        path(&work.path().join("out")),
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let answer = answer(&output);
    assert_eq!(answer["sound"], false);
    assert_eq!(answer["problems"]["total"], 1);
    assert!(answer.get("written").is_none());
    assert!(!work.path().join("out").exists());
}

#[test]
fn a_file_that_cannot_be_read_fails_in_words_or_in_json() {
    let work = workspace();
    let file = work.path().join("validator_checkpoint.json.gz");
    fs::write(&file, "{}").unwrap();
    let advice = "Solution: Remove the .gz extension and rename to validator_checkpoint.json";
    let output = ostler(&["check", path(&file)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(advice), "{output:?}");
    assert!(output.stdout.is_empty());

    let output = ostler(&["check", path(&file), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(answer(&output)["error"].as_str().unwrap().contains(advice));
    // What it holds is JSON, if an empty object.
    let output = ostler(&["check", path(&file), "--json", "--by-content"]);
    assert_eq!(answer(&output)["sound"], false);
    assert!(answer(&output).get("error").is_none());
}

#[test]
fn unpack_writes_the_whole_tree_once() {
    let work = workspace();
    let directory = repository("tests/data/checkpoint/tiny");
    let into = work.path().join("a/new/place");
    let output = ostler(&["unpack", path(&directory), "--into", path(&into), "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let answer = answer(&output);
    let tree = into.join("validation");
    assert_eq!(answer["written"]["into"], path(&tree));
    assert_eq!(answer["written"]["files"], 8);
    let mut expected: Vec<String> = fs::read_to_string(directory.join("expected.manifest"))
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    expected.sort();
    assert_eq!(Python::start("rules.py").manifest(&tree), expected);
    assert_eq!(
        fs::read_dir(&into).unwrap().count(),
        1,
        "something is left beside it"
    );

    let again = ostler(&["unpack", path(&directory), "--into", path(&into)]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        text(&again.stderr).contains("is there already"),
        "{again:?}"
    );

    fs::rename(&tree, into.join(".validation.partial")).unwrap();
    let interrupted = ostler(&["unpack", path(&directory), "--into", path(&into)]);
    assert_eq!(interrupted.status.code(), Some(1));
    assert!(
        text(&interrupted.stderr).contains("was interrupted"),
        "{interrupted:?}"
    );
    assert!(!tree.exists());
}

#[test]
fn a_state_that_is_newer_is_lost_only_with_consent() {
    let work = workspace();
    let file = work.path().join("validator_checkpoint.json");
    let later = work.path().join("later.json");
    run("generate.py", &["--into", path(&file)]);
    run(
        "generate.py",
        &[
            "--into",
            path(&later),
            "--now",
            "1762750000000",
            "--positions",
            "21",
        ],
    );
    let validation = work.path().join("validation");
    Python::start("rules.py").tree(&later, &validation, "7.1.1");

    let arguments = ["check", path(&file), "--against", path(&validation)];
    let output = ostler(&arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = text(&output.stdout);
    assert!(told.contains("is older than what is on disk"), "{told}");
    assert!(told.contains("only on disk: "), "{told}");
    let output = ostler(&[&arguments[..], &["--allow-older"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).contains("1 warning:"), "{output:?}");
}

#[test]
fn an_unknown_version_is_asked_for_in_full() {
    let work = workspace();
    let file = work.path().join("validator_checkpoint.json");
    run(
        "generate.py",
        &["--into", path(&file), "--version", "7.0.0"],
    );
    assert_eq!(ostler(&["check", path(&file)]).status.code(), Some(1));
    let half = ostler(&["check", path(&file), "--allow-unknown-version"]);
    assert_eq!(half.status.code(), Some(64), "{half:?}");
    let whole = ostler(&[
        "check",
        path(&file),
        "--allow-unknown-version",
        "--layout",
        "7.1.1",
    ]);
    assert_eq!(whole.status.code(), Some(0), "{whole:?}");
    let wrong = ostler(&["check", path(&file), "--layout", "9.9.9"]);
    assert_eq!(wrong.status.code(), Some(64), "{wrong:?}");
    assert!(
        text(&wrong.stderr).contains("7.1.1 and 8.8.9 are known"),
        "{wrong:?}"
    );
}

#[test]
fn memory_does_not_grow_with_the_file() {
    let work = workspace();
    let file = work.path().join("c.json");
    let sizes = ["--miners", "60", "--positions", "40", "--entries", "320"];
    run(
        "generate.py",
        &[&["--into", path(&file)], &sizes[..]].concat(),
    );
    let most = 12 << 20;
    assert!(
        fs::metadata(&file).unwrap().len() > 2 * most,
        "it would fit"
    );
    let into = work.path().join("into");
    for arguments in [
        &["check", path(&file)][..],
        &["unpack", path(&file), "--into", path(&into)],
        // What is there already is read too.
        &[
            "check",
            path(&file),
            "--against",
            path(&into.join("validation")),
        ],
    ] {
        // Whatever a process writes to that is not a file's own: heap and stacks.
        let output = Command::new("prlimit")
            .arg(format!("--data={most}"))
            .args([env!("CARGO_BIN_EXE_ostler"), "checkpoint"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: root is needed");
        return;
    }
    let work = tempfile::tempdir_in("/tmp").unwrap();
    let (file, program) = (work.path().join("c.json.gz"), work.path().join("ostler"));
    fs::set_permissions(work.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(
        repository("tests/data/checkpoint/tiny/validator_checkpoint.json.gz"),
        &file,
    )
    .unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    // The place where it was built may be root's alone.
    // By another process: who forks here meanwhile would hold it open for writing.
    let installed = Command::new("install")
        .args(["-m", "755", env!("CARGO_BIN_EXE_ostler")])
        .arg(&program)
        .status();
    assert!(installed.unwrap().success());
    let output = Command::new(&program)
        .args(["checkpoint", "check", path(&file)])
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = text(&output.stderr);
    let expected = format!("cannot read {}: Permission denied", file.display());
    assert!(told.contains(&expected), "{told}");
}
