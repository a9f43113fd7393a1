//! Checkpoint files that are damaged, strange, or change under us; and what a write leaves behind.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and writes what need not be durable"
)]

#[path = "lab/python.rs"]
mod python;

use std::fs;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ostler::checkpoint::{
    COMPRESSED_NAME, Checkpoint, Error, Layout, Owner, PLAIN_NAME, Packing, Report, Rules, check,
    write,
};
use python::{Python, repository, run, workspace};
use serde_json::json;

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

#[test]
fn a_file_is_found_by_either_name_and_never_by_both() {
    let work = workspace();
    let error = Checkpoint::find(work.path()).unwrap_err().to_string();
    let base = work.path().display();
    assert_eq!(
        error,
        format!("No checkpoint file found at {base}/{PLAIN_NAME} or {base}/{COMPRESSED_NAME}")
    );

    let compressed = work.path().join(COMPRESSED_NAME);
    fs::copy(tiny(), &compressed).unwrap();
    let found = Checkpoint::find(work.path()).unwrap();
    assert_eq!(found.packing(), Packing::Gzip);
    assert_eq!(
        found.found(),
        format!("Found compressed checkpoint file: {}", compressed.display())
    );

    let plain = work.path().join(PLAIN_NAME);
    fs::write(&plain, tiny_text()).unwrap();
    assert!(matches!(
        Checkpoint::find(work.path()),
        Err(Error::Both { .. })
    ));
    fs::remove_file(compressed).unwrap();
    let found = Checkpoint::find(work.path()).unwrap();
    assert_eq!(
        found.found(),
        format!("Found uncompressed checkpoint file: {}", plain.display())
    );
}

#[test]
fn a_wrong_name_gets_the_advice_of_the_documentation_and_can_be_overruled() {
    let work = workspace();
    let plain = work.path().join(PLAIN_NAME);
    fs::copy(tiny(), &plain).unwrap();
    assert_eq!(
        Checkpoint::open(&plain).unwrap_err().to_string(),
        format!(
            "File {} appears to contain compressed data but lacks .gz extension.\n\
             Solution: Add .gz extension and rename to validator_checkpoint.json.gz",
            plain.display()
        )
    );
    assert!(judged(&plain, &Rules::default()).unwrap().is_sound());

    let compressed = work.path().join(COMPRESSED_NAME);
    fs::write(&compressed, tiny_text()).unwrap();
    assert_eq!(
        Checkpoint::open(&compressed).unwrap_err().to_string(),
        format!(
            "File {} has .gz extension but contains uncompressed data.\n\
             Solution: Remove the .gz extension and rename to validator_checkpoint.json",
            compressed.display()
        )
    );
    assert!(judged(&compressed, &Rules::default()).unwrap().is_sound());
}

