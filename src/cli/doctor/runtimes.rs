//! The runtimes other than Docker: asked past the agent whether they know the workload.

use std::time::Duration;

use nix::unistd::geteuid;
use tokio::time::timeout;

use super::Check;
use crate::config::{Config, Kind, Runtime, Workload};
use crate::runtime::Runtime as _;
use crate::runtime::pm2::Pm2;
use crate::runtime::systemd::Systemd;
use crate::runtime::{Error, Inspection};

/// PM2's program alone takes a second to start, on a small board several.
const DEADLINE: Duration = Duration::from_secs(30);

/// What each says.
pub(super) async fn checks(config: &Config) -> Vec<Check> {
    let mut checks = Vec::new();
    for workload in &config.workload {
        match &workload.runtime {
            Runtime::Docker(_) => {}
            Runtime::Systemd(systemd) => {
                let advice = format!(
                    "see `systemctl status {}`, and correct `unit`",
                    systemd.unit
                );
                let runtime = Systemd::new(systemd.unit.clone());
                let asked = timeout(DEADLINE, runtime.inspect()).await.ok();
                checks.push(check("systemd unit", workload, asked, advice));
            }
            Runtime::Pm2(pm2) => {
                let advice = format!(
                    "see what PM2 says as that user (runuser -l {} -c 'pm2 list'), and correct `runtime`",
                    pm2.user
                );
                let runtime = Pm2::new(pm2.settings(workload.kind == Kind::Ptn));
                let asked = timeout(DEADLINE, runtime.inspect()).await.ok();
                checks.push(check("pm2", workload, asked, advice));
            }
        }
    }
    checks
}

fn check(
    name: &'static str,
    workload: &Workload,
    asked: Option<Result<Inspection, Error>>,
    advice: String,
) -> Check {
    let who = &workload.name;
    match asked {
        Some(Ok(found)) => Check::ok(name, format!("{who}: it is there, and {}", found.state)),
        Some(Err(error)) if !geteuid().is_root() => Check::warn(
            name,
            format!("{who}: {error}"),
            "ask as root (sudo ostler doctor)",
        ),
        Some(Err(error)) => Check::fail(name, format!("{who}: {error}"), advice),
        None => Check::fail(
            name,
            format!("{who}: no answer within {} s", DEADLINE.as_secs()),
            advice,
        ),
    }
}
