//! `ostler doctor`: what is on this host, what works, what is wrong and what to do. It needs no running agent.

mod access;
mod agent;
mod broker;
mod certificates;
mod engine;
mod host;
mod room;
mod runtimes;
mod state;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use tokio::net::UnixStream;
use tokio::net::unix::UCred;
use tokio::time::timeout;

use super::client::Client;
use super::print::{self, Cell, Tone};
use super::{Exit, Global, credentials};
use crate::any_error::Outcome;
use crate::config::{Config, DEFAULT_PATH};

/// Arguments of `ostler doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and deserves a look.
    Warn,
    /// It does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    /// What was found.
    message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Check {
    fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Ok,
            message: message.into(),
            advice: None,
        }
    }

    fn warn(name: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Warn,
            advice: Some(advice.into()),
            ..Self::ok(name, message)
        }
    }

    fn fail(name: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Fail,
            ..Self::warn(name, message, advice)
        }
    }
}

#[derive(Serialize)]
struct Findings {
    verdict: Verdict,
    checks: Vec<Check>,
}

/// Looks at everything, and tells.
pub async fn run(_args: Args, global: &Global) -> Outcome<Exit> {
    let (config, mut checks) = configuration(global);
    // What is wrong with the configuration is among the findings already.
    let socket = global
        .socket()
        .unwrap_or_else(|_| config.http.socket.clone());
    checks.extend(host::checks(&config).await);
    checks.push(state::check(&config));
    let agent = listener(&socket).await;
    let user = agent.as_ref().map(UCred::uid);
    checks.extend(access::checks(&config, &file(global), &socket, user));
    checks.extend(engine::checks(&config).await);
    checks.extend(runtimes::checks(&config).await);
    checks.extend(room::checks(&config, agent.and_then(|agent| agent.pid())));
    checks.extend(broker::checks(&config).await);
    checks.extend(agent::checks(&Client::new(socket)).await);
    let worst = checks.iter().map(|check| check.verdict).max();
    let findings = Findings {
        verdict: worst.unwrap_or(Verdict::Ok),
        checks,
    };
    match global.json {
        true => print::json(&findings)?,
        false => tell(&findings)?,
    }
    Ok(match findings.verdict {
        Verdict::Ok | Verdict::Warn => Exit::Success,
        Verdict::Fail => Exit::Failure,
    })
}

/// Who listens at the socket.
async fn listener(socket: &Path) -> Option<UCred> {
    const DEADLINE: Duration = Duration::from_secs(2);
    let stream = timeout(DEADLINE, UnixStream::connect(socket)).await;
    stream.ok()?.ok()?.peer_cred().ok()
}

/// The configuration that holds, or the defaults where it is wrong, and what is to be said of it.
fn configuration(global: &Global) -> (Config, Vec<Check>) {
    const NAME: &str = "configuration";
    let config = match Config::load(global.config.as_deref()) {
        Ok(config) => credentials::located(config),
        Err(error) => {
            let advice =
                "correct it (ostler config reference explains every key), then ostler config check";
            let check = Check::fail(NAME, error.to_string(), advice);
            return (Config::default(), vec![check]);
        }
    };
    let problems: Vec<Check> = crate::agent::check_files(&config)
        .into_iter()
        .map(|problem| {
            let message = format!("{}: {}", problem.key, problem.what);
            Check::fail(
                NAME,
                message,
                "make the file readable for the agent alone, or name another",
            )
        })
        .collect();
    if !problems.is_empty() {
        return (config, problems);
    }
    let file = file(global);
    let check = match file.exists() {
        true => Check::ok(NAME, format!("{} is valid", file.display())),
        false => Check::ok(
            NAME,
            format!("{} is not there: the defaults hold", file.display()),
        ),
    };
    (config, vec![check])
}

/// The configuration file that is meant, whether it is there or not.
fn file(global: &Global) -> PathBuf {
    global.config.clone().unwrap_or_else(|| DEFAULT_PATH.into())
}

fn tell(findings: &Findings) -> Outcome<()> {
    let mut rows = Vec::new();
    for check in &findings.checks {
        let verdict = match check.verdict {
            Verdict::Ok => Cell::new("ok", Tone::Good),
            Verdict::Warn => Cell::new("warn", Tone::Doubtful),
            Verdict::Fail => Cell::new("fail", Tone::Bad),
        };
        // Some messages have several lines; each keeps its place under the first.
        let mut lines = check.message.lines();
        let first = lines.next().unwrap_or_default();
        rows.push(vec![verdict, check.name.into(), first.into()]);
        let advice = check.advice.as_ref().map(|advice| format!("-> {advice}"));
        for line in lines.map(str::to_owned).chain(advice) {
            rows.push(vec!["".into(), "".into(), line.into()]);
        }
    }
    Ok(print::table(&rows)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_decides() {
        assert!(Verdict::Fail > Verdict::Warn && Verdict::Warn > Verdict::Ok);
    }

    #[test]
    fn a_check_is_written_with_its_advice_only_where_there_is_one() {
        let fine = serde_json::to_value(Check::ok("clock", "right")).unwrap();
        assert_eq!(
            fine,
            serde_json::json!({"name": "clock", "verdict": "ok", "message": "right"})
        );
        let bad = serde_json::to_value(Check::fail("clock", "wrong", "set it")).unwrap();
        assert_eq!(bad["advice"], "set it");
    }
}
