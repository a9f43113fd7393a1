use super::super::place::Method;
use super::super::tree::Attributes;
use super::*;

fn entry(path: &str, kind: Kind) -> FileRecord {
    let is_file = !matches!(kind, Kind::Directory | Kind::Symlink);
    FileRecord {
        path: path.parse().unwrap(),
        kind,
        method: Method::Copy,
        size: 0,
        blake3: is_file.then(|| blake3::hash(b"")),
        target: (kind == Kind::Symlink).then(|| "/etc".to_owned()),
        attributes: Attributes {
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 0,
            mtime_nanos: 0,
        },
    }
}

fn manifest(files: Vec<FileRecord>) -> Manifest {
    Manifest {
        format: FORMAT,
        name: "one".parse().unwrap(),
        sequence: 1,
        workload: Workload {
            kind: "harmony".to_owned(),
            identity: BTreeMap::from([("shard".to_owned(), "0".to_owned())]),
        },
        cut_time: Timestamp::parse("2026-01-31T12:00:00Z").unwrap(),
        clock_synced: true,
        height: None,
        clean: true,
        way: Way::Link,
        include: Vec::new(),
        databases: Vec::new(),
        files: files.into_iter().collect(),
        total_bytes: 0,
        verification: Verification {
            level: Level::L3,
            checked: 0,
            opaque: Vec::new(),
        },
        timings: Timings::default(),
        previous: None,
        digest: String::new(),
    }
}

/// Written and read again.
fn round(mut manifest: Manifest) -> Result<Manifest, Error> {
    let directory = tempfile::tempdir().unwrap();
    manifest.store(directory.path()).unwrap();
    Manifest::load(directory.path()).inspect(|loaded| assert_eq!(*loaded, manifest))
}

#[test]
fn it_reads_what_it_wrote() {
    let files = vec![
        entry(".", Kind::Directory),
        entry("a", Kind::Directory),
        entry("a-file", Kind::Other),
        entry("a/b", Kind::Table),
        entry("link", Kind::Symlink),
    ];
    let loaded = round(manifest(files)).unwrap();
    for file in &loaded.files {
        assert_eq!(loaded.files.find(&file.path).as_ref(), Some(&file));
    }
    assert_eq!(loaded.files.find(&"a/c".parse().unwrap()), None);
}

#[test]
fn entries_that_could_lead_out_are_refused() {
    let root = || entry(".", Kind::Directory);
    for (what, files) in [
        ("no root", vec![entry("a", Kind::Other)]),
        ("two roots", vec![root(), root()]),
        (
            "twice",
            vec![root(), entry("a", Kind::Other), entry("a", Kind::Directory)],
        ),
        (
            "not sorted",
            vec![root(), entry("b", Kind::Other), entry("a", Kind::Other)],
        ),
        (
            "below a symbolic link",
            vec![
                root(),
                entry("a", Kind::Symlink),
                entry("a/passwd", Kind::Other),
            ],
        ),
        (
            "below a file",
            vec![root(), entry("a", Kind::Other), entry("a/b", Kind::Other)],
        ),
        ("below nothing", vec![root(), entry("a/b", Kind::Other)]),
        (
            "no hash",
            vec![
                root(),
                FileRecord {
                    blake3: None,
                    ..entry("a", Kind::Other)
                },
            ],
        ),
        (
            "no target",
            vec![
                root(),
                FileRecord {
                    target: None,
                    ..entry("a", Kind::Symlink)
                },
            ],
        ),
    ] {
        let refused = round(manifest(files)).unwrap_err();
        assert!(matches!(refused, Error::Record { .. }), "{what}: {refused}");
    }
}

#[test]
fn what_is_no_hash_is_refused() {
    let mut good = manifest(vec![
        entry(".", Kind::Directory),
        entry("victim", Kind::Other),
    ]);
    let directory = tempfile::tempdir().unwrap();
    good.store(directory.path()).unwrap();
    let path = directory.path().join(FILE);
    let text = fs::read_to_string(&path).unwrap();
    let hash = blake3::hash(b"").to_hex();
    assert!(text.contains(hash.as_str()));
    let text = text.replace(hash.as_str(), "../x");
    crate::durable::write(&path, text.as_bytes(), 0o600).unwrap();
    let refused = Manifest::load(directory.path()).unwrap_err();
    assert!(matches!(refused, Error::Record { .. }), "{refused}");
}

#[test]
fn hostile_paths_are_refused_before_anything_else() {
    let mut good = manifest(vec![
        entry(".", Kind::Directory),
        entry("victim", Kind::Other),
    ]);
    for hostile in ["../victim", "/etc/victim", "a/../victim", "..", ""] {
        let directory = tempfile::tempdir().unwrap();
        good.store(directory.path()).unwrap();
        let text = fs::read_to_string(directory.path().join(FILE)).unwrap();
        let text = text.replace("\"victim\"", &format!("\"{hostile}\""));
        crate::durable::write(&directory.path().join(FILE), text.as_bytes(), 0o600).unwrap();
        let refused = Manifest::load(directory.path()).unwrap_err();
        assert!(
            refused.to_string().contains("path inside the data"),
            "{refused}"
        );
    }
}

#[test]
fn a_snapshot_of_something_else_is_refused() {
    let manifest = manifest(Vec::new());
    let mut wanted = manifest.workload.clone();
    manifest.refuse_other(&wanted).unwrap();
    wanted.identity.insert("shard".to_owned(), "1".to_owned());
    let refused = manifest.refuse_other(&wanted).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "snapshot one has shard 0, here it is 1"
    );
    wanted.identity.clear();
    wanted.kind = "helium".to_owned();
    assert!(manifest.refuse_other(&wanted).is_err());
    let mut network = manifest.workload.clone();
    network
        .identity
        .insert("network".to_owned(), "mainnet".to_owned());
    assert!(
        manifest.refuse_other(&network).is_err(),
        "a fact that the snapshot does not have"
    );
}
