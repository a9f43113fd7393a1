//! The telemetry pump: a sample of the host at an interval, numbered, to the feed.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Link;
use crate::blocking::spawn_blocking;
use crate::clock::{ClockSync, Timestamp};
use crate::feed::Update;
use crate::operation::Engine;
use crate::protocol::{Dropped, Event, Level, Telemetry};
use crate::sensor::Sample;

/// How long the sensors may take: more than they allow themselves.
const DEADLINE: Duration = Duration::from_secs(20);

/// Takes samples and tells them.
pub struct Pump {
    /// Where they go, and who counts the refusals.
    pub engine: Engine,
    /// The number of this run of the agent.
    pub session: u64,
    /// Whether the clock can be believed.
    pub clock: ClockSync,
    /// Who counts what is dropped, where there is a broker.
    pub link: Option<watch::Receiver<Link>>,
    /// Holds the last sample.
    pub last: watch::Sender<Option<Telemetry>>,
}

impl Pump {
    /// Takes a sample now and then one at each interval, for ever. The first interval counts from the start.
    ///
    /// `sample` may block. Where it does not return in time, an event says so and samples are left out
    /// until it does: there is never more than one thread that waits for the sensors.
    pub async fn run(
        self,
        mut interval_length: watch::Receiver<Duration>,
        sample: impl FnMut() -> Sample + Send + 'static,
    ) {
        let mut sampler = Sampler::Ready(sample);
        let mut sequence = 0;
        loop {
            let mut ticks = interval(*interval_length.borrow_and_update());
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first tick of a changed interval comes when it has passed once.
            if sequence > 0 {
                ticks.reset();
            }
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    changed = interval_length.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => { ticks.tick().await; }
                    },
                }
                let taken;
                (sampler, taken) = sampler.take().await;
                match taken {
                    Taken::Sample(sample) => {
                        sequence += 1;
                        self.tell(sequence, sample);
                    }
                    Taken::Late => self.complain(),
                    Taken::StillLate => {}
                }
            }
        }
    }

    fn tell(&self, sequence: u64, sample: Sample) {
        let dropped = |link: &watch::Receiver<Link>| link.borrow().dropped;
        let telemetry = Telemetry {
            session: self.session,
            sequence,
            at: Timestamp::now(),
            historical: false,
            dropped: self.link.as_ref().map_or(Dropped::default(), dropped),
            refused: self.engine.refused(),
            sample,
        };
        self.last.send_replace(Some(telemetry.clone()));
        self.engine
            .feed()
            .send(Update::Telemetry(Box::new(telemetry)));
    }

    fn complain(&self) {
        let message = format!(
            "the sensors did not answer within {} s; there is no telemetry until they do",
            DEADLINE.as_secs()
        );
        tracing::warn!("{message}");
        self.engine.feed().send(Update::Event(Box::new(Event {
            at: Timestamp::now(),
            clock_synced: self.clock.synced(),
            level: Level::Warning,
            kind: "sensors-hang".to_owned(),
            workload: None,
            message,
        })));
    }
}

/// The function that takes samples, or the thread that it is in.
enum Sampler<F> {
    Ready(F),
    Away(BoxFuture<'static, Result<(F, Sample), JoinError>>),
}

enum Taken {
    Sample(Sample),
    Late,
    StillLate,
}

impl<F: FnMut() -> Sample + Send + 'static> Sampler<F> {
    async fn take(self) -> (Self, Taken) {
        let (mut thread, late) = match self {
            Sampler::Ready(mut sample) => (
                spawn_blocking(move || {
                    let taken = sample();
                    (sample, taken)
                })
                .boxed(),
                Taken::Late,
            ),
            Sampler::Away(thread) => (thread, Taken::StillLate),
        };
        match timeout(DEADLINE, &mut thread).await {
            Ok(Ok((sample, taken))) => (Sampler::Ready(sample), Taken::Sample(taken)),
            // A panic ends the agent (`panic = "abort"`), so that an error here is one of a test.
            Ok(Err(error)) => panic!("the sensors failed: {error}"),
            Err(_) => (Sampler::Away(thread), late),
        }
    }
}

#[cfg(test)]
mod tests;
