//! Tests of the survey, on trees in a temporary directory.

use super::*;
use std::fs::OpenOptions;
use std::io::Write;

const GOOD: &str = r#"{"miner_hotkey": "5X", "position_uuid": "u", "open_ms": 1, "trade_pair": ["BTCUSD"],
    "orders": [{"price": 1.5, "processed_ms": 1762620000000}]}"#;

fn put(path: &Path, text: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // By a new file and a rename, as the validator does it.
    let new = path.with_extension("new");
    File::create(&new).unwrap().write_all(text).unwrap();
    fs::rename(new, path).unwrap();
}

fn position(root: &Path, number: usize) -> PathBuf {
    let closed = format!("validation/miners/5X{}/positions/BTCUSD/closed", number % 7);
    root.join(closed).join(format!("uuid-{number}"))
}

fn tree(positions: usize) -> (tempfile::TempDir, Survey) {
    let root = tempfile::tempdir().unwrap();
    for number in 0..positions {
        put(&position(root.path(), number), GOOD.as_bytes());
    }
    put(
        &root.path().join("validation/perf_ledgers.json"),
        b"{\"a\": NaN}",
    );
    put(&root.path().join("validation/eliminations.json"), b"{}");
    put(
        &root
            .path()
            .join("backups/20260101_000000/eliminations.json"),
        b"",
    );
    let survey = Survey::new(root.path().to_owned());
    (root, survey)
}

fn look(survey: &mut Survey, times: usize) -> Vec<String> {
    for _ in 0..times {
        survey.look();
    }
    let damages = survey.damages();
    damages
        .into_iter()
        .map(|damage| format!("{}: {}", damage.path.display(), damage.what))
        .collect()
}

#[test]
fn a_tree_is_seen_whole_after_some_looks_each_of_them_bounded() {
    let (_root, mut survey) = tree(2500);
    survey.look();
    assert_eq!(survey.sizes(), None, "one look is not all");
    assert_eq!(look(&mut survey, 6), [""; 0]);
    let [state, backups] = survey.sizes().unwrap();
    assert_eq!((state.files, backups.files), (2502, 1));
    assert!(state.bytes >= 2500 * 512);
    assert_eq!(survey.newest_order(), Some(1_762_620_000_000));
    assert_eq!(survey.good.len(), 2502);
}

#[test]
fn the_newest_order_goes_with_the_tree_that_had_it() {
    let (root, mut survey) = tree(10);
    let newer = position(root.path(), 3);
    put(
        &newer,
        GOOD.replace("1762620000000", "1762629999999").as_bytes(),
    );
    look(&mut survey, 2);
    assert_eq!(survey.newest_order(), Some(1_762_629_999_999));
    // An older state in its place.
    fs::remove_file(newer).unwrap();
    look(&mut survey, 2);
    assert_eq!(survey.newest_order(), Some(1_762_620_000_000));
}

#[test]
fn what_would_keep_it_from_starting_is_found_and_forgotten_once_it_is_mended() {
    let (root, mut survey) = tree(10);
    let at = |inside: &str| root.path().join("validation").join(inside);
    assert_eq!(look(&mut survey, 2), [""; 0]);
    put(&position(root.path(), 3), &GOOD.as_bytes()[..50]);
    put(&at("miners/5X0/positions/stray"), b"");
    put(&at("miners/5X0/positions/x.swp"), b"");
    put(&at("perf_ledgers.json"), b"{\"a\": \0\0\0");
    put(&at("debt_ledger.json.gz"), b"{}");
    fs::create_dir_all(at("tmp/directory")).unwrap();
    put(&at("outputs/whatever.json"), b"");
    survey.look();
    assert!(survey.damages().is_empty(), "each is looked at twice");
    assert_eq!(
        look(&mut survey, 2),
        [
            "validation/debt_ledger.json.gz: it is no gzip file",
            "validation/miners/5X0/positions/stray: it is empty",
            "validation/miners/5X3/positions/BTCUSD/closed/uuid-3: it breaks off",
            "validation/perf_ledgers.json: it has zeroes where text should be",
            "validation/tmp/directory: it is a directory, and the validator removes only files there",
        ]
    );
    put(&position(root.path(), 3), GOOD.as_bytes());
    put(&at("perf_ledgers.json"), b"{}");
    fs::remove_file(at("debt_ledger.json.gz")).unwrap();
    fs::remove_file(at("miners/5X0/positions/stray")).unwrap();
    fs::remove_dir(at("tmp/directory")).unwrap();
    assert_eq!(look(&mut survey, 2), [""; 0]);
}

#[test]
fn a_file_that_is_being_written_is_not_damaged() {
    let (root, mut survey) = tree(3);
    look(&mut survey, 2);
    // Each time that it is looked at it is half another file.
    for size in 20..40 {
        put(&position(root.path(), 1), &GOOD.as_bytes()[..size]);
        survey.look();
        assert!(survey.damages().is_empty(), "{size}");
    }
}

#[test]
fn a_large_file_is_read_in_pieces_and_not_again_within_the_hour() {
    let (root, mut survey) = tree(3);
    let ledgers = root.path().join("validation/perf_ledgers.json");
    let mut text = vec![b' '; 10 * 1024 * 1024];
    text[0] = b'{';
    *text.last_mut().unwrap() = b'}';
    put(&ledgers, &text);
    survey.look();
    assert!(survey.reading.is_some(), "it takes more than one look");
    assert_eq!(look(&mut survey, 4), [""; 0]);
    assert!(survey.good.contains_key(&hash(&ledgers)));
    text.pop();
    put(&ledgers, &text);
    assert_eq!(look(&mut survey, 5), [""; 0], "not yet");
    survey.large.clear();
    assert_eq!(
        look(&mut survey, 8),
        ["validation/perf_ledgers.json: it breaks off"]
    );
}

#[test]
fn no_link_is_followed_and_no_pipe_waited_for() {
    let (root, mut survey) = tree(1);
    let at = |inside: &str| root.path().join("validation").join(inside);
    std::os::unix::fs::symlink("/etc/passwd", at("miners/5X0/positions/link")).unwrap();
    std::os::unix::fs::symlink("/", at("miners/root")).unwrap();
    nix::unistd::mkfifo(&at("pipe.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(look(&mut survey, 3), [""; 0]);
    assert!(survey.sizes().unwrap()[0].files < 10);
}

#[test]
fn the_number_of_damaged_files_is_bounded() {
    let (root, mut survey) = tree(100);
    for number in 0..100 {
        let path = position(root.path(), number);
        OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(path)
            .unwrap();
    }
    assert_eq!(look(&mut survey, 4).len(), SUSPECTS);
    assert_eq!(survey.suspects.len(), SUSPECTS);
}

#[test]
fn a_checkout_without_a_state_has_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut survey = Survey::new(root.path().join("nowhere"));
    assert_eq!(look(&mut survey, 2), [""; 0]);
    assert_eq!(survey.sizes().unwrap()[0], Size::default());
}
