//! Labour: long work on files, on a thread of its own, watched, slowed and stopped from here.

use std::future::pending;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::context::{Context, Did};
use crate::blocking::{slot, spawn_blocking};
use crate::data::{self, Control, Idle, Interrupted};
use crate::protocol::{Failure, Progress, Reason};

/// How often it is looked how far the work is; the ledger tells less of it.
const LOOK: Duration = Duration::from_millis(250);

/// How long a store is waited for that an earlier operation still works on: the seal of a large snapshot reads all of it.
const STORE_PATIENCE: Duration = Duration::from_secs(3600);

/// How much longer than its budget work may take to end: one call of a disk that hangs does not look at the time.
const OVERDUE: Duration = Duration::from_secs(10);

/// What bounds a piece of work.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// Given up when so much time has passed.
    pub budget: Option<Duration>,
    /// Bytes a second; 0 is no limit.
    pub rate: u64,
    /// In the idle I/O class.
    pub aside: bool,
}

impl Limits {
    /// Beside a workload that runs: so many bytes a second, and only when nobody else wants the disk.
    pub fn aside(rate: u64) -> Self {
        Self {
            budget: None,
            rate,
            aside: true,
        }
    }

    /// As fast as it goes, given up after `budget`.
    pub fn within(budget: Duration) -> Self {
        Self {
            budget: Some(budget),
            ..Self::default()
        }
    }

    /// Does `work` on this thread, which other work gets afterwards: that of a cut, with the workload waiting for it.
    fn at_work<T>(self, work: impl FnOnce() -> T) -> T {
        let _class = self.aside.then(Idle::begin);
        work()
    }
}

/// What is done, and then told.
type Work = Box<dyn FnOnce(&mut Control) -> Result<Did, Failure> + Send>;

/// Sets the flag when it is dropped, so that work whose operation was abandoned ends too.
struct StopOnDrop(Arc<AtomicBool>);

impl StopOnDrop {
    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.set();
    }
}

impl Context {
    /// Does `work` as the step `name`; gives its result, or `None` where the step was done in an earlier life.
    pub async fn labour<T, F>(
        &mut self,
        name: &str,
        limits: Limits,
        work: F,
    ) -> Result<Option<T>, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&mut Control) -> Result<(T, Did), data::Error> + Send + 'static,
    {
        self.labour_until(name, limits, CancellationToken::new(), work)
            .await
    }

    /// The same, given up when `cancelled` is.
    pub async fn labour_until<T, F>(
        &mut self,
        name: &str,
        limits: Limits,
        cancelled: CancellationToken,
        work: F,
    ) -> Result<Option<T>, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&mut Control) -> Result<(T, Did), data::Error> + Send + 'static,
    {
        let work = move |control: &mut Control| work(control).map_err(|error| failure_of(&error));
        self.labour_that_tells(name, limits, cancelled, work).await
    }

    /// The same for work that says itself what its failures are.
    pub async fn labour_that_tells<T, F>(
        &mut self,
        name: &str,
        limits: Limits,
        cancelled: CancellationToken,
        work: F,
    ) -> Result<Option<T>, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&mut Control) -> Result<(T, Did), Failure> + Send + 'static,
    {
        let (put, take) = slot();
        let work = move |control: &mut Control| {
            let (value, did) = work(control)?;
            put(value);
            Ok(did)
        };
        self.work(name, limits, cancelled, Box::new(work)).await?;
        Ok(take())
    }

    /// The step itself, whatever its work gives: it is in the program once.
    async fn work(
        &mut self,
        name: &str,
        limits: Limits,
        cancelled: CancellationToken,
        work: Work,
    ) -> Result<(), Failure> {
        let (ledger, record) = (self.ledger.clone(), self.record.clone());
        let step = async {
            let stop = StopOnDrop(Arc::default());
            let meter = Arc::new(Meter::default());
            let mut control = control(limits, &stop.0, &meter);
            let thread = spawn_blocking(move || limits.at_work(|| work(&mut control)));
            tokio::pin!(thread);
            let mut ticks = interval(LOOK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let begun = Instant::now();
            let overdue = async {
                match limits.budget {
                    Some(budget) => sleep(budget + OVERDUE).await,
                    None => pending().await,
                }
            };
            tokio::pin!(overdue);
            let done = loop {
                tokio::select! {
                    done = &mut thread => break done,
                    // It is told to stop when this is left, and goes no further once its disk answers.
                    () = &mut overdue => return Err(hangs()),
                    () = cancelled.cancelled(), if !stop.is_set() => stop.set(),
                    _ = ticks.tick() => {
                        if let Some(progress) = meter.progress(begun) {
                            ledger.tell_progress(&record.id, progress);
                        }
                    }
                }
            };
            done.unwrap_or_else(|error| Err(Failure::new(Reason::DataFailed, error.to_string())))
        };
        self.step(name, step).await
    }
}

