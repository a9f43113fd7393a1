//! Live progress: one line redrawn on a terminal, one line a step elsewhere; always on standard error.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::client::{Client, Error};
use super::events::Events;
use super::units::{bytes, duration, seconds};
use crate::protocol::{OperationId, OperationRecord, Progress, State, Step, StepState};

/// How long the agent may be away, restarting or updating, before nobody waits for it any more.
const AWAY: Duration = Duration::from_secs(120);

/// How long between two tries to reach it.
const RETRY: Duration = Duration::from_secs(1);

/// Follows an operation to its end; `events` have been listened to since before it was asked for.
///
/// # Errors
/// Where the agent has been away for too long. The operation goes on all the same once it is back.
pub async fn follow(
    client: &Client,
    events: Events,
    record: OperationRecord,
    quiet: bool,
) -> Result<OperationRecord, Error> {
    let id = record.id.clone();
    let mut display = Display::new(quiet);
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut source = Source {
        client,
        id: &id,
        events: Some(events),
    };
    let mut last = record;
    while !last.state.is_final() {
        let mut next = std::pin::pin!(source.next());
        last = loop {
            display.show(&last);
            tokio::select! {
                next = &mut next => break next?,
                // Only to show how long it has been.
                _ = ticks.tick() => {}
            }
        };
    }
    display.show(&last);
    display.end();
    Ok(last)
}

/// Where news of one operation comes from: the stream, and the record itself where the stream has a gap.
struct Source<'a> {
    client: &'a Client,
    id: &'a OperationId,
    events: Option<Events>,
}

impl Source<'_> {
    async fn next(&mut self) -> Result<OperationRecord, Error> {
        if let Some(events) = &mut self.events {
            while let Some(happening) = events.next().await {
                match happening.name.as_str() {
                    "operation" => match serde_json::from_str::<OperationRecord>(&happening.data) {
                        Ok(record) if record.id == *self.id => return Ok(record),
                        Ok(_) => {}
                        Err(_) => break,
                    },
                    "lagged" => break,
                    _ => {}
                }
            }
            self.events = None;
        }
        self.begin_anew().await
    }

    /// Listens again, and only then asks for the record: so nothing happens in between.
    async fn begin_anew(&mut self) -> Result<OperationRecord, Error> {
        let end = Instant::now() + AWAY;
        loop {
            let error = match self.listen_and_ask().await {
                Ok((events, record)) => {
                    self.events = Some(events);
                    return Ok(record);
                }
                Err(error) => error,
            };
            let answered =
                matches!(error, Error::Answered { status, .. } if status.is_client_error());
            if answered || Instant::now() > end {
                return Err(error);
            }
            sleep(RETRY).await;
        }
    }

    async fn listen_and_ask(&self) -> Result<(Events, OperationRecord), Error> {
        let events = self.client.events().await?;
        let record = self
            .client
            .get(&format!("/v1/operations/{}", self.id))
            .await?;
        Ok((events, record))
    }
}

/// Waits until Ctrl-C, or for ever where the system gives no signals.
pub async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What is seen while an operation runs.
struct Display {
    quiet: bool,
    terminal: bool,
    begun: Instant,
    told: Vec<(String, StepState)>,
    drawn: bool,
}

impl Display {
    fn new(quiet: bool) -> Self {
        Self {
            quiet,
            terminal: io::stderr().is_terminal(),
            begun: Instant::now(),
            told: Vec::new(),
            drawn: false,
        }
    }

    fn show(&mut self, record: &OperationRecord) {
        if self.quiet {
            return;
        }
        match self.terminal {
            true => self.redraw(&line(record, self.begun.elapsed())),
            false => self.tell_new_steps(record),
        }
    }

    fn redraw(&mut self, line: &str) {
        self.drawn = true;
        // Line wrapping is off for this one line: what does not fit is cut by the terminal itself.
        let _ = write!(io::stderr(), "\r\x1b[?7l\x1b[K{line}\x1b[?7h");
    }

    fn tell_new_steps(&mut self, record: &OperationRecord) {
        for (place, step) in record.steps.iter().enumerate() {
            let now = (step.name.clone(), step.state);
            if self.told.get(place) == Some(&now) {
                continue;
            }
            let _ = writeln!(io::stderr(), "{}", step_line(step));
            self.told.truncate(place);
            self.told.push(now);
        }
    }

    /// Clears the line that was redrawn.
    fn end(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.end();
    }
}

/// The one line of a terminal.
fn line(record: &OperationRecord, waited: Duration) -> String {
    let what = title(record);
    let waited = waited.as_secs();
    match (&record.state, record.steps.last(), &record.progress) {
        (State::Accepted, ..) => format!("{what}: waiting for its turn ({waited} s)"),
        (_, Some(step), Some(progress)) => {
            format!("{what}: {} {} ({waited} s)", step.name, amount(progress))
        }
        (_, Some(step), None) => format!("{what}: {} ({waited} s)", step.name),
        (_, None, _) => format!("{what}: beginning ({waited} s)"),
    }
}

/// `restart miner`.
pub fn title(record: &OperationRecord) -> String {
    match &record.workload {
        Some(workload) => format!("{} {workload}", record.operation),
        None => record.operation.to_string(),
    }
}

/// `stop: done (1.2 s), killed after its grace`.
pub fn step_line(step: &Step) -> String {
    let state = match step.state {
        StepState::Started => "started",
        StepState::Done => "done",
        StepState::Failed => "failed",
    };
    let took = step
        .took_ms
        .map(|ms| format!(" ({})", seconds(ms)))
        .unwrap_or_default();
    let detail = step
        .detail
        .as_ref()
        .map(|detail| format!(", {detail}"))
        .unwrap_or_default();
    format!("{}: {state}{took}{detail}", step.name)
}

/// `412.0 MB of 3.0 GB (13 %), 98.1 MB/s, 26 s left`.
fn amount(progress: &Progress) -> String {
    let said = |amount: u64| match progress.unit.as_str() {
        "bytes" => bytes(amount),
        unit => format!("{amount} {unit}"),
    };
    let mut told = match progress.total {
        Some(total) if total > 0 => {
            let percent = u128::from(progress.done) * 100 / u128::from(total);
            format!("{} of {} ({percent} %)", said(progress.done), said(total))
        }
        _ => said(progress.done),
    };
    if let Some(rate) = progress.rate {
        told += &format!(", {}/s", said(rate));
    }
    if let Some(left) = progress.seconds_left {
        told += &format!(", {} left", duration(left));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_says_how_far_how_fast_and_how_long() {
        let progress = Progress {
            done: 412_000_000,
            total: Some(3_000_000_000),
            unit: "bytes".to_owned(),
            rate: Some(98_100_000),
            seconds_left: Some(26),
        };
        assert_eq!(
            amount(&progress),
            "412.0 MB of 3.0 GB (13 %), 98.1 MB/s, 26 s left"
        );
        let unknown = Progress {
            done: 7,
            unit: "files".to_owned(),
            ..Progress::default()
        };
        assert_eq!(amount(&unknown), "7 files");
    }
}
