//! One run of `rclone`: started without a shell, watched, and ended with all of its group when it does not get on.
//!
//! Debian 12 ships rclone 1.60; the flags and exit codes are those of its manual (<https://rclone.org/docs/>).

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::super::control::Control;
use super::super::error::Error;
use super::report::{self, Report};

/// The most that is taken from its standard output: a listing of a few million objects.
const MOST_OUTPUT: u64 = 512 * 1024 * 1024;

/// The longest pause between two looks at it.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// How long its pipes may stay open after it has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How long any call may take, beside what its bytes need.
const CALL: Duration = Duration::from_secs(3600);

/// The slowest line that is put up with, in bytes a second.
const SLOWEST_LINE: u64 = 32 * 1024;

/// The slowest disk: nothing moves while a large file is hashed before or after its way, and that is no standstill.
const SLOWEST_DISK: u64 = 4 * 1024 * 1024;

/// What this run is not told by the environment: how much it says, and what of its secrets.
const OUR_OWN: &str = "RCLONE_";

/// The password of an encrypted configuration file can only come by the environment.
const CONFIG_PASSWORD: &str = "RCLONE_CONFIG_PASS";

/// How rclone is run.
#[derive(Debug, Clone)]
pub(super) struct Rclone {
    pub program: PathBuf,
    pub config_file: Option<PathBuf>,
    /// Bytes a second; 0 is no limit.
    pub rate: u64,
    /// Given up when nothing moves for so long.
    pub patience: Duration,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Call {
    /// For messages: `list`, `send to` …
    pub action: &'static str,
    /// For messages: where.
    pub about: String,
    /// The verb, its flags and its places.
    pub arguments: Vec<OsString>,
    /// Bytes that will pass; more than twice as many end the run.
    pub bytes: u64,
    /// The largest file among them.
    pub largest: u64,
    /// Whether its transfers count as progress of the work.
    pub counts: bool,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Ended {
    action: &'static str,
    about: String,
    pub code: i32,
    pub compared_by: Option<String>,
    complaints: String,
}

impl Ended {
    /// What it complained of, as an error.
    pub fn failed(self) -> Error {
        Error::Remote {
            action: self.action,
            remote: self.about,
            detail: self.complaints,
        }
    }
}

/// The program at work. Whoever lets go of it ends it and what it may have started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            // It leads a group of its own, so nobody else is meant.
            if let Ok(group) = i32::try_from(self.0.id()) {
                let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            }
            let _ = self.0.wait();
        }
    }
}

impl Rclone {
    /// Runs it to its end, whatever that is; an error is what kept it from running or made us end it.
    pub fn run(&self, call: Call, control: &mut Control) -> Result<(Ended, Vec<u8>), Error> {
        let whole = |pipe: &mut dyn Read| {
            let mut content = Vec::new();
            // What could be read is what is judged.
            let _ = pipe.read_to_end(&mut content);
            content
        };
        self.run_reading(call, control, whole)
    }

