//! What there is to read.

use std::time::Duration;

use hyper::StatusCode;
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use super::hall::Hall;
use super::reply::{self, Problem, Reply};
use crate::protocol::{Name, OperationId};

/// How long a log may take; the runtime has a shorter deadline of its own.
const LOGS_DEADLINE: Duration = Duration::from_secs(60);

/// How long a list of snapshots may take: every file of each is looked at, none is read.
const LIST_DEADLINE: Duration = Duration::from_secs(60);

fn ok(body: &impl Serialize) -> Reply {
    reply::json(StatusCode::OK, body)
}

/// How the agent itself is.
pub(super) fn health(hall: &Hall) -> Reply {
    ok(&json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "refused": hall.state.engine.refused(),
        "link": hall.state.link.as_ref().map(|link| link.borrow().clone()),
        "http": hall.counts,
    }))
}

/// What the agent has found out, or that it has not yet.
pub(super) fn shown<T: Serialize>(value: &Option<T>, what: &str) -> Result<Reply, Problem> {
    value.as_ref().map(ok).ok_or_else(|| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not-ready",
            format!("{what} is not there yet: the agent has just started"),
        )
    })
}

/// One workload.
pub(super) fn workload(hall: &Hall, name: &str) -> Result<Reply, Problem> {
    let reports = hall.state.engine.workloads();
    reports
        .iter()
        .find(|report| report.name.as_str() == name)
        .map(ok)
        .ok_or_else(|| no_workload(name))
}

/// Every workload.
pub(super) fn workloads(hall: &Hall) -> Reply {
    ok(&json!({ "workloads": hall.state.engine.workloads() }))
}

fn no_workload(name: &str) -> Problem {
    // A name that is none is shown escaped and bounded by its own error.
    match Name::new(name) {
        Ok(name) => Problem::not_found(format!(
            "there is no workload `{name}`; GET /v1/workloads lists them"
        )),
        Err(bad) => Problem::not_found(bad.to_string()),
    }
}

/// The end of a workload's log.
pub(super) async fn logs(hall: &Hall, name: &str, lines: usize) -> Result<Reply, Problem> {
    let engine = &hall.state.engine;
    let name = known(hall, name)?;
    match timeout(LOGS_DEADLINE, engine.logs(&name, lines)).await {
        Ok(log) => Ok(ok(&json!({ "workload": name, "log": log? }))),
        Err(_) => Err(too_late(
            "runtime-unresponsive",
            "log",
            &name,
            LOGS_DEADLINE,
        )),
    }
}

/// The snapshots of a workload, newest first.
pub(super) async fn snapshots(hall: &Hall, name: &str) -> Result<Reply, Problem> {
    let name = known(hall, name)?;
    match timeout(LIST_DEADLINE, hall.state.engine.snapshots(&name)).await {
        Ok(list) => Ok(ok(&json!({ "workload": name, "snapshots": list? }))),
        Err(_) => Err(too_late(
            "out-of-time",
            "list of snapshots",
            &name,
            LIST_DEADLINE,
        )),
    }
}

fn known(hall: &Hall, name: &str) -> Result<Name, Problem> {
    let reports = hall.state.engine.workloads();
    let known = reports
        .into_iter()
        .find(|report| report.name.as_str() == name);
    known
        .map(|report| report.name)
        .ok_or_else(|| no_workload(name))
}

fn too_late(reason: &str, what: &str, workload: &Name, deadline: Duration) -> Problem {
    let seconds = deadline.as_secs();
    Problem::new(
        StatusCode::GATEWAY_TIMEOUT,
        reason,
        format!("the {what} of `{workload}` did not come within {seconds} s"),
    )
}

/// The latest operations and refusals.
pub(super) fn operations(hall: &Hall, limit: usize) -> Reply {
    let engine = &hall.state.engine;
    let mut records = engine.records();
    records.truncate(limit);
    let mut refusals = engine.refusals();
    refusals.truncate(limit);
    ok(&json!({
        "operations": records,
        "refusals": refusals,
        "refused": engine.refused(),
    }))
}

/// One operation.
pub(super) async fn operation(hall: &Hall, id: &str) -> Result<Reply, Problem> {
    let id = OperationId::new(id).map_err(|bad| Problem::not_found(bad.to_string()))?;
    let found = hall.state.engine.find(&id).await.ok().flatten();
    found
        .as_ref()
        .map(ok)
        .ok_or_else(|| Problem::not_found(format!("there is no operation `{id}`, or no longer")))
}
