//! The program itself, against an agent in memory behind the real API.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../lab/broker.rs"]
mod broker;
#[path = "../lab/chain.rs"]
mod chain;
#[path = "../lab/inn.rs"]
mod inn;

mod asking;
mod doctor;
mod doctor_certificates;
mod doctor_install;
mod operating;
mod snapshots;
mod store;
mod usage;

use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use inn::{Agent, DEADLINE};

/// The program, with nothing of the caller's environment that it would heed.
fn ostler(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ostler"));
    command
        .args(arguments)
        .env_remove("OSTLER_CONFIG")
        .env_remove("OSTLER_SOCKET")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// How a run of it ended.
#[derive(Debug)]
struct Ended {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

async fn run(mut command: Command) -> Ended {
    timeout(DEADLINE, command.output())
        .await
        .expect("it ends in time")
        .unwrap()
        .into()
}

/// Runs it against this agent.
async fn ask(agent: &Agent, arguments: &[&str]) -> Ended {
    let mut command = ostler(arguments);
    command.arg("--socket").arg(&agent.socket);
    run(command).await
}
