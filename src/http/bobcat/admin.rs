//! `POST /admin/…`: the four actions, each an operation of the engine, with the stock device's words for an answer.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::super::hall::Hall;
use super::super::reply::status_of;
use super::Miner;
use super::stamp::stamp;
use super::view::{Phase, View};
use crate::clock::Timestamp;
use crate::operation::{Answer, Engine};
use crate::protocol::{
    Failure, Name, Operation, OperationId, OperationRecord, Origin, Reason, Request, State,
    StepState,
};

/// How long a request waits for the miner to run again. A connection lasts ten minutes.
const LONGEST: Duration = Duration::from_secs(540);

/// How long the start that follows waits for an operation to end, whether somebody still listens or not.
const AT_LAST: Duration = Duration::from_secs(24 * 3600);

/// How long the others wait for an operation that ends at once, because it cannot be done.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Between two looks at the operation's record.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a snapshot may be loaded until it may be interrupted from here.
const LOAD: u64 = 3600;

/// For how long a miner that does not answer may be loading one, though its log does not say so yet.
const SILENCE: u64 = 600;

/// How long the snapshots of a miner may take to be listed.
const LIST: Duration = Duration::from_secs(10);

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Reboot,
    Reset,
    Resync,
    Fastsync,
}

impl Action {
    fn operation(self) -> Operation {
        match self {
            Action::Reboot => Operation::Reboot,
            Action::Reset => Operation::Reset,
            Action::Resync => Operation::Resync,
            Action::Fastsync => Operation::Fastsync,
        }
    }
}

/// Takes an action, and answers as the stock device does: a reset and a resync when the miner runs again, the others
/// at once. Nothing is done where something else is at work, or a snapshot is being loaded.
pub(super) async fn ask(hall: &Hall, action: Action) -> (StatusCode, String) {
    let engine = &hall.state.engine;
    let Some(miner) = &hall.state.miner else {
        return refused("this device looks after no miner: configure one of kind helium");
    };
    let Ok(desk) = hall.surroundings.desk.try_lock() else {
        return refused("another request is just being taken");
    };
    let view = View::now(engine, Some(miner));
    if let Some(why) = in_the_way(engine, miner, action, &view) {
        return refused(&why);
    }
    let workload = match action {
        Action::Reboot => None,
        _ => Some(&miner.name),
    };
    let arguments = arguments(engine, miner, action).await;
    let begun = match begin(engine, workload, action.operation(), arguments).await {
        Ok(id) => id,
        Err(failure) => return (status_of(failure.reason), failure.message),
    };
    drop(desk);
    let record = match action {
        Action::Reboot | Action::Fastsync => until_it_runs(engine, &begun, AT_ONCE).await,
        Action::Reset | Action::Resync => {
            // In a task of its own: a tool that hangs up does not keep a miner stopped.
            let bringing = tokio::spawn(bring(engine.clone(), miner.name.clone(), begun.clone()));
            match timeout(LONGEST, bringing).await {
                Ok(Ok(record)) => record,
                Ok(Err(_)) | Err(_) => engine.record(&begun),
            }
        }
    };
    match record {
        Some(record) if record.state == State::Succeeded || runs_again(&record) => {
            (StatusCode::OK, done(action))
        }
        Some(OperationRecord {
            failure: Some(failure),
            steps,
            ..
        }) => {
            let done = steps.iter().filter(|step| step.state == StepState::Done);
            let names: Vec<_> = done.map(|step| step.name.as_str()).collect();
            (
                status_of(failure.reason),
                failed(action, &names, &failure.message),
            )
        }
        _ => match action {
            Action::Reboot | Action::Fastsync => (StatusCode::OK, done(action)),
            Action::Reset | Action::Resync => (
                StatusCode::ACCEPTED,
                format!(
                    "it takes longer than usual and goes on; ostler operations shows it as {begun}"
                ),
            ),
        },
    }
}

