//! A disk that keeps a record of all that reaches it, so that any instant of its past can be had again.
//!
//! It is a plugin of `nbdkit`, shown as a file by `nbdfuse` (Debian packages `nbdkit-plugin-python`, `libnbd-bin`), and a loop
//! device on that file is the disk that a machine mounts. The kernel's flushes reach it, so the record tells what a real disk
//! would have promised to keep at each instant and what not.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Enough for a small chain, its snapshots and the copies that a restore stages.
const SIZE: u64 = 96 << 20;

/// How long it may take to appear.
const START: Duration = Duration::from_secs(60);

/// What reached the disk.
pub enum Event {
    /// Bytes at an offset: in the disk's cache, to be lost with the power.
    Write(u64, Vec<u8>),
    /// All that was written before this is on the disk.
    Flush,
}

/// What was on the disk in the beginning, and what reached it since.
pub struct Record {
    pub blank: Vec<u8>,
    pub events: Vec<Event>,
    /// How much of the record's file ends with each event: where [`Disk::position`] puts it.
    pub ends: Vec<u64>,
}

/// The disk, where it is mounted.
pub struct Disk {
    directory: TempDir,
    server: Child,
}

impl Disk {
    /// One with an empty ext4 on it.
    pub fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("ostler-disk-")
            .tempdir_in("/tmp")
            .unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::File::create(at("blank"))
            .unwrap()
            .set_len(SIZE)
            .unwrap();
        let made = Command::new("mkfs.ext4")
            .arg("-q")
            .arg(at("blank"))
            .status();
        assert!(made.expect("mkfs.ext4").success());
        fs::create_dir(at("shown")).unwrap();
        let plugin = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/power_cuts/recorder.py");
        let server = Command::new("nbdfuse")
            .arg(at("shown/disk"))
            .args(["[", "nbdkit", "--exit-with-parent", "python", plugin])
            .arg(format!("image={}", at("blank").display()))
            .arg(format!("record={}", at("record").display()))
            .arg("]")
            .stdin(Stdio::null())
            .spawn()
            .expect("nbdfuse");
        let disk = Self { directory, server };
        let started = Instant::now();
        while !disk.file().exists() {
            assert!(started.elapsed() < START, "nbdfuse does not show the disk");
            std::thread::sleep(Duration::from_millis(20));
        }
        disk
    }

    /// The file that a loop device can stand on.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("shown/disk")
    }

    /// How much has reached it so far, in bytes of its record.
    pub fn position(&self) -> u64 {
        self.directory
            .path()
            .join("record")
            .metadata()
            .unwrap()
            .len()
    }

    /// The record up to a position.
    pub fn record(&self, until: u64) -> Record {
        let at = |name: &str| self.directory.path().join(name);
        let mut bytes = fs::read(at("record")).unwrap();
        bytes.truncate(until.try_into().unwrap());
        let (events, ends) = events(&bytes);
        Record {
            blank: fs::read(at("blank")).unwrap(),
            events,
            ends,
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, for the loop device may need a moment to let go.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.directory.path().join("shown"))
            .status();
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// As `recorder.py` writes them.
fn events(mut bytes: &[u8]) -> (Vec<Event>, Vec<u64>) {
    const FLUSH: u64 = u64::MAX;
    let (mut events, mut ends, mut end) = (Vec::new(), Vec::new(), 0);
    while let Some((head, rest)) = bytes.split_at_checked(12) {
        let offset = u64::from_le_bytes(head[..8].try_into().unwrap());
        let length = u32::from_le_bytes(head[8..].try_into().unwrap()) as usize;
        let Some((data, rest)) = rest.split_at_checked(length) else {
            break;
        };
        events.push(match offset {
            FLUSH => Event::Flush,
            offset => Event::Write(offset, data.to_vec()),
        });
        end += 12 + length as u64;
        ends.push(end);
        bytes = rest;
    }
    (events, ends)
}

/// Puts bytes where they belong.
pub fn put(content: &mut [u8], offset: u64, data: &[u8]) {
    let offset = usize::try_from(offset).unwrap();
    content[offset..offset + data.len()].copy_from_slice(data);
}

/// Writes an image, with holes where it is empty.
pub fn write_image(path: &Path, content: &[u8]) -> io::Result<()> {
    const PIECE: usize = 64 * 1024;
    let file = fs::File::create(path)?;
    file.set_len(content.len() as u64)?;
    for (number, piece) in content.chunks(PIECE).enumerate() {
        if piece.iter().any(|byte| *byte != 0) {
            file.write_all_at(piece, (number * PIECE) as u64)?;
        }
    }
    Ok(())
}
