//! Files that are cut, changed, or too large.

use std::fs;
use std::ops::ControlFlow;

use ostler::checkpoint::{Checkpoint, Error, PLAIN_NAME, Rules, check};

use super::python::{Python, workspace};
use super::staged::staged;
use super::{judged, packed, tiny, tiny_text};

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
            staged(&checkpoint, &Rules::default(), None, &ours).unwrap();
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
