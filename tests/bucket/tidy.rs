//! What is removed from the bucket, and what never is.

use std::fs;

use ostler::clock::Timestamp;
use ostler::data::bucket::Tidied;
use ostler::data::{Bucket, Control, Error};

use crate::inventory::{Inn, fetch, miner};
use crate::snapshots::name;

fn tidy(inn: &Inn, bucket: &Bucket, hours: i64) -> Result<Tidied, Error> {
    let now = Timestamp::now().unix_seconds() + hours * 3600;
    let now = Timestamp::from_unix_seconds(now).unwrap();
    bucket.tidy(&inn.store, &miner(), now, &mut Control::unlimited())
}

/// Three snapshots in the bucket, of which two are kept.
fn three() -> Inn {
    let inn = Inn::new(250);
    for snapshot in ["first", "second", "third"] {
        inn.take(snapshot);
        inn.upload(&inn.bucket(), snapshot).unwrap();
        inn.grow(60);
    }
    inn
}

#[test]
fn an_object_goes_only_after_nothing_has_named_it_for_the_whole_grace() {
    let inn = three();
    let all = inn.objects();
    let tidied = tidy(&inn, &inn.bucket(), 0).unwrap();
    assert_eq!(tidied.snapshots, ["first"]);
    assert_eq!((tidied.objects, inn.objects()), (0, all.clone()));
    assert!(tidied.waiting > 0);
    let waiting = tidied.waiting;

    let early = tidy(&inn, &inn.bucket(), 0).unwrap();
    assert_eq!((early.objects, early.waiting), (0, waiting));
    let late = tidy(&inn, &inn.bucket(), 2).unwrap();
    assert_eq!((late.objects, late.waiting), (waiting, 0));
    assert_eq!(inn.objects().len(), all.len() - waiting);
    for snapshot in ["second", "third"] {
        fetch(&inn.bucket(), &inn.empty_store(), Some(snapshot)).unwrap();
    }
    assert!(fetch(&inn.bucket(), &inn.empty_store(), Some("first")).is_err());
}

#[test]
fn an_object_that_is_named_again_begins_its_grace_anew() {
    let inn = three();
    tidy(&inn, &inn.bucket(), 0).unwrap();
    inn.upload(&inn.bucket(), "first").unwrap();
    let mut bucket = inn.bucket();
    bucket.keep_last = 0;
    let tidied = tidy(&inn, &bucket, 2).unwrap();
    assert_eq!((tidied.objects, tidied.waiting), (0, 0));
    fetch(&inn.bucket(), &inn.empty_store(), Some("first")).unwrap();
}

#[test]
fn objects_of_other_workloads_and_files_of_others_stay() {
    let inn = three();
    let other = inn.place().join("other/manifests");
    fs::create_dir_all(&other).unwrap();
    fs::copy(
        inn.place().join("miner/manifests/first.json"),
        other.join("first.json"),
    )
    .unwrap();
    fs::write(inn.place().join("objects/notes.txt"), "mine").unwrap();
    let all = inn.objects();
    tidy(&inn, &inn.bucket(), 0).unwrap();
    tidy(&inn, &inn.bucket(), 9).unwrap();
    assert_eq!(inn.objects(), all);
}

#[test]
fn while_a_manifest_cannot_be_read_no_object_is_removed() {
    let inn = three();
    tidy(&inn, &inn.bucket(), 0).unwrap();
    let all = inn.objects();
    let other = inn.place().join("other/manifests");
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("x.json"), "{").unwrap();
    let message = tidy(&inn, &inn.bucket(), 9).unwrap_err().to_string();
    assert!(message.contains("other/manifests/x.json"), "{message}");
    assert_eq!(inn.objects(), all);
}

#[test]
fn the_newest_stays_however_few_are_to_be_kept() {
    let inn = three();
    fs::write(inn.place().join("miner/LATEST"), "first\n").unwrap();
    let mut bucket = inn.bucket();
    bucket.keep_last = 1;
    let tidied = tidy(&inn, &bucket, 0).unwrap();
    assert_eq!(tidied.snapshots, ["second"]);
    for snapshot in ["first", "third"] {
        let fetched = fetch(&bucket, &inn.empty_store(), Some(snapshot)).unwrap();
        assert_eq!(fetched.name, name(snapshot));
    }
}