/// Work that does not end at its time.
fn hangs() -> Failure {
    Failure::new(
        Reason::OutOfTime,
        "the work took longer than it may and cannot be stopped: a disk does not answer",
    )
}

/// How far the work is, as its own thread says it.
#[derive(Default)]
struct Meter {
    done: AtomicU64,
    total: AtomicU64,
}

impl Meter {
    fn progress(&self, begun: Instant) -> Option<Progress> {
        let (done, total) = (
            self.done.load(Ordering::Relaxed),
            self.total.load(Ordering::Relaxed),
        );
        let rate = (done as f64 / begun.elapsed().as_secs_f64().max(0.001)) as u64;
        (total > 0).then(|| Progress {
            done,
            total: Some(total),
            unit: "bytes".to_owned(),
            rate: Some(rate),
            seconds_left: total.saturating_sub(done).checked_div(rate),
        })
    }
}

fn control(limits: Limits, stop: &Arc<AtomicBool>, meter: &Arc<Meter>) -> Control {
    let meter = meter.clone();
    let control = Control::unlimited()
        .cancelled_by(stop.clone())
        .limited_to(limits.rate)
        .patient(STORE_PATIENCE)
        .on_progress(move |progress| {
            meter.done.store(progress.done, Ordering::Relaxed);
            meter.total.store(progress.total, Ordering::Relaxed);
        });
    match limits.budget {
        Some(budget) => control.within(budget),
        None => control,
    }
}

/// What an error of the files is to whoever asked.
pub(super) fn failure_of(error: &data::Error) -> Failure {
    let reason = match error {
        full if full.kind() == Some(ErrorKind::StorageFull) => Reason::NoSpace,
        data::Error::NoSpace { .. } | data::Error::NoInodes { .. } => Reason::NoSpace,
        data::Error::Damaged { .. } | data::Error::Bad { .. } | data::Error::Record { .. } => {
            Reason::Damaged
        }
        data::Error::Busy { .. } | data::Error::InUse { .. } | data::Error::Pending { .. } => {
            Reason::Busy
        }
        data::Error::Interrupted(Interrupted::Cancelled) => Reason::Cancelled,
        data::Error::Interrupted(Interrupted::OutOfTime) => Reason::OutOfTime,
        data::Error::WayRefused { .. }
        | data::Error::HotRefused { .. }
        | data::Error::Exists { .. }
        | data::Error::Mismatch { .. }
        | data::Error::InBucket { .. } => Reason::NotPossible,
        data::Error::NoRclone { .. }
        | data::Error::ConfigFile { .. }
        | data::Error::Remote { .. }
        | data::Error::BadBucket { .. } => Reason::BucketFailed,
        data::Error::BadName { .. } => Reason::BadArguments,
        data::Error::Io { .. }
        | data::Error::Durable(_)
        | data::Error::Place { .. }
        | data::Error::NoStore { .. } => Reason::DataFailed,
    };
    Failure::new(reason, message(error))
}

/// The error with its causes, apart from those that it quotes itself.
fn message(error: &data::Error) -> String {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = inner.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_worked_beside_a_workload_cuts_in_its_old_class() {
        assert!(Limits::aside(0).at_work(Idle::is_now));
        for limits in [Limits::default(), Limits::within(Duration::from_secs(1))] {
            assert!(!limits.at_work(Idle::is_now), "{limits:?}");
        }
    }
}
