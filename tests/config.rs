//! `ostler config` as a user meets it: what it prints, where, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn ostler(arguments: &[&str], environment: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ostler"));
    command.args(arguments).env_remove("OSTLER_CONFIG");
    if let Some(file) = environment {
        command.env("OSTLER_CONFIG", file);
    }
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a refusal says, after asserting that it is one.
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn file(directory: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = directory.path().join("ostler.toml");
    File::create(&path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    path
}

#[test]
fn a_wrong_configuration_ends_check_show_and_run_with_64_and_one_message() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory, "[telemetry]\ninterval = 0\n");
    let shown = path.display();
    let expected = format!(
        "ostler: {shown}:2: telemetry.interval: invalid value: integer `0`, expected a whole number of seconds from 5 to 86400\n"
    );
    for arguments in [&["config", "check"][..], &["config", "show"], &["run"]] {
        assert_eq!(refusal(&ostler(arguments, Some(&path))), expected);
    }
    let named = ostler(&["config", "check", path.to_str().unwrap()], None);
    assert_eq!(refusal(&named), expected);
}

#[test]
fn a_file_that_is_named_and_missing_is_told_once() {
    let told = refusal(&ostler(
        &["--config", "/nowhere/o.toml", "config", "check"],
        None,
    ));
    assert_eq!(told.matches("No such file").count(), 1, "{told}");
    assert!(told.contains("/nowhere/o.toml"), "{told}");
}

#[test]
fn check_reads_the_files_that_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    let path = file(&directory, &format!("[http]\ntoken-file = {token:?}\n"));
    let told = refusal(&ostler(&["config", "check"], Some(&path)));
    assert!(
        told.contains("http.token-file") && told.contains("No such file"),
        "{told}"
    );
    // `show` does not need them.
    stdout(&ostler(&["config", "show"], Some(&path)));
}

#[test]
fn a_credential_is_looked_for_where_the_unit_takes_it_from() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory, "[http]\ntoken-file = \"no.such-credential\"\n");
    let told = refusal(&ostler(&["config", "check"], Some(&path)));
    assert!(told.contains("/etc/credstore/no.such-credential"), "{told}");
}

#[test]
fn what_show_prints_is_a_configuration_that_says_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(
        &directory,
        "[[workload]]\nname = \"miner\"\nruntime = { docker = { container = \"miner\" } }\n",
    );
    let json = stdout(&ostler(&["config", "show", "--json"], Some(&path)));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["workload"][0]["grace"], 60);

    let printed = stdout(&ostler(&["config", "show"], Some(&path)));
    let again = file(&directory, &printed);
    assert_eq!(stdout(&ostler(&["config", "show"], Some(&again))), printed);
}

#[test]
fn the_sample_can_be_taken_as_it_is_printed() {
    let directory = tempfile::tempdir().unwrap();
    let sample = stdout(&ostler(&["config", "reference", "--sample"], None));
    let path = file(&directory, &sample);
    let told = stdout(&ostler(&["config", "check"], Some(&path)));
    assert_eq!(told, format!("{} is valid\n", path.display()));
}

#[test]
fn what_an_agent_would_not_start_with_is_no_valid_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    let put = |text: &str| ostler::durable::write(&secret, text.as_bytes(), 0o600).unwrap();
    let password = format!("[bobcat]\nlisten = \"127.0.0.1:0\"\npassword-file = {secret:?}\n");
    for (key, text, content) in [
        (
            "http.token-file",
            format!("[http]\ntoken-file = {secret:?}\n"),
            "too-short",
        ),
        ("bobcat.password-file", password, "short"),
        (
            "commands.trusted-keys",
            format!("[commands]\ntrusted-keys = [{secret:?}]\n"),
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        ),
    ] {
        put(content);
        let path = file(&directory, &text);
        let told = refusal(&ostler(&["config", "check"], Some(&path)));
        assert!(told.contains(key) && told.contains("secret"), "{told}");
    }
}

#[test]
fn a_check_can_be_read_by_programs() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory, "");
    let told = stdout(&ostler(&["--json", "config", "check"], Some(&path)));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["file"], path.to_str().unwrap());
    assert_eq!(told["exists"], true);
}

#[test]
fn nobody_who_reads_changes_how_it_ends() {
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let status = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ostler"));
        command.args(arguments).stdout(closed()).stderr(closed());
        command.status().unwrap().code()
    };
    assert_eq!(status(&["config", "reference"]), Some(0));
    assert_eq!(status(&["config", "check"]), Some(0));
    assert_eq!(
        status(&["config", "check", "/nowhere/ostler.toml"]),
        Some(64)
    );
    let tiny = "tests/data/checkpoint/tiny/validator_checkpoint.json.gz";
    assert_eq!(status(&["checkpoint", "check", tiny]), Some(0));
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().to_str().unwrap();
    assert_eq!(status(&["store", "list", store]), Some(0));
    assert_eq!(
        status(&["store", "prune", store, "--keep-last", "3"]),
        Some(0)
    );
}
