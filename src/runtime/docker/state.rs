//! What the engine says of a container, in the agent's words.

use nix::sys::signal::Signal;
use serde_json::Value;

use super::Inspection;
use super::client::bounded;
use crate::protocol::RunState;

/// The engine's "never".
const NEVER: &str = "0001-01-01T00:00:00Z";

/// How many characters of a container's id tell it from another one, by the engine's own custom.
const SHORT_ID: usize = 12;

/// Translates the engine's answer, that of `GET /containers/{id}/json`, as does all else here.
pub(super) fn inspection(answer: &Value) -> Inspection {
    let state = &answer["State"];
    let started_at = text(&state["StartedAt"]).filter(|at| at != NEVER);
    Inspection {
        state: run_state(answer),
        reason: reason(state),
        run: started_at.as_ref().map(|at| {
            let id = answer["Id"].as_str().unwrap_or_default();
            format!("{}@{at}", id.get(..SHORT_ID).unwrap_or(id))
        }),
        started_at,
        image: text(&answer["Config"]["Image"]),
        instance: text(&answer["Id"]),
        created_at: text(&answer["Created"]),
        restarts: answer["RestartCount"].as_u64(),
        health: text(&state["Health"]["Status"])
            .filter(|status| !matches!(status.as_str(), "" | "none")),
        parts: Vec::new(),
    }
}

/// Whether the container is gone with its configuration as soon as it stops.
pub(super) fn vanishes(answer: &Value) -> bool {
    answer["HostConfig"]["AutoRemove"] == true
}

/// How the container is.
pub(super) fn run_state(answer: &Value) -> RunState {
    match answer["State"]["Status"].as_str() {
        Some("running" | "stopping") => RunState::Running,
        Some("exited") => RunState::Stopped,
        Some("created") => RunState::Created,
        Some("restarting") => RunState::Restarting,
        Some("paused") => RunState::Paused,
        Some("dead") => RunState::Dead,
        Some(_) | None => RunState::Unknown,
    }
}

/// Why it is so; nothing where it simply runs.
fn reason(state: &Value) -> Option<String> {
    let ended = || ended(state);
    match state["Status"].as_str() {
        Some("running") => None,
        Some("stopping") => Some("is being stopped".into()),
        Some("exited") => Some(ended()),
        Some("created") => Some(match error(state) {
            Some(error) => format!("could not be started: {}", bounded(error)),
            None => "was created and never started".into(),
        }),
        Some("restarting") => Some(format!("{}, and is started again and again", ended())),
        Some("paused") => Some("is paused".into()),
        Some("dead") => Some(
            "the engine could not remove it; remove it by hand (docker rm -f) and create it again"
                .into(),
        ),
        Some("removing") => Some("is being removed".into()),
        None | Some("") => Some("the engine does not say how it is".into()),
        Some(other) => Some(format!("the engine says it is {}", bounded(other))),
    }
}

/// How the last run ended.
fn ended(state: &Value) -> String {
    let status = state["ExitCode"].as_i64().unwrap_or_default();
    let mut text = format!("exited with status {status}");
    if state["OOMKilled"] == true {
        text.push_str(" (out of memory)");
    } else if let Some(signal) = signal(status) {
        text.push_str(&format!(" ({signal})"));
    }
    if let Some(error) = error(state) {
        text.push_str(&format!(": {}", bounded(error)));
    }
    text
}

/// What the engine says went wrong.
fn error(state: &Value) -> Option<&str> {
    state["Error"].as_str().filter(|error| !error.is_empty())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// The signal that ended a program, by the shells' custom of 128 and its number.
fn signal(status: i64) -> Option<Signal> {
    let number = i32::try_from(status.checked_sub(128)?).ok()?;
    Signal::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(state: &str) -> Inspection {
        let answer = format!(
            r#"{{"Id": "3b1f6c0f2a7d9e", "RestartCount": 2, "Config": {{"Image": "miner:GA"}}, "State": {state}}}"#
        );
        inspection(&serde_json::from_str(&answer).unwrap())
    }

    #[track_caller]
    fn expect(state: &str, run_state: RunState, reason: &str) {
        let inspection = read(state);
        assert_eq!(inspection.state, run_state);
        assert_eq!(inspection.reason.as_deref().unwrap_or(""), reason);
    }

    #[test]
    fn every_state_has_its_reason() {
        expect(r#"{"Status": "running"}"#, RunState::Running, "");
        expect(
            r#"{"Status": "exited", "ExitCode": 0}"#,
            RunState::Stopped,
            "exited with status 0",
        );
        expect(
            r#"{"Status": "exited", "ExitCode": 137, "OOMKilled": true}"#,
            RunState::Stopped,
            "exited with status 137 (out of memory)",
        );
        expect(
            r#"{"Status": "exited", "ExitCode": 143}"#,
            RunState::Stopped,
            "exited with status 143 (SIGTERM)",
        );
        expect(
            r#"{"Status": "exited", "ExitCode": 127, "Error": "exec: no such file"}"#,
            RunState::Stopped,
            "exited with status 127: exec: no such file",
        );
        expect(
            r#"{"Status": "created"}"#,
            RunState::Created,
            "was created and never started",
        );
        expect(
            r#"{"Status": "created", "ExitCode": 128, "Error": "device not found"}"#,
            RunState::Created,
            "could not be started: device not found",
        );
        expect(
            r#"{"Status": "restarting", "Running": true, "ExitCode": 1}"#,
            RunState::Restarting,
            "exited with status 1, and is started again and again",
        );
        expect(
            r#"{"Status": "paused", "Running": true}"#,
            RunState::Paused,
            "is paused",
        );
        expect(
            r#"{"Status": "removing"}"#,
            RunState::Unknown,
            "is being removed",
        );
        expect(
            r#"{"Status": "hibernating"}"#,
            RunState::Unknown,
            "the engine says it is hibernating",
        );
        expect(
            r"{}",
            RunState::Unknown,
            "the engine does not say how it is",
        );
        let dead = read(r#"{"Status": "dead", "Dead": true}"#);
        assert_eq!(dead.state, RunState::Dead);
        assert!(dead.reason.unwrap().contains("docker rm -f"));
    }

    #[test]
    fn a_run_is_a_container_and_its_start() {
        let inspection = read(
            r#"{"Status": "running", "StartedAt": "2022-01-31T00:00:00Z", "Health": {"Status": "unhealthy"}}"#,
        );
        assert_eq!(
            inspection.run.as_deref(),
            Some("3b1f6c0f2a7d@2022-01-31T00:00:00Z")
        );
        assert_eq!(inspection.image.as_deref(), Some("miner:GA"));
        assert_eq!(inspection.restarts, Some(2));
        assert_eq!(inspection.health.as_deref(), Some("unhealthy"));

        let never = read(
            r#"{"Status": "created", "StartedAt": "0001-01-01T00:00:00Z", "Health": {"Status": "none"}}"#,
        );
        assert_eq!(
            (never.run, never.started_at, never.health),
            (None, None, None)
        );
    }
}
