//! A Python program that answers one line of JSON with another.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A path in this repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A directory in memory where there is one: these suites write many trees, each made durable.
#[allow(dead_code, reason = "not every suite needs one")]
pub fn workspace() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// Python, alone: no site packages of the user, nothing written beside the program.
fn command(program: &str) -> Command {
    let mut command = Command::new("python3");
    command
        .args(["-I", "-B"])
        .arg(repository("tests/checkpoint").join(program));
    command
}

/// Runs a program of `tests/checkpoint` to its end and yields what it printed.
#[allow(dead_code, reason = "not every suite runs one")]
pub fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = command(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// A running `python3`, which ends with this value.
pub struct Python {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Python {
    /// Starts the program `name` of this repository's tests.
    pub fn start(name: &str) -> Self {
        let mut child = command(name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("these tests need python3");
        Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// Type, mode, size, SHA-256 and path of everything under `root`.
    pub fn manifest(&mut self, root: &Path) -> Vec<String> {
        let answer = self.ask(&json!({"do": "manifest", "root": root}));
        serde_json::from_value(answer).unwrap()
    }

    /// Has the script's rules make the tree of `file` as `into`.
    #[allow(dead_code, reason = "not every suite needs one")]
    pub fn tree(&mut self, file: &Path, into: &Path, layout: &str) {
        let answer = self.ask(&json!({"do": "tree", "file": file, "into": into, "layout": layout}));
        assert_eq!(answer, json!(true), "{}", file.display());
    }

    /// Asks one thing.
    pub fn ask(&mut self, question: &Value) -> Value {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{question}").unwrap();
        input.flush().unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer)
            .unwrap_or_else(|error| panic!("{error}: {question} got {answer:?}"))
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // At the end of its input the program ends by itself.
        self.input.take();
        let _ = self.child.wait();
    }
}
