//! Which file is taken for a checkpoint, and under which name.

use std::fs;

use ostler::checkpoint::{COMPRESSED_NAME, Checkpoint, Error, PLAIN_NAME, Packing, Rules};

use super::python::workspace;
use super::{judged, tiny, tiny_text};

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
