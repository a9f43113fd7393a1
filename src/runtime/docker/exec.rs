//! Running a program inside the container.
//!
//! The engine has no call to end such a program: one that is still running at its deadline goes on inside the
//! container until it ends or the container stops. How many of them there can be is bounded here.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error as EngineError;
use bollard::exec::StartExecResults;
use bollard::models::ExecConfig;
use futures_util::StreamExt;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Docker, Error, Output};

/// How much of each of standard output and standard error is kept, in bytes.
const OUTPUT: usize = 64 * 1024;

/// With so many programs left behind that have not ended, no other is started. One that is left behind is not started a
/// second time, so that one that hangs does not keep the others from being asked.
const ABANDONED: usize = 8;

/// Nothing runs yet.
const CREATE: Duration = Duration::from_secs(10);
/// A process is made inside the container: slow on a busy board.
const START: Duration = Duration::from_secs(30);
/// Asking what became of a program is a read from the engine's memory.
const INSPECT: Duration = Duration::from_secs(5);

/// A program's output can end shortly before the engine knows its exit status.
const STATUS_PAUSE: Duration = Duration::from_millis(20);

/// What a program writes.
type Stream = Pin<Box<dyn futures_util::Stream<Item = Result<LogOutput, EngineError>> + Send>>;

/// A program inside the container.
#[derive(Clone, Default)]
struct Program {
    /// What the engine calls this run of it.
    id: String,
    command: String,
}

/// The programs that were given up.
#[derive(Default)]
pub(super) struct Abandoned(Mutex<Vec<Program>>);

impl Abandoned {
    fn all(&self) -> Vec<Program> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn add(&self, program: Program) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(program);
    }

    fn forget(&self, id: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|other| other.id != id);
    }
}

/// Notes a program as given up, unless it is seen to end: also where the caller stops waiting.
struct Running<'a> {
    program: Program,
    abandoned: &'a Abandoned,
    ended: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.abandoned.add(std::mem::take(&mut self.program));
        }
    }
}

impl Docker {
    pub(super) async fn run_inside(
        &self,
        command: &[&str],
        deadline: Duration,
    ) -> Result<Output, Error> {
        let until = Instant::now() + deadline;
        let action = format!("run `{}` in", command.join(" "));
        // It is the program that does not answer then, not the engine.
        let silent = || Error::Unresponsive {
            runtime: format!("container {}", self.container),
            action: format!("run `{}`", command.join(" ")),
            deadline,
        };
        let Ok(started) = timeout_at(until, self.start_program(command, &action)).await else {
            return Err(self.client.unresponsive(&action, deadline));
        };
        let Some((running, output)) = started? else {
            return Err(silent());
        };
        match timeout_at(until, self.read_program(running, output, &action)).await {
            Ok(result) => result,
            Err(_) => Err(silent()),
        }
    }

    /// `None` where the same program was given up before, and has still not ended.
    async fn start_program(
        &self,
        command: &[&str],
        action: &str,
    ) -> Result<Option<(Running<'_>, Stream)>, Error> {
        self.forget_ended().await?;
        let words = command.join(" ");
        let left_behind = self.abandoned.all();
        if left_behind.iter().any(|program| program.command == words) {
            return Ok(None);
        }
        if left_behind.len() >= ABANDONED {
            let detail = format!(
                "{} programs that were run there before have not ended",
                left_behind.len()
            );
            return Err(self.client.refused(action, &detail));
        }
        let docker = self.client.connect()?;
        let config = ExecConfig {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.iter().map(ToString::to_string).collect()),
            ..ExecConfig::default()
        };
        let call = docker.create_exec(&self.container, config);
        let id = self.client.within(CREATE, action, call).await?.id;

        let mut running = Running {
            program: Program { id, command: words },
            abandoned: &self.abandoned,
            ended: false,
        };
        let call = docker.start_exec(&running.program.id, None);
        match self.client.within(START, action, call).await {
            Ok(StartExecResults::Attached { output, .. }) => Ok(Some((running, output))),
            Ok(StartExecResults::Detached) => Err(self
                .client
                .refused(action, "the engine does not give its output")),
            Err(error) => {
                running.ended = matches!(error, Error::Refused { .. } | Error::Missing { .. });
                Err(error)
            }
        }
    }

    async fn read_program(
        &self,
        mut running: Running<'_>,
        mut output: Stream,
        action: &str,
    ) -> Result<Output, Error> {
        let (mut stdout, mut stderr) = (Kept::default(), Kept::default());
        while let Some(item) = output.next().await {
            match item.map_err(|error| self.client.error(action, Duration::ZERO, error))? {
                LogOutput::StdErr { message } => stderr.push(&message),
                // `Console` is what the engine itself says: that there is no such program, for example.
                LogOutput::StdOut { message }
                | LogOutput::Console { message }
                | LogOutput::StdIn { message } => stdout.push(&message),
            }
        }
        let docker = self.client.connect()?;
        let status = loop {
            let call = docker.inspect_exec(&running.program.id);
            let state = self.client.within(INSPECT, action, call).await?;
            match state.exit_code {
                Some(status) if state.running != Some(true) => break status,
                _ => sleep(STATUS_PAUSE).await,
            }
        };
        running.ended = true;
        Ok(Output {
            status,
            stdout: stdout.text(),
            stderr: stderr.text(),
        })
    }

    /// Looks which of the programs that were given up have ended since.
    async fn forget_ended(&self) -> Result<(), Error> {
        for Program { id, command } in self.abandoned.all() {
            let docker = self.client.connect()?;
            let action = format!("see whether `{command}` has ended in");
            let call = docker.inspect_exec(&id);
            match self.client.within(INSPECT, &action, call).await {
                Ok(state) if state.running == Some(true) => {}
                // Missing: it went with its container, or the engine was restarted.
                Ok(_) | Err(Error::Missing { .. }) => self.abandoned.forget(&id),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The beginning of an output, and how much more there was.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    discarded: usize,
}

impl Kept {
    fn push(&mut self, more: &[u8]) {
        let room = OUTPUT - self.bytes.len();
        let (kept, rest) = more.split_at(more.len().min(room));
        self.bytes.extend_from_slice(kept);
        self.discarded += rest.len();
    }

    fn text(self) -> String {
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        if self.discarded > 0 {
            text.push_str(&format!("\n… and {} bytes more", self.discarded));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_kept_up_to_its_bound_and_the_rest_is_counted() {
        let mut kept = Kept::default();
        kept.push(&vec![b'a'; OUTPUT - 1]);
        kept.push(b"bcd");
        kept.push(b"e");
        let text = kept.text();
        assert!(text.ends_with("ab\n… and 3 bytes more"));
        assert_eq!(text.len(), OUTPUT + "\n… and 3 bytes more".len());

        let mut whole = Kept::default();
        whole.push(b"all of it\n");
        assert_eq!(whole.text(), "all of it\n");
    }
}
