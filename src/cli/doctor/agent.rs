//! The agent itself, and what it says of its broker and its workloads.

use serde::Deserialize;

use super::Check;
use crate::cli::client::{Client, Error};
use crate::protocol::{Health, RunState, WorkloadReport};
use crate::report::Link;

#[derive(Deserialize)]
struct AgentHealth {
    version: String,
    refused: u64,
    link: Option<Link>,
}

#[derive(Deserialize)]
struct Workloads {
    workloads: Vec<WorkloadReport>,
}

/// Asks the agent, where it runs.
pub(super) async fn checks(client: &Client) -> Vec<Check> {
    const NAME: &str = "agent";
    let health: AgentHealth = match client.get("/v1/health").await {
        Ok(health) => health,
        Err(error) => return vec![without(NAME, &error)],
    };
    let mut checks = vec![version(NAME, &health)];
    checks.extend(health.link.as_ref().map(link));
    match client.get::<Workloads>("/v1/workloads").await {
        Ok(all) if all.workloads.is_empty() => checks.push(Check::warn(
            "workloads",
            "the agent looks after nothing",
            "configure a [[workload]] (ostler config reference)",
        )),
        Ok(all) => checks.extend(all.workloads.iter().map(workload)),
        Err(error) => checks.push(without("workloads", &error)),
    }
    checks
}

fn without(name: &'static str, error: &Error) -> Check {
    let advice = match error {
        Error::Absent { .. } => {
            "start it (systemctl start ostler), or see why it ended (journalctl -u ostler)"
        }
        Error::Denied { .. } => "ask as root (sudo ostler doctor)",
        _ => "see its log (journalctl -u ostler)",
    };
    match error {
        Error::Denied { .. } => Check::warn(name, error.to_string(), advice),
        _ => Check::fail(name, error.to_string(), advice),
    }
}

fn version(name: &'static str, health: &AgentHealth) -> Check {
    const OURS: &str = env!("CARGO_PKG_VERSION");
    let AgentHealth {
        version, refused, ..
    } = health;
    let refused = match refused {
        0 => String::new(),
        refused => format!(", {refused} commands refused (ostler operations)"),
    };
    match version == OURS {
        true => Check::ok(
            name,
            format!("version {version} answers at its socket{refused}"),
        ),
        false => Check::warn(
            name,
            format!("version {version} is running, and this is {OURS}"),
            "restart it (systemctl restart ostler)",
        ),
    }
}

/// What the agent says of its link to the broker.
fn link(link: &Link) -> Check {
    const NAME: &str = "broker link";
    let advice = match (link.connected, link.refused.is_empty()) {
        (true, true) => return Check::ok(NAME, link.to_string()),
        (true, false) => {
            "let the device read these topics (docs/protocol.md has what it needs), then restart the agent"
        }
        (false, _) => "see the agent's log (journalctl -u ostler)",
    };
    Check::fail(NAME, link.to_string(), advice)
}

fn workload(report: &WorkloadReport) -> Check {
    const NAME: &str = "workload";
    let words = |text: &Option<String>| {
        text.as_ref()
            .map(|text| format!(" ({text})"))
            .unwrap_or_default()
    };
    let message = format!(
        "{} ({}): {}{}",
        report.name,
        report.runtime,
        report.state,
        words(&report.reason)
    );
    match (report.state, report.health) {
        (RunState::Running, Health::Failing | Health::Degraded) => Check::warn(
            NAME,
            format!("{message}, but not well{}", words(&report.health_reason)),
            format!("see its log (ostler logs {})", report.name),
        ),
        (RunState::Running, Health::Starting) => Check::ok(
            NAME,
            format!("{message}, coming up{}", words(&report.health_reason)),
        ),
        (RunState::Running, Health::Healthy | Health::Unknown) => Check::ok(NAME, message),
        (RunState::RuntimeAbsent | RunState::RuntimeUnresponsive, _) => Check::fail(
            NAME,
            message,
            match report.runtime.starts_with("pm2 ") {
                true => "start or restart its PM2 (pm2 list, pm2 resurrect), as its user",
                false => "start or restart what runs it (systemctl restart docker)",
            },
        ),
        (RunState::Missing | RunState::Dead, _) => Check::fail(
            NAME,
            message,
            "make it anew, or correct its name in the configuration",
        ),
        (RunState::Stopped | RunState::Created | RunState::Paused, _) => Check::warn(
            NAME,
            message,
            format!("start it (ostler start {})", report.name),
        ),
        (RunState::Restarting | RunState::Unknown, _) => Check::warn(
            NAME,
            message,
            format!("see its log (ostler logs {})", report.name),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_link_over_which_no_command_comes_fails() {
        let dropped = json!({ "telemetry": 0, "events": 0, "oversized": 0 });
        let mut told = json!({
            "broker": "mqtt://broker", "connected": true, "since": "2026-01-02T03:04:05Z", "connection": 1,
            "lost": 0, "waiting": 0, "dropped": dropped,
        });
        let check = |told: Value| link(&serde_json::from_value(told).unwrap());
        assert_eq!(check(told.clone()).verdict, Verdict::Ok);
        told["refused"] = json!(["ostler/attic/command/+"]);
        let refused = check(told);
        assert_eq!(refused.verdict, Verdict::Fail);
        assert!(refused.message.contains("ostler/attic/command/+"));
    }
}
