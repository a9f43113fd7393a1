//! What PM2 says of the apps of a workload, in the agent's words.

use super::list::{Entry, Status};
use super::{App, Inspection};
use crate::clock::Timestamp;
use crate::protocol::{Part, RunState};

/// A status of a program that ended well, or was asked to end.
const ENDED_WELL: i64 = 0;

/// The apps of a workload in the order of its configuration; what PM2 does not have is `None`.
pub(super) fn select<'a>(apps: &[App], all: &'a [Entry]) -> Vec<(App, Vec<&'a Entry>)> {
    apps.iter().map(|app| (app.clone(), of(app, all))).collect()
}

/// All that this app is: PM2 may have several of one name.
pub(super) fn of<'a>(app: &App, all: &'a [Entry]) -> Vec<&'a Entry> {
    all.iter()
        .filter(|entry| !entry.is_module && app.is(&entry.name, entry.script.as_deref()))
        .collect()
}

/// Translates the list of a daemon that runs. `starts` are the apps that are started; they start the others.
pub(super) fn inspection(apps: &[App], starts: &[App], all: &[Entry]) -> Inspection {
    let selected = select(apps, all);
    let first = selected
        .iter()
        .find(|(app, entries)| starts.contains(app) && !entries.is_empty())
        .and_then(|(_, entries)| entries.first());
    let entries = || selected.iter().flat_map(|(_, entries)| entries.iter());
    let parts: Vec<Part> = selected
        .iter()
        .flat_map(|(app, entries)| match entries.is_empty() {
            true => vec![missing(app, starts.contains(app))],
            false => entries.iter().map(|entry| part(entry)).collect(),
        })
        .collect();
    let any = |state: RunState| parts.iter().any(|part| part.state == state);
    let state = match () {
        () if any(RunState::Restarting) => RunState::Restarting,
        () if any(RunState::Running) => RunState::Running,
        () if any(RunState::Unknown) => RunState::Unknown,
        () => RunState::Stopped,
    };
    let is_well = |part: &Part| part.state == RunState::Running;
    let reasons: Vec<String> = parts
        .iter()
        .filter(|part| !is_well(part))
        .filter_map(|part| Some(format!("{} {}", part.name, part.reason.as_ref()?)))
        .collect();
    Inspection {
        state,
        reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
        // By those that are started: the others are started anew by them, and by PM2, all the time.
        run: first.and_then(|entry| Some(format!("{}-{}", entry.id, entry.started_ms?))),
        started_at: first
            .filter(|entry| entry.is_up())
            .and_then(|entry| began(entry)),
        image: first
            .and_then(|entry| entry.script.as_ref())
            .map(|script| script.display().to_string()),
        instance: None,
        created_at: None,
        restarts: Some(entries().map(|entry| entry.restarts).sum()),
        health: match parts.iter().all(is_well) {
            true => Some("healthy".to_owned()),
            false => Some("unhealthy".to_owned()),
        },
        parts,
    }
}

/// Where the daemon does not run: what was saved tells at least what there would be.
pub(super) fn without_daemon(apps: &[App], saved: &[Entry], left: usize) -> Inspection {
    let reason = match left {
        0 => "PM2's daemon does not run; a start brings it back with the apps that were saved"
            .to_owned(),
        left => format!(
            "PM2's daemon has died, and {left} processes of its apps run without it; a stop ends them"
        ),
    };
    let parts = select(apps, saved).into_iter().map(|(app, entries)| Part {
        name: entries
            .first()
            .map_or_else(|| app.to_string(), |entry| entry.shown()),
        state: RunState::Stopped,
        reason: Some("has no daemon".to_owned()),
        started_at: None,
        restarts: None,
        gave_up: false,
    });
    Inspection {
        state: match left {
            0 => RunState::Stopped,
            _ => RunState::Running,
        },
        reason: Some(reason),
        run: None,
        started_at: None,
        image: None,
        instance: None,
        created_at: None,
        restarts: None,
        health: Some("unhealthy".to_owned()),
        parts: parts.collect(),
    }
}

fn missing(app: &App, is_started: bool) -> Part {
    let reason = match is_started {
        true => "is not in PM2's list",
        false => "is not in PM2's list (another app makes it)",
    };
    Part {
        name: app.to_string(),
        state: RunState::Missing,
        reason: Some(reason.to_owned()),
        started_at: None,
        restarts: None,
        gave_up: false,
    }
}

