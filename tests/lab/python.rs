//! A Python program that answers one line of JSON with another.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A running `python3`, which ends with this value.
pub struct Python {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Python {
    /// Starts the program `name` of this repository's tests.
    pub fn start(name: &str) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/checkpoint")
            .join(name);
        let mut child = Command::new("python3")
            .arg("-I")
            .arg(program)
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
