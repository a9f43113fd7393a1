//! The agent itself: the binary that was built, in the foreground, in a directory of its own.

#![allow(dead_code, reason = "each suite uses its own part of this")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// One device: a directory with its configuration and its state, and the agent where it runs.
pub struct Agent {
    directory: tempfile::TempDir,
    child: Option<Child>,
    /// A program, with its arguments, that the agent is started by.
    through: Vec<String>,
}

impl Agent {
    /// A device with this configuration; the keys `state-dir` and `http` are added. Nothing runs yet.
    pub fn new(config: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("ostler-")
            .tempdir_in("/tmp")
            .unwrap();
        let agent = Self {
            directory,
            child: None,
            through: Vec::new(),
        };
        agent.configure(config);
        agent
    }

    /// From now on it is started by this program, which has to become it.
    pub fn through(&mut self, program: &[&str]) {
        self.through = program.iter().map(ToString::to_string).collect();
    }

    /// Writes another configuration.
    pub fn configure(&self, config: &str) {
        let state_dir = self.state_dir();
        let socket = self.socket();
        let text = format!(
            "state-dir = {state_dir:?}\n\n{config}\n[http]\nlisten = []\nsocket = {socket:?}\n"
        );
        self.put("ostler.toml", &text);
    }

    /// Writes a file in the device's directory.
    pub fn put(&self, name: &str, text: &str) {
        File::create(self.path(name))
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .unwrap();
    }

    /// A path in the device's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    pub fn socket(&self) -> PathBuf {
        self.path("ostler.sock")
    }

    /// Starts the agent and waits until it answers.
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// The same with more in its environment.
    pub fn start_with(&mut self, environment: &[(&str, &str)]) {
        self.spawn(environment);
        self.wait_until("the agent answers", |agent| {
            UnixStream::connect(agent.socket()).is_ok()
        });
    }

    /// Whether its API can be reached.
    pub fn socket_answers(&self) -> bool {
        UnixStream::connect(self.socket()).is_ok()
    }

    /// Starts the agent with a power cut at an instant of its file operations below this directory of the device.
    pub fn start_with_power_cut(&mut self, below: &str, instant: u32) {
        let under = self.path(below).display().to_string();
        self.spawn(&[
            ("LD_PRELOAD", powercut().to_str().unwrap()),
            ("POWERCUT_UNDER", &under),
            ("POWERCUT_AT", &instant.to_string()),
        ]);
    }

    fn spawn(&mut self, environment: &[(&str, &str)]) {
        assert!(self.child.is_none(), "it runs already");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("agent.log"))
            .unwrap();
        let ostler = env!("CARGO_BIN_EXE_ostler").to_owned();
        let mut words = self.through.iter().cloned().chain([ostler]);
        let child = Command::new(words.next().expect("there is one at least"))
            .args(words)
            .args(["run", "--config"])
            .arg(self.path("ostler.toml"))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// The agent's process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Whether it runs still; where it does not, how it ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().unwrap();
        if status.is_some() {
            self.child = None;
        }
        status
    }

    /// Whether it ends by itself within this time.
    pub fn ended_within(&mut self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            if self.ended().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            let status = child.wait().unwrap();
            assert_eq!(status.signal(), Some(9), "{}", self.log());
        }
    }

    /// SIGTERM, and how it ended.
    pub fn terminate(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        signal(child.id(), "TERM");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends it a signal by its name.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Runs an `ostler` command against this agent.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ostler"))
            .args(arguments)
            .arg("--socket")
            .arg(self.socket())
            .arg("--config")
            .arg(self.path("ostler.toml"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs an `ostler` command with `--json` and reads what it printed; `None` where it failed or printed no JSON.
    pub fn try_json(&self, arguments: &[&str]) -> Option<Value> {
        let output = self.cli(&[arguments, &["--json"]].concat());
        serde_json::from_slice(&output.stdout)
            .ok()
            .filter(|_| output.status.success())
    }

    /// What the agent's API answers on its unix socket.
    pub fn get(&self, path: &str) -> Value {
        exchange(&self.socket(), path, None)
    }

    /// What it answers to a command.
    pub fn post(&self, operation: &str, command: &Value) -> Value {
        exchange(
            &self.socket(),
            &format!("/v1/commands/{operation}"),
            Some(command),
        )
    }

    /// What asks for an operation when it is called, on any thread, whatever becomes of the agent.
    pub fn asking(&self, operation: &str, command: &Value) -> impl FnOnce() + Send + use<> {
        let (socket, path) = (self.socket(), format!("/v1/commands/{operation}"));
        let command = command.clone();
        move || drop(exchange(&socket, &path, Some(&command)))
    }

    /// The record of an operation, as it is in the journal.
    pub fn journalled(&self, id: &str) -> Option<Value> {
        let text = fs::read(
            self.state_dir()
                .join("operations")
                .join(format!("{id}.json")),
        )
        .ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Waits for the end of an operation and gives its record.
    pub fn wait_for(&self, id: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let record = self.journalled(id);
            match &record {
                Some(record) if record["ended_at"].is_string() => return record.clone(),
                _ => assert!(
                    Instant::now() < deadline,
                    "{id} does not end: {record:?}\n{}",
                    self.log()
                ),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for something, and shows the agent's log where it does not come.
    pub fn wait_until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(
                Instant::now() < deadline,
                "{what}: not within {PATIENCE:?}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the agent wrote.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("agent.log")).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// One exchange of HTTP; `Null` where there was no answer, or not to its end.
fn exchange(socket: &Path, path: &str, body: Option<&Value>) -> Value {
    let (method, body) = match body {
        Some(body) => ("POST", body.to_string()),
        None => ("GET", String::new()),
    };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut answer = String::new();
    let exchanged = UnixStream::connect(socket).and_then(|mut stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        stream.read_to_string(&mut answer)
    });
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
    let value = body.and_then(|body| serde_json::from_str(body).ok());
    exchanged.ok().and(value).unwrap_or(Value::Null)
}

fn signal(pid: u32, name: &str) {
    let signal: nix::sys::signal::Signal = format!("SIG{name}").parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), signal).unwrap();
}

/// The library that cuts the power, built once for a run of the tests.
fn powercut() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("powercut-{}.so", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/powercut.c");
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(source)
            .arg("-ldl")
            .status()
            .unwrap();
        assert!(status.success());
        library
    })
}