/// Waits until the miner runs. One that did not run before does not run after an operation; on the stock device it does.
async fn bring(engine: Engine, miner: Name, begun: OperationId) -> Option<OperationRecord> {
    let record = until_it_runs(&engine, &begun, AT_LAST).await;
    if !record.as_ref().is_some_and(stays_stopped) {
        return record;
    }
    match begin(&engine, Some(&miner), Operation::Start, Map::new()).await {
        Ok(started) => until_it_runs(&engine, &started, LONGEST).await,
        Err(_) => record,
    }
}

fn refused(why: &str) -> (StatusCode, String) {
    (StatusCode::CONFLICT, format!("nothing was done: {why}"))
}

/// What speaks against it: work that has not ended, or a load that would be lost.
fn in_the_way(engine: &Engine, miner: &Miner, action: Action, view: &View) -> Option<String> {
    let at_work = engine.records().into_iter().rev().find(|record| {
        let concerns =
            record.workload.as_ref() == Some(&miner.name) && !record.operation.is_beside_the_lane();
        !record.state.is_final() && (concerns || record.operation == Operation::Reboot)
    });
    if let Some(record) = at_work {
        return Some(format!(
            "{} is at work on it (ostler operations {})",
            record.operation, record.id
        ));
    }
    let lasted = view.lasted();
    let why = match view.phase {
        Phase::Loading if lasted < LOAD => {
            "the miner is loading a snapshot, and would have to begin again".to_owned()
        }
        Phase::Silent if !view.is_cut_off() && lasted < SILENCE => format!(
            "the miner has not answered for {lasted} s and may be loading a snapshot; ask again in {} min",
            (SILENCE - lasted).div_ceil(60)
        ),
        _ => return None,
    };
    // Tools ask whatever the state is; a person who means it has the command line.
    let command = match action {
        Action::Reboot => "ostler reboot".to_owned(),
        Action::Reset | Action::Resync | Action::Fastsync => {
            format!("ostler {} {}", action.operation(), miner.name)
        }
    };
    Some(format!(
        "{why}. On the device, `{command}` does it all the same"
    ))
}

/// Hands the request to the engine, in a task of its own: a requester who hangs up does not interrupt the journal.
async fn begin(
    engine: &Engine,
    workload: Option<&Name>,
    operation: Operation,
    args: Map<String, Value>,
) -> Result<OperationId, Failure> {
    let id = OperationId::made_up(operation);
    let request = Request {
        id: id.clone(),
        operation,
        workload: workload.cloned(),
        args,
        origin: Origin::Http,
        expires_at: None,
        dry_run: false,
    };
    let engine = engine.clone();
    match tokio::spawn(async move { engine.submit(request).await }).await {
        Ok(Answer::Accepted(_) | Answer::Known(_)) => Ok(id),
        Ok(Answer::Refused(refusal)) => Err(refusal.failure),
        Err(_) => Err(Failure::new(
            Reason::ShuttingDown,
            "the agent is shutting down",
        )),
    }
}

/// A resync begins from the device's own snapshot where it has one, else from nothing, as the stock device always does.
async fn arguments(engine: &Engine, miner: &Miner, action: Action) -> Map<String, Value> {
    if action != Action::Resync {
        return Map::new();
    }
    let listed = timeout(LIST, engine.snapshots(&miner.name)).await;
    let good = matches!(listed, Ok(Ok(list)) if list.iter().any(|snapshot| snapshot.bad.is_none()));
    let from = if good { "snapshot" } else { "scratch" };
    Map::from_iter([("from".to_owned(), json!(from))])
}

/// The record when the miner runs again or the operation has ended, or after this time as it is then.
async fn until_it_runs(
    engine: &Engine,
    id: &OperationId,
    longest: Duration,
) -> Option<OperationRecord> {
    let deadline = Instant::now() + longest;
    loop {
        let record = engine.record(id)?;
        if record.state.is_final() || runs_again(&record) || Instant::now() >= deadline {
            return Some(record);
        }
        sleep(PAUSE).await;
    }
}

/// Whether the operation has done its work on a miner that did not run, and so does not run now.
fn stays_stopped(record: &OperationRecord) -> bool {
    record.state == State::Succeeded && record.step("start").is_none()
}

