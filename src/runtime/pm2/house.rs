//! One PM2: whose it is, where it lives, and how its program is run.
//!
//! Nothing goes through a shell. The program is run as the user whose PM2 it is, with an environment of its own, and is
//! kept from starting a daemon: PM2's program starts one whenever it finds none, which would then live in the agent's own
//! control group and die with the agent.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::Error;
use super::account::Account;
use super::daemon;
use super::list::{self, Entry};
use super::program::Program;
use crate::looks::{LOOK, Looks};
use crate::runtime::as_user::Leash;

/// What prints all apps as JSON, with all of their environments.
const LIST_OF_APPS: &str = "jlist";

/// The daemon answers from its memory; the program itself needs a second or more to start on a small board.
const LIST: Duration = Duration::from_secs(30);

/// An app's whole environment may have some hundred kilobytes.
const MOST_LISTED: usize = 16 * 1024 * 1024;

/// How much of an error is passed on, in bytes.
const TEXT: usize = 512;

/// The daemon's log, as the program is told: it opens that before it starts a daemon, and this cannot be opened
/// (`launchDaemon` in PM2's `Client.js`, `PM2_LOG_FILE_PATH` in its `paths.js`; the same since version 2).
const NO_DAEMON: &str = "/dev/null/ostler-starts-no-daemon";

/// One PM2.
#[derive(Clone, Debug)]
pub(super) struct House {
    pub account: Account,
    pub pm2_home: PathBuf,
    program: Option<PathBuf>,
    looks: Looks,
}

/// A program that was run to its end.
pub(super) struct Ran {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl House {
    /// Finds the user. Nothing is run.
    pub(super) fn find(
        user: &str,
        pm2_home: Option<&Path>,
        program: Option<&Path>,
        looks: Looks,
    ) -> Result<Self, Error> {
        let account = Account::find(user).map_err(|detail| Error::Absent {
            runtime: format!("PM2 of {user}"),
            detail,
        })?;
        let pm2_home = pm2_home.map_or_else(|| account.home.join(".pm2"), Path::to_owned);
        Ok(Self {
            account,
            pm2_home,
            program: program.map(Path::to_owned),
            looks,
        })
    }

    /// For messages: `PM2 of taoshi (/home/taoshi/.pm2)`.
    pub(super) fn describe(&self) -> String {
        format!("PM2 of {} ({})", self.account.name, self.pm2_home.display())
    }

    /// Looks at its files. Fails where they do not answer.
    pub(super) async fn look<T, F>(&self, look: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> T + Send + 'static,
    {
        let house = self.clone();
        let seen = self.looks.look(move || look(&house)).await;
        seen.ok_or_else(|| {
            let action = format!(
                "show its files: the filesystem below {} hangs",
                self.pm2_home.display()
            );
            self.unresponsive(&action, LOOK)
        })
    }

    /// The program, as it is found now: it may be updated at any time.
    pub(super) async fn program(&self) -> Result<Program, Error> {
        self.look(Self::find_program).await?
    }

    fn find_program(&self) -> Result<Program, Error> {
        let daemon = daemon::node(self);
        Program::find(&self.account, self.program.as_deref(), daemon.as_deref())
            .map_err(|detail| self.absent(&detail))
    }

    /// All apps of the daemon that runs.
    pub(super) async fn list(&self) -> Result<Vec<Entry>, Error> {
        const ACTION: &str = "list its apps";
        let ran = self.pm2(&[LIST_OF_APPS], ACTION, LIST).await?;
        if ran.stdout.len() > MOST_LISTED {
            let detail = format!("its list has more than {MOST_LISTED} bytes");
            return Err(self.refused(ACTION, &detail));
        }
        list::parse(&ran.stdout).map_err(|detail| self.refused(ACTION, &detail))
    }

    /// Runs `pm2` against the daemon that runs; it must succeed. `action` is for messages: `stop app sn8`.
    pub(super) async fn pm2(
        &self,
        arguments: &[&str],
        action: &str,
        deadline: Duration,
    ) -> Result<Ran, Error> {
        if !daemon::is_there(self).await? {
            return Err(self.no_daemon());
        }
        let program = self.program().await?;
        let mut command = self.command(&program);
        command
            .args(arguments)
            .env("PM2_LOG_FILE_PATH", NO_DAEMON)
            // Without it the program asks the network for its newest version now and then.
            .env("PM2_DISCRETE_MODE", "true");
        let mut ran = self.finish(command, action, deadline).await?;
        if arguments == [LIST_OF_APPS] && ran.code != Some(0) {
            // The beginnings of a list are environments of apps, which no message shall show.
            ran.stdout.clear();
        }
        self.succeeded(action, ran, deadline).await
    }

    /// The program, to be run as its user.
    pub(super) fn command(&self, program: &Program) -> Command {
        let mut command = Command::new(&program.pm2);
        self.dress(&mut command, program);
        if self.account.is_other() {
            command
                .uid(self.account.uid.as_raw())
                .gid(self.account.gid.as_raw());
        }
        command
    }

    /// Gives a command the environment of a login of that user, and nothing of the agent's.
    pub(super) fn dress(&self, command: &mut Command, program: &Program) {
        command
            .env_clear()
            .env("HOME", &self.account.home)
            .env("USER", &self.account.name)
            .env("LOGNAME", &self.account.name)
            .env("PATH", &program.path)
            .env("PM2_HOME", &self.pm2_home)
            .env("LC_ALL", "C")
            .env("NO_COLOR", "1")
            .current_dir("/");
    }

    /// Runs a command to its end, whatever its status.
    pub(super) async fn finish(
        &self,
        mut command: Command,
        action: &str,
        deadline: Duration,
    ) -> Result<Ran, Error> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // The program is below the home too, and its start waits for it.
        let started = self.look(move |house| {
            let child = command.spawn()?;
            // What still is the agent's own is ended by its own hand, `kill_on_drop`.
            io::Result::Ok((Leash::new(house.account.uid, child.id()), child))
        });
        let started = started.await?;
        let run = async {
            let (leash, mut child) = started?;
            let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
            let (stdout, stderr, status) = tokio::try_join!(
                head(stdout, MOST_LISTED + 1),
                head(stderr, 16 * TEXT),
                child.wait()
            )?;
            leash.slip();
            Ok(Ran {
                code: status.code(),
                stdout,
                stderr,
            })
        };
        match tokio::time::timeout(deadline, run).await {
            Ok(Ok(ran)) => Ok(ran),
            Ok(Err(error)) => Err(self.not_run(&error)),
            Err(_) => Err(self.unresponsive(action, deadline)),
        }
    }

