use std::os::unix::fs::MetadataExt;

use super::*;

fn identity(path: &Path) -> Identity {
    Identity::of(&fs::symlink_metadata(path).unwrap())
}

fn put(path: &Path, content: &[u8]) {
    File::create(path).unwrap().write_all(content).unwrap();
}

#[test]
fn what_exists_is_never_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    put(&from, b"new");
    put(&to, b"old");
    // As a linked name would be: a truncation through it would hit the live file.
    let live = directory.path().join("live");
    fs::hard_link(&to, &live).unwrap();
    let mut control = Control::unlimited();
    assert_eq!(
        link(&from, &to, identity(&from)).unwrap_err().kind(),
        Some(io::ErrorKind::AlreadyExists)
    );
    assert_eq!(
        reflink(&from, &to, None).unwrap_err().kind(),
        Some(io::ErrorKind::AlreadyExists)
    );
    assert_eq!(
        copy(&from, &to, None, None, &mut control)
            .unwrap_err()
            .kind(),
        Some(io::ErrorKind::AlreadyExists)
    );
    assert_eq!(
        write(&to, b"new", None).unwrap_err().kind(),
        Some(io::ErrorKind::AlreadyExists)
    );
    assert_eq!(fs::read(&live).unwrap(), b"old");
    // Nor is it written through a symbolic link that leads nowhere.
    let dangling = directory.path().join("dangling");
    std::os::unix::fs::symlink(directory.path().join("target"), &dangling).unwrap();
    assert!(write(&dangling, b"new", None).is_err());
    assert!(!directory.path().join("target").exists());
}

#[test]
fn a_link_to_another_file_than_was_meant_is_taken_back() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    put(&from, b"one");
    let meant = identity(&from);
    fs::remove_file(&from).unwrap();
    put(&directory.path().join("other"), b"x");
    put(&from, b"another");
    assert_eq!(
        link(&from, &to, meant).unwrap_err().kind(),
        Some(io::ErrorKind::NotFound)
    );
    assert!(!to.exists());
    assert_eq!(fs::metadata(&from).unwrap().nlink(), 1);
}

#[test]
fn a_symbolic_link_is_not_followed_for_reading() {
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("from");
    std::os::unix::fs::symlink("/etc/passwd", &from).unwrap();
    assert!(
        copy(
            &from,
            &directory.path().join("to"),
            None,
            None,
            &mut Control::unlimited()
        )
        .is_err()
    );
}

#[test]
fn the_hash_of_a_copy_is_that_of_its_bytes_with_holes_and_limits() {
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("from");
    let mut file = File::create(&from).unwrap();
    file.set_len(3 << 20).unwrap();
    file.seek(SeekFrom::Start(1 << 20)).unwrap();
    file.write_all(b"in the middle").unwrap();
    for (name, limit) in [
        ("all", None),
        ("part", Some((1 << 20) + 5)),
        ("hole", Some(1000)),
        ("none", Some(0)),
        ("more", Some(9 << 20)),
    ] {
        let to = directory.path().join(name);
        let placed = copy(&from, &to, limit, None, &mut Control::unlimited()).unwrap();
        let content = fs::read(&to).unwrap();
        assert_eq!(placed.size, limit.unwrap_or(3 << 20).min(3 << 20));
        assert_eq!(content.len() as u64, placed.size);
        assert_eq!(placed.hash, Some(blake3::hash(&content)), "{name}");
        assert_eq!(content, fs::read(&from).unwrap()[..content.len()]);
    }
}

#[test]
fn an_interrupted_copy_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    put(&from, &[7; 1 << 20]);
    let mut control = Control::unlimited().within(std::time::Duration::ZERO);
    assert!(matches!(
        copy(&from, &to, None, None, &mut control),
        Err(Error::Interrupted(_))
    ));
    assert!(!to.exists());
}
