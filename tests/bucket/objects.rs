//! Upload and fetch, when nothing goes wrong.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use ostler::data::store::Stored;
use ostler::data::{Control, Error, Level, Manifest, verify};

use crate::chain::Engine;
use crate::inventory::{Inn, data_of, fetch, miner};
use crate::snapshots::{name, picture, private_copy, workload};

fn contents(manifest: &Manifest) -> BTreeSet<(String, u64)> {
    let files = manifest.files.iter().filter(|file| file.size > 0);
    files
        .filter_map(|file| Some((file.blake3?.to_hex().to_string(), file.size)))
        .collect()
}

#[test]
fn a_second_upload_sends_only_what_is_new() {
    let inn = Inn::new(300);
    let first = inn.take("first");
    let sent = inn.upload(&inn.bucket(), "first").unwrap();
    assert_eq!(sent.sent, contents(&first).len());
    assert_eq!(sent.compared_by, "md5");
    assert!(!sent.already);

    inn.grow(100);
    let second = inn.take("second");
    let new: u64 = contents(&second)
        .difference(&contents(&first))
        .map(|(_, size)| size)
        .sum();
    assert!(0 < new && new < second.total_bytes, "{new}");
    let before: u64 = inn.objects().values().sum();
    let sent = inn.upload(&inn.bucket(), "second").unwrap();
    assert_eq!(sent.sent_bytes, new);
    let after: u64 = inn.objects().values().sum();
    assert_eq!(after - before, new);

    let again = inn.upload(&inn.bucket(), "second").unwrap();
    assert!(again.already);
    assert_eq!((again.sent, again.sent_bytes), (0, 0));
}

#[test]
fn the_bucket_holds_objects_manifests_and_the_newest_name() {
    let inn = Inn::new(250);
    let manifest = inn.take("first");
    inn.upload(&inn.bucket(), "first").unwrap();
    let mut expected: Vec<_> = contents(&manifest)
        .iter()
        .map(|(hash, _)| format!("objects/{}/{hash}", &hash[..2]))
        .collect();
    expected.extend(["miner/LATEST", "miner/manifests/first.json"].map(str::to_owned));
    expected.sort();
    assert_eq!(inn.listing().into_keys().collect::<Vec<_>>(), expected);
    let latest = fs::read_to_string(inn.place().join("miner/LATEST")).unwrap();
    assert_eq!(latest, "first\n");
    for path in inn.objects().keys() {
        let hash = blake3::hash(&fs::read(inn.place().join(path)).unwrap());
        assert!(path.ends_with(hash.to_hex().as_str()), "{path}");
    }
}

#[test]
fn what_is_fetched_is_what_was_captured_and_opens() {
    let inn = Inn::new(300);
    fs::create_dir(inn.data.join("empty")).unwrap();
    for twin in ["one", "two"] {
        fs::copy(inn.data.join("harmony_db_0/CURRENT"), inn.data.join(twin)).unwrap();
    }
    fs::File::create(inn.data.join("nothing")).unwrap();
    std::os::unix::fs::symlink("one", inn.data.join("link")).unwrap();
    let manifest = inn.take("first");
    inn.upload(&inn.bucket(), "first").unwrap();

    let store = inn.empty_store();
    assert_eq!(
        fetch(&inn.bucket(), &store, None).unwrap().digest,
        manifest.digest
    );
    let fetched = data_of(&store, "first");
    assert_eq!(picture(&fetched), picture(&data_of(&inn.store, "first")));
    let stored = store.list().unwrap();
    assert!(stored.iter().all(Stored::is_good) && stored.len() == 1);
    let control = &mut Control::unlimited();
    let report = verify(&store, &name("first"), Level::L3, control).unwrap();
    assert_eq!(report.damages, []);
    // An engine opens a private copy only, as everywhere.
    let copy = inn.path("copy");
    private_copy(&fetched.join("harmony_db_0"), &copy);
    assert_eq!(Engine::LevelDb.verify(&copy).unwrap(), 299);
    // A second fetch has nothing to do.
    fs::remove_dir_all(inn.place().join("objects")).unwrap();
    fetch(&inn.bucket(), &store, Some("first")).unwrap();
}

#[test]
fn an_upload_changes_nothing_of_the_snapshot_nor_of_what_is_linked_to_it() {
    let inn = Inn::new(250);
    inn.take("first");
    let changed = || {
        let tree = picture(&inn.data).into_keys();
        let times = tree.map(|path| {
            fs::symlink_metadata(inn.data.join(path))
                .unwrap()
                .ctime_nsec()
        });
        (picture(&inn.data), times.collect::<Vec<_>>())
    };
    let before = (changed(), picture(&data_of(&inn.store, "first")));
    inn.upload(&inn.bucket(), "first").unwrap();
    assert_eq!((changed(), picture(&data_of(&inn.store, "first"))), before);
}

#[test]
fn an_older_snapshot_does_not_become_the_newest() {
    let inn = Inn::new(200);
    inn.take("first");
    inn.grow(50);
    inn.take("second");
    inn.upload(&inn.bucket(), "second").unwrap();
    inn.upload(&inn.bucket(), "first").unwrap();
    let store = inn.empty_store();
    assert_eq!(
        fetch(&inn.bucket(), &store, None).unwrap().name,
        name("second")
    );
    assert_eq!(
        fetch(&inn.bucket(), &store, Some("first")).unwrap().name,
        name("first")
    );
}

#[test]
fn another_snapshot_of_the_same_name_is_refused_and_left_alone() {
    let inn = Inn::new(200);
    inn.take("first");
    inn.upload(&inn.bucket(), "first").unwrap();
    let listing = inn.listing();
    let other = Inn::new(210);
    other.take("first");
    let error = other.upload(&inn.bucket(), "first").unwrap_err();
    assert!(matches!(error, Error::InBucket { .. }), "{error}");
    assert_eq!(inn.listing(), listing);
}

#[test]
fn what_is_of_another_workload_is_not_fetched() {
    let inn = Inn::new(200);
    inn.take("first");
    inn.upload(&inn.bucket(), "first").unwrap();
    let (store, control) = (inn.empty_store(), &mut Control::unlimited());
    let bucket = inn.bucket();
    let error = bucket
        .fetch(&store, &miner(), &workload("1"), None, 0, control)
        .unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn a_plan_touches_nothing() {
    let inn = Inn::new(200);
    let manifest = inn.take("first");
    let control = &mut Control::unlimited();
    let plan = inn
        .bucket()
        .upload(&inn.store, &miner(), &name("first"), true, control)
        .unwrap();
    assert_eq!(plan.sent, contents(&manifest).len());
    assert!(inn.listing().is_empty());
}

#[test]
fn a_snapshot_that_is_being_sent_is_not_removed() {
    let inn = Inn::new(200);
    inn.take("first");
    let pin = inn.store.pin(&name("first")).unwrap();
    let control = &mut Control::unlimited();
    let exclusive = inn.store.lock(control).unwrap();
    let refused = exclusive.remove(&name("first"), control).unwrap_err();
    assert!(matches!(refused, Error::Busy { .. }), "{refused}");
    assert!(inn.store.list().unwrap()[0].pinned);
    drop(pin);
    exclusive.remove(&name("first"), control).unwrap();
    assert!(inn.store.list().unwrap().is_empty());
}
