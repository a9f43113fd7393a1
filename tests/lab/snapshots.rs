//! Taking snapshots as the operation engine does, and comparing trees.

#![allow(dead_code, reason = "each suite uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ostler::clock::Timestamp;
use ostler::data::tree::{Node, Tree};
use ostler::data::{
    Control, Cut, Error, Facts, Manifest, Options, Source, Store, Timings, Way, Workload,
};
use ostler::protocol::Name;

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub fn options(snapshot: &str, way: Option<Way>) -> Options {
    Options {
        name: name(snapshot),
        way,
        reserve: 1 << 20,
    }
}

pub fn facts() -> Facts {
    Facts {
        workload: workload("0"),
        cut_time: Timestamp::now(),
        clock_synced: true,
        height: Some(4711),
        timings: Timings::default(),
    }
}

pub fn workload(shard: &str) -> Workload {
    Workload {
        kind: "harmony".to_owned(),
        identity: BTreeMap::from([
            ("network".to_owned(), "mainnet".to_owned()),
            ("shard".to_owned(), shard.to_owned()),
        ]),
    }
}

/// A whole cut of a workload that has stopped.
pub fn take(
    source: &Source,
    store: &Store,
    snapshot: &str,
    way: Option<Way>,
) -> Result<Manifest, Error> {
    let mut control = Control::unlimited();
    let mut cut = Cut::prepare(source.clone(), store, options(snapshot, way), &mut control)?;
    cut.warm(&mut control)?;
    cut.cold(true, &mut control)?;
    cut.seal(facts(), &mut control)
}

/// A whole cut of a workload that runs.
pub fn take_hot(source: &Source, store: &Store, snapshot: &str) -> Result<Manifest, Error> {
    let mut control = Control::unlimited();
    let mut cut = Cut::prepare(
        source.clone(),
        store,
        options(snapshot, Some(Way::Hot)),
        &mut control,
    )?;
    cut.hot(&mut control)?;
    cut.seal(facts(), &mut control)
}

/// Every path with what it is: content, target, mode, owner, time of change.
pub fn picture(root: &Path) -> BTreeMap<String, String> {
    let tree = Tree::walk(root, &|_| false, &Control::unlimited()).unwrap();
    tree.entries
        .iter()
        .map(|entry| {
            let content = match &entry.node {
                Node::File => blake3::hash(&fs::read(entry.path.below(root)).unwrap())
                    .to_hex()
                    .to_string(),
                Node::Directory => "directory".to_owned(),
                Node::Symlink(target) => format!("-> {target}"),
            };
            let a = entry.attributes;
            let dress = format!(
                "{:o} {}:{} {}.{}",
                a.mode, a.uid, a.gid, a.mtime, a.mtime_nanos
            );
            (entry.path.to_string(), format!("{content} {dress}"))
        })
        .collect()
}

/// A private copy of a tree, which an engine may open.
pub fn private_copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp")
        .args(["-a", "--reflink=never", "--no-preserve=links"])
        .arg(from)
        .arg(to)
        .status()
        .unwrap();
    assert!(status.success());
}
