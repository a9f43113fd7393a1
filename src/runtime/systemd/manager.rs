//! The way to systemd: its own programs, a deadline on each, and what their failures mean.
//!
//! A client of D-Bus in the agent would weigh more than all of this, and the programs are where systemd is.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::properties::Properties;
use super::{Error, UnitName};

/// Where systemd is process 1: the test that `sd_booted(3)` names.
const BOOTED: &str = "/run/systemd/system";

/// Looking is a read from systemd's memory.
const SHOW: Duration = Duration::from_secs(10);

/// How much of the output of a program is kept, in bytes: what `systemctl show` gives is a tenth of it.
const OUTPUT: usize = 64 * 1024;

/// How much of an error is passed on, in bytes.
const TEXT: usize = 512;

/// `systemctl` where there is no such unit: the status that LSB gives to programs that are not installed.
const NO_SUCH_UNIT: i32 = 5;

/// Asks systemd things about one unit.
#[derive(Clone)]
pub(super) struct Manager {
    /// What the questions are about, for messages: `unit harmony.service`.
    subject: String,
}

/// A program that was run to its end.
pub(super) struct Ran {
    code: Option<i32>,
    pub(super) stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Manager {
    /// The way to systemd for questions about this unit.
    pub(super) fn new(unit: &UnitName) -> Self {
        Self {
            subject: format!("unit {unit}"),
        }
    }

    /// What systemd knows of a unit of any type. A unit that does not exist has properties as well.
    pub(super) async fn show(&self, unit: &str, properties: &str) -> Result<Properties, Error> {
        let property = format!("--property={properties}");
        let shown = self
            .systemctl("look at", &["show", &property, "--", unit], SHOW)
            .await?;
        Ok(Properties::parse(&String::from_utf8_lossy(&shown.stdout)))
    }

    /// Runs `systemctl`, which must succeed. `action` is for messages: `start`, `stop` …
    pub(super) async fn systemctl(
        &self,
        action: &str,
        arguments: &[&str],
        deadline: Duration,
    ) -> Result<Ran, Error> {
        let all = [&["--no-ask-password", "--no-pager"], arguments].concat();
        let ran = self.run("systemctl", &all, action, deadline, OUTPUT);
        self.succeeded(action, ran.await?)
    }

    /// Runs a program to its end, whatever its status; of its output the last `keep` bytes are kept.
    pub(super) async fn run(
        &self,
        program: &str,
        arguments: &[&str],
        action: &str,
        deadline: Duration,
        keep: usize,
    ) -> Result<Ran, Error> {
        if !Path::new(BOOTED).exists() {
            return Err(absent(format!(
                "there is no {BOOTED}, so something else is process 1 of this host"
            )));
        }
        let finish = async {
            let mut child = Command::new(program)
                .args(arguments)
                // No variable of the agent's may change what the program does, or how it writes times and numbers.
                .env_clear()
                .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
                .envs([("LC_ALL", "C"), ("TZ", "UTC")])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
            let (stdout, stderr, status) =
                tokio::try_join!(tail(stdout, keep), tail(stderr, TEXT), child.wait())?;
            Ok(Ran {
                code: status.code(),
                stdout,
                stderr,
            })
        };
        match tokio::time::timeout(deadline, finish).await {
            Ok(Ok(ran)) => Ok(ran),
            Ok(Err(error)) => Err(not_run(program, &error)),
            Err(_) => Err(Error::Unresponsive {
                runtime: "systemd".to_owned(),
                action: self.action(action),
                deadline,
            }),
        }
    }

    /// What a program's failure means.
    pub(super) fn succeeded(&self, action: &str, ran: Ran) -> Result<Ran, Error> {
        let said = String::from_utf8_lossy(&ran.stderr);
        match ran.code {
            Some(0) => Ok(ran),
            Some(NO_SUCH_UNIT) => Err(self.missing()),
            _ if said.contains("Failed to connect to bus") => Err(absent(one_line(&said))),
            Some(code) if said.trim().is_empty() => {
                Err(self.refused(action, &format!("it ended with status {code}")))
            }
            _ if said.contains("uthentication required") || said.contains("ccess denied") => {
                let advice = "run the agent as root, or let polkit allow it";
                Err(self.refused(action, &format!("{} ({advice})", one_line(&said))))
            }
            _ => Err(self.refused(action, &said)),
        }
    }

    /// systemd answered, and what was asked cannot be done.
    pub(super) fn refused(&self, action: &str, detail: &str) -> Error {
        Error::Refused {
            runtime: "systemd".to_owned(),
            action: self.action(action),
            detail: one_line(detail),
        }
    }

    /// There is no such unit.
    pub(super) fn missing(&self) -> Error {
        Error::Missing {
            runtime: "systemd".to_owned(),
            workload: self.subject.clone(),
        }
    }

    fn action(&self, verb: &str) -> String {
        format!("{verb} {}", self.subject)
    }
}

fn absent(detail: String) -> Error {
    Error::Absent {
        runtime: "systemd".to_owned(),
        detail,
    }
}

fn not_run(program: &str, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => absent(format!("the program `{program}` is not installed")),
        _ => absent(format!("`{program}` cannot be run: {error}")),
    }
}

/// The last bytes of a stream; it is read to its end, so that its writer is not held up.
async fn tail(stream: Option<impl AsyncRead + Unpin>, keep: usize) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else {
        return Ok(kept);
    };
    let mut piece = [0; 8 * 1024];
    loop {
        match stream.read(&mut piece).await? {
            0 => break,
            count => kept.extend_from_slice(&piece[..count]),
        }
        // Not at every piece: moving what is kept to the front costs.
        if kept.len() > keep.saturating_mul(2) {
            kept.drain(..kept.len() - keep);
        }
    }
    kept.drain(..kept.len().saturating_sub(keep));
    Ok(kept)
}

/// A text without its line ends, bounded: it goes into one line of a report.
pub(super) fn one_line(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.floor_char_boundary(TEXT) {
        end if end == text.len() => text,
        end => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: i32, said: &str) -> Error {
        let manager = Manager::new(&UnitName::new("harmony.service").unwrap());
        let ran = Ran {
            code: Some(code),
            stdout: Vec::new(),
            stderr: said.into(),
        };
        match manager.succeeded("start", ran) {
            Ok(_) => panic!("status {code} is a failure"),
            Err(error) => error,
        }
    }

    #[test]
    fn a_failure_says_what_and_what_to_do() {
        assert_eq!(
            told(
                5,
                "Failed to start harmony.service: Unit harmony.service not found."
            )
            .to_string(),
            "unit harmony.service does not exist in systemd"
        );
        assert_eq!(
            told(1, "Job failed.\nSee the log.\n").to_string(),
            "systemd cannot start unit harmony.service: Job failed. See the log."
        );
        assert_eq!(
            told(4, "").to_string(),
            "systemd cannot start unit harmony.service: it ended with status 4"
        );
        let denied = told(4, "Failed to start harmony.service: Access denied\n").to_string();
        assert!(denied.contains("run the agent as root"), "{denied}");
        let absent = told(1, "Failed to connect to bus: No such file or directory");
        assert!(matches!(absent, Error::Absent { .. }), "{absent}");
    }

    #[tokio::test]
    async fn the_end_of_an_output_is_kept() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let kept = tail(Some(&text[..]), 1000).await.unwrap();
        assert_eq!(kept, text[text.len() - 1000..]);
        assert_eq!(tail(Some(&text[..]), text.len()).await.unwrap(), text);
        assert!(tail(None::<&[u8]>, 1000).await.unwrap().is_empty());
    }
}
