//! A workload in memory that fails and hangs where a test wants it to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;

use crate::protocol::RunState;
use crate::runtime::{Error, Inspection, Output, Runtime, Stopped};

/// A workload in memory.
#[derive(Clone, Default)]
pub struct Fake(Arc<Mutex<FakeState>>);

#[derive(Default)]
pub struct FakeState {
    pub running: bool,
    pub run: u32,
    pub stops: u32,
    pub starts: u32,
    /// What the next calls of `stop` and `start` answer instead of doing it.
    pub stop_errors: VecDeque<Error>,
    pub start_errors: VecDeque<Error>,
    /// The same of `inspect` and `arm`.
    pub inspect_errors: VecDeque<Error>,
    pub arm_errors: VecDeque<Error>,
    /// Started from outside, when its time comes.
    pub armed: bool,
    pub arms: u32,
    pub stop_takes: Duration,
    /// The next stop is given up by its asker, and done so long after that.
    pub stop_lands_after: Option<Duration>,
    /// Somebody's stop has left processes of it: the next one ends them.
    pub left_over: bool,
    /// While this is so, it cannot be stopped.
    pub unstoppable: Option<Box<dyn Fn() -> bool + Send>>,
    /// While this is so, nobody says how it is.
    pub unseen: Option<Box<dyn Fn() -> bool + Send>>,
    /// In this run it ends, after it was seen running so often.
    pub ends_in_run: Option<(u32, u32)>,
    /// Where it is seen stopped next, something has started it again, as a timer, a program or a person would.
    pub starts_again: bool,
    /// Happens when the next stop has been done: a disk that fills at the worst moment.
    pub at_stop: Option<Box<dyn FnOnce() + Send>>,
    /// As soon as this is so, somebody starts it, or it starts anew by itself: once.
    pub starts_when: Option<Box<dyn Fn() -> bool + Send>>,
    /// Where it runs while this is so, it is restarted again and again.
    pub crashes: Option<Box<dyn Fn() -> bool + Send>>,
}

pub fn unresponsive() -> Error {
    Error::Unresponsive {
        runtime: "fake".into(),
        action: "act".into(),
        deadline: Duration::from_secs(5),
    }
}

pub fn refused() -> Error {
    Error::Refused {
        runtime: "fake".into(),
        action: "start it".into(),
        detail: "port is taken".into(),
    }
}

fn is_so(when: &Option<Box<dyn Fn() -> bool + Send>>) -> bool {
    when.as_ref().is_some_and(|when| when())
}

impl Fake {
    pub fn running() -> Self {
        let fake = Self::default();
        fake.with(|state| (state.running, state.run) = (true, 1));
        fake
    }

    /// What others have done to it by now.
    fn meanwhile(&self) {
        self.with(|state| {
            if is_so(&state.starts_when) {
                state.starts_when = None;
                (state.running, state.run) = (true, state.run + 1);
            }
        });
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut FakeState) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }
}

#[async_trait]
impl Runtime for Fake {
    fn describe(&self) -> String {
        "fake".to_owned()
    }

    async fn inspect(&self) -> Result<Inspection, Error> {
        self.meanwhile();
        let error = self.with(|state| match is_so(&state.unseen) {
            true => Some(refused()),
            false => state.inspect_errors.pop_front(),
        });
        if let Some(error) = error {
            return Err(error);
        }
        let (state, run) = self.with(|state| {
            if !state.running && std::mem::take(&mut state.starts_again) {
                (state.running, state.run) = (true, state.run + 1);
            }
            match state.ends_in_run {
                Some((run, 0)) if run == state.run => state.running = false,
                Some((run, looks)) if run == state.run => {
                    state.ends_in_run = Some((run, looks - 1));
                }
                _ => {}
            }
            let crashes = is_so(&state.crashes);
            let now = match (state.running, crashes) {
                (true, true) => RunState::Restarting,
                (true, false) => RunState::Running,
                (false, _) => RunState::Stopped,
            };
            (now, state.run)
        });
        Ok(Inspection {
            state,
            reason: None,
            run: Some(run.to_string()),
            started_at: None,
            image: None,
            instance: None,
            created_at: None,
            restarts: None,
            health: None,
            parts: Vec::new(),
        })
    }

    async fn start(&self) -> Result<bool, Error> {
        self.meanwhile();
        self.with(|state| match state.start_errors.pop_front() {
            Some(error) => Err(error),
            None if state.running => Ok(false),
            None => {
                state.running = true;
                state.run += 1;
                state.starts += 1;
                Ok(true)
            }
        })
    }

    async fn stop(&self, _grace: Duration) -> Result<Stopped, Error> {
        sleep(self.with(|state| state.stop_takes)).await;
        self.meanwhile();
        if let Some(after) = self.with(|state| state.stop_lands_after.take()) {
            let late = self.clone();
            tokio::spawn(async move {
                sleep(after).await;
                late.with(|state| (state.running, state.stops) = (false, state.stops + 1));
            });
            return Err(unresponsive());
        }
        self.with(|state| match state.stop_errors.pop_front() {
            Some(error) => Err(error),
            None if is_so(&state.unstoppable) => Err(refused()),
            None if !state.running && !std::mem::take(&mut state.left_over) => Ok(Stopped::Already),
            None => {
                state.running = false;
                state.stops += 1;
                if let Some(happens) = state.at_stop.take() {
                    happens();
                }
                Ok(Stopped::Cleanly)
            }
        })
    }

    async fn exec(&self, _command: &[&str], _deadline: Duration) -> Result<Output, Error> {
        Ok(Output {
            status: 0,
            stdout: String::new(),
            stderr: String::new(),
        })
    }

    async fn logs(&self, lines: usize, _bytes: usize) -> Result<String, Error> {
        Ok(format!("{lines} lines"))
    }

    async fn arm(&self, _after: Duration) -> Result<bool, Error> {
        self.with(|state| match state.arm_errors.pop_front() {
            Some(error) => Err(error),
            None => {
                state.armed = true;
                state.arms += 1;
                Ok(true)
            }
        })
    }

    async fn disarm(&self) -> Result<(), Error> {
        self.with(|state| state.armed = false);
        Ok(())
    }

    async fn changed(&self) {
        std::future::pending().await
    }
}