    /// What a program's failure means.
    async fn succeeded(&self, action: &str, ran: Ran, deadline: Duration) -> Result<Ran, Error> {
        let said = String::from_utf8_lossy(&ran.stderr);
        match ran.code {
            Some(0) => Ok(ran),
            // It was about to start a daemon: the one that there was has gone, or did not answer it.
            _ if said.contains(NO_DAEMON) => match daemon::is_there(self).await? {
                true => Err(self.unresponsive(action, deadline)),
                false => Err(self.no_daemon()),
            },
            // `env` where the program's first line asks it for what is not there.
            Some(127) => Err(self.absent(&format!("its program cannot run: {}", one_line(&said)))),
            code => {
                let said = match said.trim() {
                    "" => one_line(&String::from_utf8_lossy(&ran.stdout)),
                    said => one_line(said),
                };
                let status = code.map_or("a signal".to_owned(), |code| format!("status {code}"));
                let detail = match said.is_empty() {
                    true => format!("it ended with {status}"),
                    false => format!("it ended with {status}: {said}"),
                };
                Err(self.refused(action, &detail))
            }
        }
    }

    fn not_run(&self, error: &io::Error) -> Error {
        let detail = match error.kind() {
            io::ErrorKind::NotFound => "its program, or what runs it, went away".to_owned(),
            io::ErrorKind::PermissionDenied => {
                format!(
                    "its program may not be run by {}: {error}",
                    self.account.name
                )
            }
            _ => format!("its program cannot be run: {error}"),
        };
        self.absent(&detail)
    }

    /// There is no daemon, and nobody is to start one by accident.
    pub(super) fn no_daemon(&self) -> Error {
        self.absent(&format!(
            "its daemon does not run; `ostler start` brings it back with the apps that were saved (pm2 save), or run `pm2 resurrect` \
             as {}",
            self.account.name
        ))
    }

    pub(super) fn absent(&self, detail: &str) -> Error {
        Error::Absent {
            runtime: self.describe(),
            detail: detail.to_owned(),
        }
    }

    pub(super) fn unresponsive(&self, action: &str, deadline: Duration) -> Error {
        Error::Unresponsive {
            runtime: self.describe(),
            action: action.to_owned(),
            deadline,
        }
    }

    pub(super) fn refused(&self, action: &str, detail: &str) -> Error {
        Error::Refused {
            runtime: self.describe(),
            action: action.to_owned(),
            detail: detail.to_owned(),
        }
    }
}

/// The first bytes of a stream; it is read to its end, so that its writer is not held up.
async fn head(stream: Option<impl AsyncRead + Unpin>, keep: usize) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else {
        return Ok(kept);
    };
    let mut piece = vec![0; 16 * 1024];
    loop {
        match stream.read(&mut piece).await? {
            0 => return Ok(kept),
            count => {
                let room = keep.saturating_sub(kept.len()).min(count);
                kept.extend_from_slice(&piece[..room]);
            }
        }
    }
}

/// A text on one line, without what a terminal takes for colours, bounded.
pub(super) fn one_line(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(char) = rest.next() {
        match char {
            '\u{1b}' => {
                // `ESC [ … letter`.
                let _ = rest.by_ref().find(char::is_ascii_alphabetic);
            }
            other if other.is_control() => plain.push(' '),
            other => plain.push(other),
        }
    }
    let text = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.floor_char_boundary(TEXT) {
        end if end == text.len() => text,
        end => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_becomes_one_plain_line() {
        assert_eq!(
            one_line("\u{1b}[31m[PM2][ERROR] \u{1b}[39mProcess 7\n\tnot found\u{7}"),
            "[PM2][ERROR] Process 7 not found"
        );
        assert!(one_line(&"x".repeat(10_000)).len() < 600);
    }

    #[tokio::test]
    async fn the_beginning_of_an_output_is_kept() {
        let text = vec![b'x'; 100_000];
        assert_eq!(head(Some(&text[..]), 10).await.unwrap().len(), 10);
        assert_eq!(head(Some(&text[..]), 1 << 20).await.unwrap(), text);
    }
}
