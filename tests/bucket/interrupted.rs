//! Uploads and fetches that are cut: by kill -9 of rclone at each of its calls, and in the middle of one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ostler::data::Bucket;

use crate::inventory::{Inn, data_of, fetch};
use crate::snapshots::picture;

/// The real rclone, killed as it begins its call number `at`, or `after` it has ended.
fn killed(inn: &Inn, at: u32, after: bool) -> Bucket {
    let program = inn.path("rclone");
    let count = inn.path("count");
    let _ = fs::remove_file(&count);
    let (count, work) = (count.display(), if after { "rclone \"$@\"" } else { ":" });
    let script = format!(
        "echo >> {count}\nif [ $(wc -l < {count}) = {at} ]; then {work}; kill -9 $$; fi\nexec rclone \"$@\"\n"
    );
    crate::inventory::script(&program, &script);
    Bucket {
        program,
        ..inn.bucket()
    }
}

/// Whoever reads `LATEST` finds all of what it names.
fn whatever_is_named_is_there(inn: &Inn) {
    if let Ok(latest) = fs::read_to_string(inn.place().join("miner/LATEST")) {
        let fetched = fetch(&inn.bucket(), &inn.empty_store(), None).unwrap();
        assert_eq!(format!("{}\n", fetched.name), latest);
    }
}

#[test]
fn an_upload_can_be_killed_as_each_of_its_calls_begins_and_is_continued() {
    an_upload_is_continued(false);
}

#[test]
fn an_upload_can_be_killed_as_each_of_its_calls_has_ended_and_is_continued() {
    an_upload_is_continued(true);
}

fn an_upload_is_continued(after: bool) {
    let mut kills = 0;
    for at in 1.. {
        let inn = Inn::new(150);
        inn.take("first");
        inn.upload(&inn.bucket(), "first").unwrap();
        inn.grow(60);
        inn.take("second");
        let outcome = inn.upload(&killed(&inn, at, after), "second");
        whatever_is_named_is_there(&inn);
        let before = inn.objects();
        let sent = inn.upload(&inn.bucket(), "second").unwrap();
        let new = inn.objects().len() - before.len();
        assert_eq!(
            sent.sent, new,
            "only what was missing is sent, killed at {at}"
        );
        let store = inn.empty_store();
        fetch(&inn.bucket(), &store, None).unwrap();
        assert_eq!(
            picture(&data_of(&store, "second")),
            picture(&data_of(&inn.store, "second"))
        );
        if outcome.is_ok() {
            break;
        }
        kills += 1;
    }
    assert!(kills >= 8, "{kills}");
}

/// As it is when the power goes while objects are on their way: some are there, one is half there.
#[test]
fn objects_that_are_half_there_are_sent_again_and_no_others() {
    let whole = Inn::new(250);
    whole.take("first");
    whole.upload(&whole.bucket(), "first").unwrap();
    let objects = whole.objects();
    let paths: Vec<_> = objects.keys().collect();
    for cut in 0..paths.len() {
        let bucket = crate::inventory::bucket(&whole.path(&format!("cut-{cut}")));
        let place = Path::new(&bucket.remote);
        for path in &paths[..=cut] {
            let to = place.join(path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(whole.place().join(path), to).unwrap();
        }
        let half = fs::OpenOptions::new()
            .write(true)
            .open(place.join(paths[cut]))
            .unwrap();
        half.set_len(objects[paths[cut]] / 2).unwrap();
        let sent = whole.upload(&bucket, "first").unwrap();
        assert_eq!(sent.sent, paths.len() - cut);
        let store = whole.empty_store();
        fetch(&bucket, &store, None).unwrap();
    }
}

#[test]
fn a_fetch_can_be_killed_at_each_of_its_calls_and_what_came_whole_is_not_fetched_again() {
    let inn = Inn::new(200);
    inn.take("first");
    inn.upload(&inn.bucket(), "first").unwrap();
    let mut kills = 0;
    for at in 1.. {
        let store = inn.empty_store();
        let killed = fetch(&killed(&inn, at, true), &store, None);
        if killed.is_ok() {
            break;
        }
        kills += 1;
        assert!(store.list().unwrap().is_empty());
        // What came whole is on the desk: it is there without the bucket's help.
        let there = fs::read_dir(store.path().join(".bucket/objects"));
        let all_came = there.is_ok_and(|mut items| items.next().is_some());
        let objects = inn.place().join("objects");
        if all_came {
            fs::rename(&objects, inn.place().join("away")).unwrap();
        }
        fetch(&inn.bucket(), &store, None).unwrap();
        if all_came {
            fs::rename(inn.place().join("away"), &objects).unwrap();
        }
        assert_eq!(
            picture(&data_of(&store, "first")),
            picture(&data_of(&inn.store, "first"))
        );
    }
    assert_eq!(kills, 3, "LATEST, the manifest, the objects");
}

/// The whole picture of the bucket stays what it is when an upload fails before it begins to write.
#[test]
fn a_failed_listing_writes_nothing() {
    let inn = Inn::new(150);
    inn.take("first");
    assert!(inn.upload(&killed(&inn, 1, false), "first").is_err());
    assert_eq!(inn.listing(), BTreeMap::new());
}
