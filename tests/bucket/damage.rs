//! A bucket that is damaged, or in a stranger's hands.

use std::fs;
use std::path::PathBuf;

use ostler::data::{Error, Store};
use serde_json::Value;

use crate::inventory::{Inn, fetch};
use crate::snapshots::name;

fn sent() -> (Inn, Store) {
    let inn = Inn::new(250);
    inn.take("first");
    inn.upload(&inn.bucket(), "first").unwrap();
    let store = inn.empty_store();
    (inn, store)
}

/// Nothing of a fetch that failed is a snapshot.
fn refused(inn: &Inn, store: &Store) -> String {
    let error = fetch(&inn.bucket(), store, None).unwrap_err();
    assert!(store.list().unwrap().is_empty(), "{error}");
    error.to_string()
}

fn largest(inn: &Inn) -> PathBuf {
    let objects = inn.objects();
    let (path, _) = objects.iter().max_by_key(|(_, size)| **size).unwrap();
    inn.place().join(path)
}

#[test]
fn a_damaged_object_is_found_and_its_file_is_named() {
    type Harm = fn(&mut Vec<u8>);
    let harms: [Harm; 3] = [
        |content| content[100] ^= 1,
        |content| content.truncate(content.len() / 2),
        |content| content.extend(b"more"),
    ];
    for harm in harms {
        let (inn, store) = sent();
        let object = largest(&inn);
        let mut content = fs::read(&object).unwrap();
        harm(&mut content);
        fs::write(&object, content).unwrap();
        let message = refused(&inn, &store);
        assert!(message.contains("harmony_db_0/"), "{message}");
        assert!(message.contains("not what was captured"), "{message}");
    }
}

#[test]
fn a_missing_object_is_found() {
    let (inn, store) = sent();
    fs::remove_file(largest(&inn)).unwrap();
    assert!(refused(&inn, &store).contains("missing"));
}

#[test]
fn an_object_that_was_damaged_is_sent_again_by_the_next_upload() {
    let (inn, store) = sent();
    let object = largest(&inn);
    let content = fs::read(&object).unwrap();
    fs::write(&object, &content[..10]).unwrap();
    let sent = inn.upload(&inn.bucket(), "first").unwrap();
    assert_eq!((sent.sent, sent.already), (1, false));
    assert_eq!(fs::read(&object).unwrap(), content);
    fetch(&inn.bucket(), &store, None).unwrap();
}

#[test]
fn what_an_interrupted_upload_left_is_compared_before_a_manifest_names_it() {
    let inn = Inn::new(250);
    let manifest = inn.take("first");
    // Of the right size, and not what it should be: no manifest vouches for it.
    let file = manifest.files.iter().find(|file| file.size > 1000).unwrap();
    let hash = file.blake3.unwrap();
    let name = hash.to_hex();
    let object = inn.place().join(format!("objects/{}/{name}", &name[..2]));
    fs::create_dir_all(object.parent().unwrap()).unwrap();
    fs::write(&object, vec![0; file.size as usize]).unwrap();
    inn.upload(&inn.bucket(), "first").unwrap();
    let now = blake3::hash(&fs::read(object).unwrap());
    assert_eq!(now, hash);
}

#[test]
fn a_manifest_in_a_strangers_hands_leads_nowhere() {
    type Forge = fn(&mut Value);
    let forgeries: [(&str, Forge); 5] = [
        ("component", |m| {
            m["files"][1]["path"] = "../../../etc/cron.d/x".into()
        }),
        ("absolute", |m| m["files"][1]["path"] = "/etc/passwd".into()),
        ("order", |m| m["files"][2]["path"] = "a".into()),
        ("snapshot other", |m| m["name"] = "other".into()),
        ("format", |m| m["format"] = 2.into()),
    ];
    for (told, forge) in forgeries {
        let (inn, store) = sent();
        let path = inn.place().join("miner/manifests/first.json");
        let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        forge(&mut manifest);
        fs::write(&path, signed(manifest)).unwrap();
        let message = refused(&inn, &store);
        assert!(message.contains(told), "{told}: {message}");
        assert!(message.contains("miner/manifests/first.json"), "{message}");
    }
}

/// With a digest that is right for what the manifest says now.
fn signed(mut manifest: Value) -> Vec<u8> {
    manifest["digest"] = "".into();
    let fixed = serde_json::from_value::<ostler::data::Manifest>(manifest.clone());
    if let Ok(fixed) = fixed {
        let content = serde_json::to_vec(&fixed).unwrap();
        manifest["digest"] = blake3::hash(&content).to_hex().as_str().into();
    }
    serde_json::to_vec(&manifest).unwrap()
}

#[test]
fn a_name_that_leads_out_of_the_bucket_is_no_name() {
    for latest in ["../../x\n", "", "first\nsecond", "\0"] {
        let (inn, store) = sent();
        fs::write(inn.place().join("miner/LATEST"), latest).unwrap();
        let message = refused(&inn, &store);
        assert!(message.contains("miner/LATEST"), "{message}");
        // Whoever knows the name still gets it.
        fetch(&inn.bucket(), &store, Some("first")).unwrap();
    }
}

#[test]
fn a_snapshot_that_is_bad_is_neither_sent_nor_in_the_way_of_a_good_one() {
    let (inn, store) = sent();
    fetch(&inn.bucket(), &store, None).unwrap();
    store.mark_bad(&name("first"), "the disk lies").unwrap();
    let fetched = fetch(&inn.bucket(), &store, None).unwrap();
    assert!(store.get(&fetched.name).is_ok());
    inn.store.mark_bad(&name("first"), "the disk lies").unwrap();
    let error = inn.upload(&inn.bucket(), "first").unwrap_err();
    assert!(matches!(error, Error::Bad { .. }), "{error}");
}