fn part(entry: &Entry) -> Part {
    let (state, reason) = match entry.status {
        Status::Online => (RunState::Running, None),
        Status::Launching => (RunState::Running, Some("is being launched".to_owned())),
        Status::Stopping => (RunState::Running, Some("is being stopped".to_owned())),
        Status::WaitingRestart => (
            RunState::Restarting,
            Some(format!("{}, and is started again and again", ended(entry))),
        ),
        Status::Stopped => (RunState::Stopped, Some(stopped(entry))),
        Status::Errored => (RunState::Stopped, Some(errored(entry))),
        Status::Other if entry.pid.is_some() => (
            RunState::Running,
            Some("has a status that is not understood".to_owned()),
        ),
        Status::Other => (
            RunState::Unknown,
            Some("has a status that is not understood".to_owned()),
        ),
    };
    Part {
        name: entry.shown(),
        state,
        reason,
        started_at: began(entry),
        restarts: Some(entry.restarts),
        gave_up: entry.status == Status::Errored,
    }
}

fn stopped(entry: &Entry) -> String {
    match entry.exit_code {
        None | Some(ENDED_WELL) => "is stopped".to_owned(),
        Some(code) => format!("is stopped; it ended with status {code}"),
    }
}

fn errored(entry: &Entry) -> String {
    match entry.restarts {
        // PM2 forgets the count of the crashes when it gives up.
        0 => format!("could not be started or stopped; {}", ended(entry)),
        restarts => format!(
            "was given up by PM2 after {restarts} restarts; {}",
            ended(entry)
        ),
    }
}

fn ended(entry: &Entry) -> String {
    match entry.exit_code {
        None => "it ended".to_owned(),
        Some(code) => format!("it ended with status {code}"),
    }
}

fn began(entry: &Entry) -> Option<String> {
    let seconds = entry.started_ms?.div_euclid(1000);
    Timestamp::from_unix_seconds(seconds).map(|at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::list;
    use super::*;

    fn apps(names: &[&str]) -> Vec<App> {
        names.iter().map(|name| App::new(name).unwrap()).collect()
    }

    fn entry(id: u32, name: &str, status: &str, more: &str) -> String {
        format!(
            r#"{{"pm_id":{id},"pid":7,"pm2_env":{{"name":"{name}","status":"{status}","pm_uptime":1795222031074{more}}}}}"#
        )
    }

    fn inspect(entries: &[String]) -> Inspection {
        let list = format!("[{}]", entries.join(","));
        let all = list::parse(list.as_bytes()).unwrap();
        inspection(&apps(&["sn8", "ptn"]), &apps(&["sn8"]), &all)
    }

    #[test]
    fn a_workload_is_as_well_as_its_apps() {
        let both = inspect(&[entry(0, "sn8", "online", ""), entry(1, "ptn", "online", "")]);
        assert_eq!(
            (both.state, both.reason.as_deref(), both.health.as_deref()),
            (RunState::Running, None, Some("healthy"))
        );
        assert_eq!(both.started_at.as_deref(), Some("2026-11-21T00:47:11.000Z"));

        let gave_up = inspect(&[
            entry(0, "sn8", "online", ""),
            entry(1, "ptn", "errored", r#","restart_time":5,"exit_code":1"#),
        ]);
        assert_eq!(gave_up.state, RunState::Running);
        assert_eq!(
            gave_up.reason.as_deref(),
            Some("ptn was given up by PM2 after 5 restarts; it ended with status 1")
        );
        assert!(gave_up.parts[1].gave_up && gave_up.restarts == Some(5));
        assert_eq!(gave_up.run, both.run, "the updater's run is the workload's");

        let again = inspect(&[
            entry(0, "sn8", "online", ""),
            entry(4, "ptn", "waiting restart", r#","exit_code":3"#),
        ]);
        assert_eq!(again.state, RunState::Restarting);

        let stopped = inspect(&[entry(0, "sn8", "stopped", r#","exit_code":0"#)]);
        assert_eq!(stopped.state, RunState::Stopped);
        assert_eq!(
            stopped.reason.as_deref(),
            Some("sn8 is stopped; ptn is not in PM2's list (another app makes it)")
        );
    }

    #[test]
    fn plug_ins_are_no_apps() {
        let module = inspect(&[entry(0, "sn8", "online", r#","pmx_module":true"#)]);
        assert_eq!(module.parts[0].state, RunState::Missing);
    }
}
