//! Running a program inside the container.
//!
//! The engine has no call to end such a program: one that is still running at its deadline goes on inside the
//! container until it ends or the container stops. How many of them there can be is bounded here.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use super::connection::{Call, Stream};
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
        let body = json!({"AttachStdout": true, "AttachStderr": true, "Cmd": command});
        let call = Call::post(self.path("exec")).json(&body);
        let created = self.client.ask(CREATE, action, call).await?;
        let Some(id) = created["Id"].as_str().map(str::to_owned) else {
            return Err(self.client.refused(action, "the engine does not name it"));
        };

        let mut running = Running {
            program: Program { id, command: words },
            abandoned: &self.abandoned,
            ended: false,
        };
        // Without an offer to change the protocol, the output is the body of the answer.
        let body = json!({"Detach": false, "Tty": false});
        let call = Call::post(format!("/exec/{}/start", running.program.id)).json(&body);
        match self.client.open(START, action, call).await {
            Ok(output) => Ok(Some((running, output))),
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
        let failed = |error| self.client.error(action, Duration::ZERO, error);
        while let Some((is_error, piece)) = output.output().await.map_err(failed)? {
            match is_error {
                true => stderr.push(&piece),
                // What the engine itself says, too: that there is no such program, for example.
                false => stdout.push(&piece),
            }
        }
        let status = loop {
            let state = self.state_of(&running.program.id, action).await?;
            match state["ExitCode"].as_i64() {
                Some(status) if state["Running"] != true => break status,
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
            let action = format!("see whether `{command}` has ended in");
            match self.state_of(&id, &action).await {
                Ok(state) if state["Running"] == true => {}
                // Missing: it went with its container, or the engine was restarted.
                Ok(_) | Err(Error::Missing { .. }) => self.abandoned.forget(&id),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn state_of(&self, program: &str, action: &str) -> Result<Value, Error> {
        let call = Call::get(format!("/exec/{program}/json"));
        self.client.ask(INSPECT, action, call).await
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