#[test]
fn what_is_no_checkpoint_is_called_what_it_is() {
    let work = workspace();
    let path = work.path().join(PLAIN_NAME);
    for (content, expected) in [
        (&b"PK\x03\x04zip"[..], "a zip archive"),
        (b"BZh91AY", "compressed with bzip2"),
        (b"\xfd7zXZ\0", "compressed with xz"),
        (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
        (b"<html><body>Access denied", "a web page"),
        (b"\x80\x04\x95pickle", "neither gzip nor JSON"),
        (b"{\0\"\0", "text in UTF-16"),
    ] {
        fs::write(&path, content).unwrap();
        let error = Checkpoint::open(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let error = Checkpoint::open(&path).unwrap_err().to_string();
    assert!(error.ends_with("is a pipe, not a file"), "{error}");
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let work = workspace();
    let text = tiny_text().into_bytes();
    let gzip = fs::read(tiny()).unwrap();
    let path = work.path().join("cut");
    for whole in [&gzip, &text] {
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let judged = judged(&path, &Rules::default());
            let known = matches!(
                judged,
                Err(Error::Truncated { .. }
                    | Error::Unfinished { .. }
                    | Error::Empty { .. }
                    | Error::Foreign { .. })
            );
            // A lone first byte of the gzip magic is no format at all; a number may end anywhere, an object not.
            assert!(known, "{length} of {}: {judged:?}", whole.len());
        }
    }
}

#[test]
fn a_file_with_any_byte_flipped_is_refused_or_means_the_same() {
    let work = workspace();
    let path = work.path().join("flipped");
    let whole = fs::read(tiny()).unwrap();
    let sound = judged(&tiny(), &Rules::default()).unwrap();
    let mut refused = 0;
    for index in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[index] ^= 0xff;
        fs::write(&path, flipped).unwrap();
        match judged(&path, &Rules::default()) {
            Err(_) => refused += 1,
            Ok(report) => assert_eq!(report.summary, sound.summary, "byte {index}"),
        }
    }
    // Time, flags and system in the header mean nothing; all else is covered by the checksum.
    assert!(refused > whole.len() - 10, "{refused} of {}", whole.len());
}

proptest::proptest! {
    /// Text with a few bytes changed: no panic, and what is found sound is what Python reads.
    #[test]
    fn changed_text_is_refused_or_read_as_python_reads_it(changes in proptest::collection::vec((0..3167_usize, 0..8_usize), 1..4)) {
        let work = workspace();
        let path = work.path().join(PLAIN_NAME);
        let mut text = tiny_text().into_bytes();
        for (at, what) in changes {
            let at = at.min(text.len() - 1);
            text[at] = b"\"\\{],9- "[what];
        }
        fs::write(&path, &text).unwrap();
        if let Ok(checkpoint) = Checkpoint::open(&path)
            && let Ok(report) = check(&checkpoint, &Rules::default(), None, &mut |_| ControlFlow::Continue(()))
            && report.is_sound()
        {
            let mut python = Python::start("rules.py");
            let (ours, theirs) = (work.path().join("a/validation"), work.path().join("b/validation"));
            fs::create_dir(work.path().join("a")).unwrap();
            fs::create_dir(work.path().join("b")).unwrap();
            python.tree(&path, &theirs, "7.1.1");
            write(&checkpoint, &report, &ours, &Owner::default(), &mut |_| ControlFlow::Continue(())).unwrap();
            proptest::prop_assert_eq!(python.manifest(&ours), python.manifest(&theirs));
        }
    }
}

#[test]
fn a_bomb_is_not_unpacked_and_one_record_has_a_bound() {
    let work = workspace();
    let path = work.path().join("bomb");
    fs::write(&path, packed(&[b' '; 1 << 20])).unwrap();
    let rules = Rules {
        max_unpacked: 1 << 16,
        ..Rules::default()
    };
    assert!(matches!(
        judged(&path, &rules),
        Err(Error::TooLarge { limit: 65_536, .. })
    ));

    let long = tiny_text().replace("Polygon_ws", &"x".repeat(1 << 20));
    fs::write(&path, long).unwrap();
    let rules = Rules {
        max_record: 1 << 18,
        ..Rules::default()
    };
    let error = judged(&path, &rules).unwrap_err().to_string();
    assert!(
        error.contains("one record is larger than the limit"),
        "{error}"
    );
}

#[test]
fn an_unknown_version_needs_two_words_of_consent() {
    let text = tiny_text().replace("\"version\": \"7.1.1\"", "\"version\": \"7.1.2\"");
    assert_eq!(
        problems_of(&text, &Rules::default()),
        [
            "version is not one we can vouch for: version 7.1.2 is unknown: 7.1.1 and 8.8.9 are known"
        ]
    );
    let mut rules = Rules {
        unknown_version: true,
        ..Rules::default()
    };
    assert_eq!(problems_of(&text, &rules).len(), 1);
    rules.layout = Some(Layout::Ptn711);
    assert_eq!(problems_of(&text, &rules), [""; 0]);
}

#[test]
fn the_version_counts_wherever_it_stands() {
    let text = tiny_text().replacen("\"version\": \"7.1.1\", ", "", 1);
    let text = format!(
        "{}, \"version\": \"8.8.9\"}}",
        text.strip_suffix('}').unwrap()
    );
    let work = workspace();
    let path = work.path().join("c.json");
    // The price source of the sample has a key that 8.8.9 fails on.
    fs::write(&path, text.replace(", \"volume\": 3", "")).unwrap();
    let report = judged(&path, &Rules::default()).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    assert_eq!(report.summary.layout, Some(Layout::Vanta889));
}

#[test]
fn every_problem_is_reported_and_the_list_is_bounded() {
    let text = tiny_text()
        .replace("\"price\": 101024.24", "\"price\": NaN")
        .replace("\"dd\": null", "\"dd\": -Infinity")
        .replace("\"crypto\"", "\"stocks\"")
        .replace(
            "0a1b2c3d-0000-4000-8000-000000000001\", \"open_ms",
            "../x\", \"open_ms",
        );
    let problems = problems_of(&text, &Rules::default());
    let hotkey = "5DE6K842eErCeDcMvodN6EL6AeBomyFtn8FqjgnjzDT75FhE";
    assert_eq!(
        problems,
        [
            "eliminations[0].dd is not finite (-inf)".to_owned(),
            format!("positions.{hotkey}.positions[0].orders[0].price is not finite (NaN)"),
            format!(
                "positions.{hotkey}.positions[1].position_uuid `../x` has a `/` in it, so it would be written somewhere else"
            ),
            format!("asset_selections.{hotkey} is not one of crypto, forex, indices, equities"),
        ]
    );

    let many = format!("\"eliminations\": [{}", "1, ".repeat(5000));
    let work = workspace();
    let path = work.path().join("c.json");
    fs::write(&path, tiny_text().replace("\"eliminations\": [", &many)).unwrap();
    let report = judged(&path, &Rules::default()).unwrap();
    assert_eq!(report.problems.total, 5000);
    assert_eq!(report.problems.listed.len(), ostler::checkpoint::LISTED);
}

#[test]
fn missing_sections_are_blank_or_left_to_the_old_state_when_that_is_wanted() {
    let mut document: serde_json::Value = serde_json::from_str(&tiny_text()).unwrap();
    for section in [
        "perf_ledgers",
        "challengeperiod",
        "miner_account_sizes",
        "asset_selections",
    ] {
        document.as_object_mut().unwrap().remove(section);
    }
    assert_eq!(
        problems_of(&document.to_string(), &Rules::default()).len(),
        4
    );

    let work = workspace();
    let path = work.path().join("c.json");
    fs::write(&path, document.to_string()).unwrap();
    let rules = Rules {
        missing_sections: true,
        ..Rules::default()
    };
    let checkpoint = Checkpoint::open(&path).unwrap();
    let listener = &mut |_| ControlFlow::Continue(());
    let report = check(&checkpoint, &rules, None, listener).unwrap();
    assert_eq!(report.warnings.total, 4);
    let into = work.path().join("validation");
    let written = write(&checkpoint, &report, &into, &Owner::default(), listener).unwrap();
    assert_eq!(
        written.absent,
        ["miner_account_sizes.json", "asset_selections.json"]
    );
    assert_eq!(written.blank, ["departed_hotkeys.json"]);
    assert_eq!(
        fs::read_to_string(into.join("perf_ledgers.json")).unwrap(),
        "{}"
    );
    assert_eq!(
        fs::read_to_string(into.join("challengeperiod.json")).unwrap(),
        "{}"
    );
    assert!(!into.join("asset_selections.json").exists());
}

#[test]
fn a_write_that_is_stopped_leaves_nothing() {
    let work = workspace();
    let into = work.path().join("validation");
    let checkpoint = Checkpoint::find(&repository("tests/data/checkpoint/s")).unwrap();
    let report = check(&checkpoint, &Rules::default(), None, &mut |_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    let mut there = 0;
    let stopped = write(
        &checkpoint,
        &report,
        &into,
        &Owner::default(),
        &mut |progress| {
            assert!(progress.bytes <= progress.of);
            if progress.positions < 100 {
                return ControlFlow::Continue(());
            }
            there = fs::read_dir(into.join("miners")).unwrap().count();
            ControlFlow::Break(())
        },
    );
    assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
    assert!(there > 0, "it was stopped before it had begun");
    assert!(!into.exists());
}

#[test]
fn a_file_that_changes_after_the_check_is_not_written() {
    let work = workspace();
    let path = work.path().join(PLAIN_NAME);
    fs::write(&path, tiny_text()).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let listener = &mut |_| ControlFlow::Continue(());
    let report = check(&checkpoint, &Rules::default(), None, listener).unwrap();
    let into = work.path().join("validation");

    fs::write(&path, tiny_text().replace("101024.24", "101024.25")).unwrap();
    let changed = write(&checkpoint, &report, &into, &Owner::default(), listener);
    assert!(matches!(changed, Err(Error::Changed { .. })), "{changed:?}");
    assert!(!into.exists());

    // A new file under the old name is another file: the one that was checked is still open.
    fs::write(&path, tiny_text()).unwrap();
    fs::write(work.path().join("other"), "{}").unwrap();
    fs::rename(work.path().join("other"), &path).unwrap();
    write(&checkpoint, &report, &into, &Owner::default(), listener).unwrap();
}

#[test]
fn a_directory_that_is_there_is_left_alone() {
    let work = workspace();
    let into = work.path().join("validation");
    fs::create_dir(&into).unwrap();
    fs::write(into.join("precious"), "x").unwrap();
    let checkpoint = Checkpoint::open(&tiny()).unwrap();
    let listener = &mut |_| ControlFlow::Continue(());
    let report = check(&checkpoint, &Rules::default(), None, listener).unwrap();
    let refused = write(&checkpoint, &report, &into, &Owner::default(), listener);
    assert!(
        matches!(refused, Err(Error::Io { action: "make", .. })),
        "{refused:?}"
    );
    assert_eq!(fs::read_dir(&into).unwrap().count(), 1);
}

#[test]
fn owner_and_modes_are_those_that_were_asked_for() {
    let work = workspace();
    let into = work.path().join("validation");
    let checkpoint = Checkpoint::open(&tiny()).unwrap();
    let listener = &mut |_| ControlFlow::Continue(());
    let report = check(&checkpoint, &Rules::default(), None, listener).unwrap();
    let me = fs::metadata(work.path()).unwrap();
    let root = nix::unistd::geteuid().is_root();
    let (uid, gid) = if root {
        (1234, 2345)
    } else {
        (me.uid(), me.gid())
    };
    let owner = Owner {
        uid: Some(uid),
        gid: Some(gid),
        file_mode: 0o640,
        directory_mode: 0o2750,
    };
    write(&checkpoint, &report, &into, &owner, listener).unwrap();
    let mut pending = vec![into.clone()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let mode = if metadata.is_dir() { 0o2750 } else { 0o640 };
        assert_eq!(
            metadata.permissions().mode() & 0o7777,
            mode,
            "{}",
            path.display()
        );
        assert_eq!(
            (metadata.uid(), metadata.gid()),
            (uid, gid),
            "{}",
            path.display()
        );
        if metadata.is_dir() {
            pending.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    let like = Owner::of(&into).unwrap();
    assert_eq!(
        (like.uid, like.gid, like.file_mode),
        (Some(uid), Some(gid), 0o640)
    );
}

/// Makes a checkpoint and, at a later time, the state of the same miners.
fn older_than_disk(work: &Path) -> (Checkpoint, PathBuf) {
    let sizes = [
        "--miners",
        "2",
        "--positions",
        "4",
        "--entries",
        "1",
        "--pairs",
        "0",
    ];
    let file = work.join(PLAIN_NAME);
    let later = work.join("later.json");
    run(
        "generate.py",
        &[
            &["--into", file.to_str().unwrap(), "--now", "1762740000000"],
            &sizes[..],
        ]
        .concat(),
    );
    run(
        "generate.py",
        &[
            &["--into", later.to_str().unwrap(), "--now", "1762750000000"],
            &sizes[..],
        ]
        .concat(),
    );
    // One more position for the first miner, and an order less in the checkpoint's own.
    let mut document: serde_json::Value =
        serde_json::from_slice(&fs::read(&later).unwrap()).unwrap();
    let miners = document["positions"].as_object_mut().unwrap();
    let list = miners.values_mut().next().unwrap()["positions"]
        .as_array_mut()
        .unwrap();
    let mut more = list[0].clone();
    more["position_uuid"] = json!("only-on-disk");
    list.push(more);
    list[1]["orders"][0]["order_uuid"] = json!("an-order-only-on-disk");
    fs::write(&later, document.to_string()).unwrap();
    let validation = work.join("validation");
    Python::start("rules.py").tree(&later, &validation, "7.1.1");
    (Checkpoint::open(&file).unwrap(), validation)
}

#[test]
fn a_checkpoint_older_than_the_disk_is_refused_and_the_loss_is_told() {
    let work = workspace();
    let (checkpoint, validation) = older_than_disk(work.path());
    let listener = &mut |_| ControlFlow::Continue(());
    let report = check(&checkpoint, &Rules::default(), Some(&validation), listener).unwrap();
    let what = &report.problems.listed[0].what;
    assert_eq!(report.problems.total, 1);
    assert!(what.starts_with("is older than what is on disk"), "{what}");
    assert!(
        what.contains("0 miners, 1 positions and 4 orders"),
        "{what}"
    );
    let found = report.on_disk.unwrap();
    assert_eq!((found.miners, found.positions), (2, 9));
    assert_eq!(
        (found.lost_miners, found.lost_positions, found.lost_orders),
        (0, 1, 4)
    );
    assert!(
        found
            .listed
            .iter()
            .any(|loss| loss.whole && loss.position == "only-on-disk" && loss.orders == 3)
    );

    let rules = Rules {
        older_than_disk: true,
        ..Rules::default()
    };
    let report = check(&checkpoint, &rules, Some(&validation), listener).unwrap();
    assert!(report.is_sound());
    assert_eq!(report.warnings.total, 1);
}

#[test]
fn a_broken_state_on_disk_does_not_stop_its_repair() {
    let work = workspace();
    let (checkpoint, validation) = older_than_disk(work.path());
    let miners = validation.join("miners");
    let miner = fs::read_dir(&miners)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let open = miner.join("positions/BTCUSD/open");
    fs::create_dir_all(&open).unwrap();
    fs::write(open.join("empty"), "").unwrap();
    fs::write(open.join("cut"), "{\"orders\": [").unwrap();
    fs::write(open.join("editor.swp"), "not looked at").unwrap();
    fs::write(miners.join("a file, not a miner"), "").unwrap();
    nix::unistd::mkfifo(&open.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let listener = &mut |_| ControlFlow::Continue(());
    let report = check(&checkpoint, &Rules::default(), Some(&validation), listener).unwrap();
    assert_eq!(report.on_disk.unwrap().unreadable, 3);
}

#[test]
fn limit_orders_and_packed_ledgers_of_8_8_9_are_what_python_makes_of_them() {
    let work = workspace();
    let file = work.path().join("c.json.gz");
    run(
        "generate.py",
        &[
            "--into",
            file.to_str().unwrap(),
            "--version",
            "8.8.9",
            "--miners",
            "3",
            "--positions",
            "6",
        ],
    );
    let checkpoint = Checkpoint::open(&file).unwrap();
    let listener = &mut |_| ControlFlow::Continue(());
    let report = check(&checkpoint, &Rules::default(), None, listener).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    assert_eq!(report.summary.limit_orders, 6);
    let (ours, theirs) = (
        work.path().join("a/validation"),
        work.path().join("b/validation"),
    );
    fs::create_dir(work.path().join("a")).unwrap();
    fs::create_dir(work.path().join("b")).unwrap();
    write(&checkpoint, &report, &ours, &Owner::default(), listener).unwrap();
    let mut python = Python::start("rules.py");
    python.tree(&file, &theirs, "8.8.9");
    let made = python.manifest(&ours);
    assert_eq!(made, python.manifest(&theirs));
    assert!(
        made.iter()
            .any(|line| line.contains("/limit_orders/") && line.contains("/unfilled/"))
    );
    assert!(
        made.iter()
            .any(|line| line.ends_with("validation/perf_ledgers.json.gz"))
    );
}
