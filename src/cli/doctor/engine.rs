//! The Docker engine, asked past the agent: so that it can be told which of the two is at fault.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::timeout;

use super::Check;
use crate::cli::client::{Client, Error};
use crate::config::{Config, Runtime, Workload};

const NAME: &str = "docker engine";

/// Where the engine listens unless the configuration says otherwise.
const SOCKET: &str = "/var/run/docker.sock";

/// An idle engine answers within milliseconds, one on a worn SD card within seconds.
const DEADLINE: Duration = Duration::from_secs(10);

/// What `GET /version` answers; without a version in its path every engine takes it.
#[derive(Deserialize)]
struct Version {
    #[serde(rename = "Version")]
    version: String,
}

/// Each engine that a workload needs; the usual one where no workload is configured, for the agent looks there.
pub(super) async fn checks(config: &Config) -> Vec<Check> {
    let needed: BTreeSet<PathBuf> = config.workload.iter().filter_map(socket_of).collect();
    if config.workload.is_empty() {
        return vec![unless_needed(ask(Path::new(SOCKET)).await)];
    }
    let mut checks = Vec::new();
    for socket in needed {
        checks.push(ask(&socket).await);
    }
    checks
}

fn socket_of(workload: &Workload) -> Option<PathBuf> {
    match &workload.runtime {
        Runtime::Docker(docker) => Some(docker.socket.clone().unwrap_or_else(|| SOCKET.into())),
        Runtime::Systemd(_) | Runtime::Pm2(_) => None,
    }
}

/// Nobody misses an engine on a host that has nothing in one.
fn unless_needed(check: Check) -> Check {
    match check.advice {
        Some(advice) => Check::warn(NAME, check.message, advice),
        None => check,
    }
}

async fn ask(socket: &Path) -> Check {
    let at = socket.display();
    let client = Client::new(socket.to_owned());
    let (problem, advice) = match timeout(DEADLINE, client.get::<Version>("/version")).await {
        Ok(Ok(Version { version })) => {
            return Check::ok(NAME, format!("version {version} answers at {at}"));
        }
        Ok(Err(Error::Denied { .. })) => {
            let message = format!("this user may not ask the engine at {at}: not checked");
            return Check::warn(NAME, message, "ask as root (sudo ostler doctor)");
        }
        Ok(Err(Error::Absent { source, .. })) => (
            format!("nothing answers at {at}: {source}"),
            "install or start it (systemctl start docker)",
        ),
        Ok(Err(_)) => (
            format!("what answers at {at} is no Docker engine"),
            "name the engine's socket in the workload's runtime",
        ),
        Err(_) => (
            format!(
                "the engine at {at} is there and did not answer within {} s",
                DEADLINE.as_secs()
            ),
            "restart it (systemctl restart docker); containers with live-restore keep running",
        ),
    };
    Check::fail(NAME, problem, advice)
}