    /// The same with `read` at work on what it writes while it writes it, on a thread of its own: a listing is long.
    pub fn run_reading<T: Send + 'static>(
        &self,
        call: Call,
        control: &mut Control,
        read: impl FnOnce(&mut dyn Read) -> T + Send + 'static,
    ) -> Result<(Ended, T), Error> {
        let mut command = self.command(&call);
        let child = command.spawn().map_err(|source| Error::NoRclone {
            program: self.program.clone(),
            source,
        })?;
        let mut running = Running(child);
        let said = Arc::new(Mutex::new(Report::default()));
        let output = collect(running.0.stdout.take(), read);
        let silence = listen(running.0.stderr.take(), said.clone());
        let code = self.watch(&call, &mut running, &said, control)?;
        // Only what it started itself could still hold the pipes, and it starts nothing that outlives it.
        let output = output.recv_timeout(LAST_WORDS);
        let _ = silence.recv_timeout(LAST_WORDS);
        let output = match output {
            Ok((output, true)) => output,
            Ok((_, false)) => {
                return Err(failed(&call, "it says more than can be true".to_owned()));
            }
            Err(_) => return Err(failed(&call, "what it says does not end".to_owned())),
        };
        let said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = Ended {
            action: call.action,
            about: call.about,
            code,
            compared_by: said.compared_by.clone(),
            complaints: said.complaints(),
        };
        Ok((ended, output))
    }

    fn command(&self, call: &Call) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&call.arguments).arg("--config");
        // An empty name is a configuration in memory: nobody's file is read by chance.
        command.arg(self.config_file.clone().unwrap_or_default());
        command.args([
            "--use-json-log",
            "--stats=1s",
            "--stats-log-level=NOTICE",
            "--ask-password=false",
            "--contimeout=30s",
            "--timeout=2m",
            "--buffer-size=4M",
        ]);
        if self.rate > 0 {
            command.arg(format!("--bwlimit={}B", self.rate));
        }
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with(OUR_OWN) && !name.starts_with(CONFIG_PASSWORD) {
                command.env_remove(name);
            }
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        command
    }

    fn watch(
        &self,
        call: &Call,
        running: &mut Running,
        said: &Mutex<Report>,
        control: &mut Control,
    ) -> Result<i32, Error> {
        let standstill = self.patience + Duration::from_secs(call.largest / SLOWEST_DISK);
        let deadline = CALL + Duration::from_secs(call.bytes / SLOWEST_LINE);
        let begun = Instant::now();
        let (mut moved, mut last) = (begun, (0, 0));
        let mut pause = Duration::from_millis(2);
        loop {
            let ended = running.0.try_wait();
            let now = {
                let said = said.lock().unwrap_or_else(PoisonError::into_inner);
                (said.bytes, said.pulse)
            };
            if call.counts && now.0 > last.0 {
                control.advance(now.0 - last.0)?;
            }
            control.check()?;
            if now != last {
                (moved, last) = (Instant::now(), (now.0.max(last.0), now.1));
            }
            match ended.map_err(Error::io("wait for", &self.program))? {
                Some(status) => return Ok(code_of(status)),
                None if moved.elapsed() > standstill => {
                    let message = format!("nothing moved for {} s", standstill.as_secs());
                    return Err(failed(call, message));
                }
                None if begun.elapsed() > deadline => {
                    let message = format!("it took longer than {} s", deadline.as_secs());
                    return Err(failed(call, message));
                }
                None if call.counts && now.0 > call.bytes.saturating_mul(2).max(1 << 20) => {
                    let message = "more bytes come than there should be".to_owned();
                    return Err(failed(call, message));
                }
                None => {}
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// The failure of a call.
fn failed(call: &Call, detail: String) -> Error {
    Error::Remote {
        action: call.action,
        remote: call.about.clone(),
        detail,
    }
}

fn code_of(status: ExitStatus) -> i32 {
    // Ended by a signal is no exit code of rclone's.
    status.code().unwrap_or(-1)
}

/// Reads a pipe to its end on a thread of its own; says what `read` made of it, and whether that was all.
fn collect<T: Send + 'static>(
    pipe: Option<impl Read + Send + 'static>,
    read: impl FnOnce(&mut dyn Read) -> T + Send + 'static,
) -> Receiver<(T, bool)> {
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || {
        let output = match pipe {
            Some(pipe) => {
                let mut most = pipe.take(MOST_OUTPUT);
                let output = read(&mut most);
                let _ = io::copy(&mut most, &mut io::sink());
                let all = most.limit() > 0;
                let _ = io::copy(&mut most.into_inner(), &mut io::sink());
                (output, all)
            }
            None => (read(&mut io::empty()), true),
        };
        let _ = sender.send(output);
    });
    receiver
}

/// Reads what it says on a thread of its own.
fn listen(pipe: Option<impl Read + Send + 'static>, said: Arc<Mutex<Report>>) -> Receiver<()> {
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || {
        let hear = |line: &str| {
            said.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .hear(line);
        };
        if let Some(pipe) = pipe {
            let _ = report::lines(pipe, hear);
        }
        let _ = sender.send(());
    });
    receiver
}
