//! How the caller watches, slows and stops long work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The longest sleep between two looks at the cancellation.
const NAP: Duration = Duration::from_millis(50);

/// Work that was given up; nothing is wrong with the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Interrupted {
    /// The caller cancelled it.
    #[error("the work was cancelled")]
    Cancelled,
    /// The caller's budget of time is used up.
    #[error("the work took longer than it may")]
    OutOfTime,
}

/// How far the work is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes dealt with.
    pub done: u64,
    /// Bytes there are; it may grow while the work finds more.
    pub total: u64,
}

/// One piece of long work under control: progress out, cancellation, budget and speed limit in.
///
/// The limit is in bytes a second, and holds on any disk; where the kernel knows classes, [`super::Idle`] does more.
#[derive(Default)]
pub struct Control {
    on_progress: Option<Box<dyn FnMut(Progress) + Send>>,
    cancelled: Option<Arc<AtomicBool>>,
    deadline: Option<Instant>,
    patience: Duration,
    bytes_per_second: Option<u64>,
    progress: Progress,
    /// Since when, and how many bytes, the limit is measured.
    window: Option<(Instant, u64)>,
}

impl Control {
    /// No limit, nobody watching.
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// Calls `callback` after each piece of work; it should be quick.
    pub fn on_progress(mut self, callback: impl FnMut(Progress) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(callback));
        self
    }

    /// Gives the work up once `flag` is true.
    pub fn cancelled_by(mut self, flag: Arc<AtomicBool>) -> Self {
        self.cancelled = Some(flag);
        self
    }

    /// Gives the work up when `budget` has passed, counted from now.
    pub fn within(mut self, budget: Duration) -> Self {
        self.deadline = Instant::now().checked_add(budget);
        self
    }

    /// Waits for a store that somebody else is at work on, for at most so long; without this not at all.
    pub fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How long a store that somebody else is at work on is waited for.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Reads and copies no faster than this; 0 is no limit.
    pub fn limited_to(mut self, bytes_per_second: u64) -> Self {
        self.bytes_per_second = Some(bytes_per_second).filter(|rate| *rate != 0);
        self
    }

    /// Announces more work.
    pub fn expect(&mut self, bytes: u64) {
        self.progress.total = self.progress.total.saturating_add(bytes);
    }

    /// Whether to go on.
    pub fn check(&self) -> Result<(), Interrupted> {
        if self
            .cancelled
            .as_ref()
            .is_some_and(|flag| flag.load(Ordering::Relaxed))
        {
            return Err(Interrupted::Cancelled);
        }
        if self
            .deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
        {
            return Err(Interrupted::OutOfTime);
        }
        Ok(())
    }

    /// Reports bytes read or written, and waits where a limit asks for it.
    pub fn advance(&mut self, bytes: u64) -> Result<(), Interrupted> {
        self.report(bytes);
        self.throttle(bytes)?;
        self.check()
    }

    /// Reports bytes dealt with that the disk never saw: those of a link or reflink. No limit is about them.
    pub(super) fn advance_shared(&mut self, bytes: u64) -> Result<(), Interrupted> {
        self.report(bytes);
        self.check()
    }

    fn report(&mut self, bytes: u64) {
        self.progress.done = self.progress.done.saturating_add(bytes);
        self.progress.total = self.progress.total.max(self.progress.done);
        if let Some(callback) = &mut self.on_progress {
            callback(self.progress);
        }
    }

    fn throttle(&mut self, bytes: u64) -> Result<(), Interrupted> {
        let Some(rate) = self.bytes_per_second else {
            return Ok(());
        };
        let (started, so_far) = self.window.get_or_insert_with(|| (Instant::now(), 0));
        *so_far = so_far.saturating_add(bytes);
        let due = *started + Duration::from_secs_f64(*so_far as f64 / rate as f64);
        loop {
            self.check()?;
            match due.checked_duration_since(Instant::now()) {
                Some(wait) if !wait.is_zero() => std::thread::sleep(wait.min(NAP)),
                _ => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_makes_the_work_wait() {
        let mut control = Control::unlimited().limited_to(1_000_000);
        let started = Instant::now();
        for _ in 0..5 {
            control.advance(20_000).unwrap();
        }
        assert!(started.elapsed() >= Duration::from_millis(100));
    }

    #[test]
    fn what_is_shared_does_not_wait() {
        let mut control = Control::unlimited().limited_to(1);
        control.advance_shared(1 << 40).unwrap();
        assert_eq!(control.progress.done, 1 << 40);
        assert_eq!(control.window, None);
    }

    #[test]
    fn a_waiting_limit_notices_the_cancellation() {
        let flag = Arc::new(AtomicBool::new(true));
        let mut control = Control::unlimited().limited_to(1).cancelled_by(flag);
        assert_eq!(control.advance(1 << 40), Err(Interrupted::Cancelled));
    }

    #[test]
    fn a_budget_ends_the_work() {
        let mut control = Control::unlimited().within(Duration::ZERO);
        assert_eq!(control.advance(0), Err(Interrupted::OutOfTime));
    }
}
