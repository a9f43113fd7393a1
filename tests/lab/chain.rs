//! Real databases: small programs around LevelDB, goleveldb and RocksDB that write a chain and verify it.

#![allow(dead_code, reason = "each suite uses its part")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Which engine writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::enum_variant_names, reason = "these are their names")]
pub enum Engine {
    LevelDb,
    GoLevelDb,
    RocksDb,
}

pub const ALL: [Engine; 3] = [Engine::LevelDb, Engine::GoLevelDb, Engine::RocksDb];

impl Engine {
    /// The program around it. It is static, and so runs on any machine of the lab.
    pub fn program(self) -> PathBuf {
        built().join(match self {
            Self::LevelDb => "leveldb",
            Self::GoLevelDb => "goleveldb",
            Self::RocksDb => "rocksdb",
        })
    }

    fn run(self, what: &str, directory: &Path, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(self.program())
            .arg(what)
            .arg(directory)
            .args(arguments)
            .output()
            .expect("the engine program starts");
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match output.status.success() {
            true => Ok(text),
            false => Err(format!(
                "{text} {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )),
        }
    }

    /// Appends `count` blocks and closes in order.
    pub fn fill(self, directory: &Path, count: u32, options: &[&str]) {
        let count = count.to_string();
        let arguments: Vec<&str> = std::iter::once(count.as_str())
            .chain(options.iter().copied())
            .collect();
        self.run("fill", directory, &arguments).unwrap();
    }

    /// Opens the database and reads everything back: the head, or what is wrong. Never for a snapshot with links.
    pub fn verify(self, directory: &Path) -> Result<i64, String> {
        self.verify_with(directory, &[])
    }

    /// The same for the copy of a database that was running, whose log may end anywhere.
    pub fn verify_hot(self, directory: &Path) -> Result<i64, String> {
        self.verify_with(directory, &["running"])
    }

    fn verify_with(self, directory: &Path, options: &[&str]) -> Result<i64, String> {
        let answer = self.run("verify", directory, options)?;
        answer
            .strip_prefix("ok ")
            .and_then(|head| head.parse().ok())
            .ok_or(answer)
    }

    /// Compacts everything (LevelDB and RocksDB).
    pub fn compact(self, directory: &Path, options: &[&str]) {
        self.run("compact", directory, options).unwrap();
    }

    /// Starts a writer, which is ready when this returns.
    pub fn start(self, directory: &Path, options: &[&str]) -> Writer {
        let mut child = Command::new(self.program())
            .arg("run")
            .arg(directory)
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line.trim(), "ready");
        Writer { child }
    }
}

/// A running writer; killed when dropped.
pub struct Writer {
    child: Child,
}

impl Writer {
    /// Asks it to close and waits until it has.
    pub fn stop(mut self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Builds the programs, where a source is newer, into the target directory; gives the directory.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("engines");
        fs::create_dir_all(&directory).unwrap();
        // Several test processes may get here at once. In a machine of the lab all is there, and cannot be written.
        match File::create(directory.join("lock")) {
            Ok(lock) => lock.lock().unwrap(),
            Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => return directory,
            Err(error) => panic!("{}: {error}", directory.display()),
        }
        let cc = sources.join("engine.cc");
        let go = sources.join("engine.go");
        build(
            &cc,
            &directory.join("leveldb"),
            &["g++", "-O1", "-std=c++17", "-static"],
            &["-lleveldb", "-lsnappy", "-lpthread"],
        );
        build(
            &cc,
            &directory.join("rocksdb"),
            &["g++", "-O1", "-std=c++17", "-static", "-DROCKSDB"],
            &[
                "-lrocksdb",
                "-lsnappy",
                "-llz4",
                "-lzstd",
                "-lbz2",
                "-lz",
                "-lpthread",
            ],
        );
        build(&go, &directory.join("goleveldb"), &["go", "build"], &[]);
        directory
    })
}

fn build(source: &Path, program: &Path, command: &[&str], libraries: &[&str]) {
    let changed = |path: &Path| {
        fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .ok()
    };
    if changed(program) > changed(source) {
        return;
    }
    let fresh = program.with_extension("new");
    let mut build = Command::new(command[0]);
    build
        .args(&command[1..])
        .arg("-o")
        .arg(&fresh)
        .arg(source)
        .args(libraries);
    // Debian's goleveldb is a plain directory below /usr/share/gocode.
    build
        .env("GO111MODULE", "off")
        .env("GOPATH", "/usr/share/gocode")
        .env("GOCACHE", program.with_file_name("go-cache"));
    let output = build
        .output()
        .unwrap_or_else(|error| panic!("{} is needed: {error}", command[0]));
    assert!(
        output.status.success(),
        "the engine's -dev package is needed (libleveldb-dev, librocksdb-dev, golang-github-syndtr-goleveldb-dev): {}",
        String::from_utf8_lossy(&output.stderr)
    );
    fs::rename(fresh, program).unwrap();
}