fn runs_again(record: &OperationRecord) -> bool {
    record
        .step("start")
        .is_some_and(|step| step.state == StepState::Done)
        && record.failure.is_none()
}

/// The stock device's steps of a reset and of a resync, each with the step of ours that does it; the numbers are the stock
/// device's own.
const RESYNC: [(&str, &str); 4] = [
    ("", "1: Your miner is going to rest"),
    ("stop", "2: Docker is going to be stopped"),
    ("exchange", "3: Boom! Old blockchain data gone"),
    ("start", "4: Bam! Rebuilding miner data"),
];
const RESET: [(&str, &str); 8] = [
    ("", "1: Your miner is going to rest"),
    ("", "3: Housekeeper was sent home"),
    ("stop", "3: Docker is going to be stopped"),
    ("exchange", "4: Boom! Old blockchain data gone"),
    ("swap", "5: Boom! miner gone"),
    ("swap", "6: Housekeeper is back, but everything is gone"),
    ("start", "7: Rebuilding everything"),
    ("start", "8: Cleaning up"),
];

fn steps(action: Action) -> &'static [(&'static str, &'static str)] {
    match action {
        Action::Resync => &RESYNC,
        Action::Reset => &RESET,
        Action::Reboot | Action::Fastsync => &[],
    }
}

fn done(action: Action) -> String {
    let lines: String = steps(action)
        .iter()
        .map(|(_, line)| format!("{line}<br>"))
        .collect();
    let now = stamp(Timestamp::now());
    let miner =
        "iner successfully restarted, but it may take 30 minutes to load files from internet";
    match action {
        Action::Reboot => "Rebooting hotspot".to_owned(),
        Action::Fastsync => "Syncing your miner, please leave your power on.".to_owned(),
        Action::Resync => format!("{lines}M{miner}, please be patient. {now}<br>"),
        Action::Reset => format!("{lines}Bam! M{miner}. Please be patient. {now}<br>"),
    }
}

/// The steps that were done, and in the next one's place the error.
fn failed(action: Action, done: &[&str], message: &str) -> String {
    let lines: String = steps(action)
        .iter()
        .take_while(|(step, _)| step.is_empty() || done.contains(step))
        .map(|(_, line)| format!("{line}<br>"))
        .collect();
    format!("{lines}, {}<br>", escaped(message))
}

/// The answer is shown as HTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_that_is_done_says_so_in_the_stock_device_s_words() {
        let stamped = |text: String| {
            // The first is that of the year; the hour may be another.
            let (before, after) = text.split_once(" 20").unwrap();
            assert!(after.ends_with(" +0000 UTC<br>"), "{after}");
            before.to_owned()
        };
        assert_eq!(
            stamped(done(Action::Resync)),
            "1: Your miner is going to rest<br>2: Docker is going to be stopped<br>3: Boom! Old blockchain data gone<br>\
             4: Bam! Rebuilding miner data<br>Miner successfully restarted, but it may take 30 minutes to load files from \
             internet, please be patient."
        );
        assert_eq!(
            stamped(done(Action::Reset)),
            "1: Your miner is going to rest<br>3: Housekeeper was sent home<br>3: Docker is going to be stopped<br>\
             4: Boom! Old blockchain data gone<br>5: Boom! miner gone<br>6: Housekeeper is back, but everything is gone<br>\
             7: Rebuilding everything<br>8: Cleaning up<br>Bam! Miner successfully restarted, but it may take 30 minutes to \
             load files from internet. Please be patient."
        );
        assert_eq!(done(Action::Reboot), "Rebooting hotspot");
        let fastsync = "Syncing your miner, please leave your power on.";
        assert_eq!(done(Action::Fastsync), fastsync);
    }

    #[test]
    fn a_step_that_fails_has_its_error_in_its_place() {
        let text = failed(Action::Resync, &["stage", "stop"], "no <space> left");
        assert_eq!(
            text,
            "1: Your miner is going to rest<br>2: Docker is going to be stopped<br>, no &lt;space&gt; left<br>"
        );
        assert_eq!(failed(Action::Fastsync, &[], "why"), ", why<br>");
    }
}
