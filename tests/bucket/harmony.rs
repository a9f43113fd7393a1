//! Harmony's own layout.

use std::fs;

use ostler::clock::Timestamp;
use ostler::data::bucket::Layout;
use ostler::data::bucket::harmony::{DbType, Identity};
use ostler::data::{Bucket, Control, Manifest};

use crate::chain::Engine;
use crate::inventory::{Inn, data_of, miner};

fn layout(inn: &Inn) -> Bucket {
    let identity = Identity {
        db_type: None,
        shard: None,
    };
    Bucket {
        layout: Layout::Harmony(identity),
        ..inn.bucket()
    }
}

/// The folder as Harmony's tool names it: `strftime("%y-%m-%d-%H-%M-%S")` in UTC, then the height.
fn folder(manifest: &Manifest) -> String {
    let seconds = manifest.cut_time.unix_seconds();
    let time = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{seconds}"), "+%y-%m-%d-%H-%M-%S"])
        .output()
        .unwrap();
    let time = String::from_utf8(time.stdout).unwrap();
    format!("pruned/0/harmony_db_0.{}.4711", time.trim())
}

#[test]
fn the_listing_is_that_of_harmonys_tool_and_the_mark_comes_last() {
    let inn = Inn::new(250);
    let manifest = inn.take("first");
    let sent = inn.upload(&layout(&inn), "first").unwrap();
    assert_eq!(sent.compared_by, "md5");
    let folder = folder(&manifest);
    let mut expected: Vec<_> = fs::read_dir(data_of(&inn.store, "first").join("harmony_db_0"))
        .unwrap()
        .map(|item| format!("{folder}/{}", item.unwrap().file_name().to_str().unwrap()))
        .collect();
    expected.push(format!("{folder}/COMPLETE"));
    expected.sort();
    assert_eq!(inn.listing().into_keys().collect::<Vec<_>>(), expected);
    // Harmony's restore takes the folder as it is.
    let copy = inn.path("restored");
    fs::rename(inn.place().join(&folder), &copy).unwrap();
    assert_eq!(Engine::LevelDb.verify(&copy).unwrap(), 249);
}

#[test]
fn a_folder_that_was_cut_is_finished_and_a_complete_one_left_alone() {
    let inn = Inn::new(250);
    let manifest = inn.take("first");
    let folder = inn.place().join(folder(&manifest));
    inn.upload(&layout(&inn), "first").unwrap();
    let listing = inn.listing();
    fs::remove_file(folder.join("COMPLETE")).unwrap();
    fs::remove_file(folder.join("CURRENT")).unwrap();
    let sent = inn.upload(&layout(&inn), "first").unwrap();
    assert_eq!(sent.sent, 1);
    assert_eq!(inn.listing(), listing);
    assert!(inn.upload(&layout(&inn), "first").unwrap().already);
}

#[test]
fn enough_newer_folders_retire_the_oldest_and_what_is_not_ours_stays() {
    let inn = Inn::new(150);
    let foreign = inn
        .place()
        .join("pruned/0/harmony_db_0.20-05-27-01-02-03.17");
    fs::create_dir_all(&foreign).unwrap();
    fs::write(foreign.join("CURRENT"), "MANIFEST-000001\n").unwrap();
    let mut bucket = layout(&inn);
    bucket.keep_last = 1;
    let manifest = inn.take("first");
    inn.upload(&bucket, "first").unwrap();
    // A newer one, which was sent from elsewhere.
    let newer = inn
        .place()
        .join("pruned/0/harmony_db_0.40-01-01-00-00-00.9999");
    fs::create_dir_all(&newer).unwrap();
    fs::write(newer.join("COMPLETE"), "{}").unwrap();
    let control = &mut Control::unlimited();
    let tidied = bucket
        .tidy(&inn.store, &miner(), Timestamp::now(), control)
        .unwrap();
    assert_eq!(tidied.snapshots.len(), 1);
    assert!(!inn.place().join(folder(&manifest)).exists());
    assert!(newer.exists() && foreign.join("CURRENT").exists());
}

#[test]
fn a_name_that_cannot_be_given_is_refused_before_anything_is_sent() {
    let inn = Inn::new(150);
    inn.take("first");
    let mut bucket = layout(&inn);
    bucket.layout = Layout::Harmony(Identity {
        db_type: Some(DbType::Archival),
        shard: Some(3),
    });
    let message = inn.upload(&bucket, "first").unwrap_err().to_string();
    assert!(message.contains("harmony_db_3"), "{message}");
    assert!(inn.listing().is_empty());
}
