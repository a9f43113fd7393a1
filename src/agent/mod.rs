//! The daemon: builds every part, supervises their tasks, shuts down in order.

mod discovery;
mod doors;
mod identity;
mod reload;
mod restart;
mod session;
mod signals;
mod watchdog;
mod workloads;

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::any_error::{Outcome, told};
use crate::clock::{ClockSync, Timestamp};
use crate::config::{self, Config};
use crate::device::Device;
use crate::feed::Feed;
use crate::http;
use crate::operation::{Engine, Parts, ThisHost, Workload};
use crate::policy::{Drops, Scheduler};
use crate::protocol::{DeviceReport, Name};
use crate::report::signature::TrustedKeys;
use crate::report::{self, Pump, Reporter};
use crate::sensor::{self, Sensors};
use discovery::Discovery;
pub use doors::check_files;
use reload::Live;
pub use restart::Starts;
use session::Session;
pub use signals::Signals;
use signals::Told;

/// How long operations at work may take to end when the agent is told to stop; systemd allows 90 s.
const DRAIN: Duration = Duration::from_secs(20);

/// How long the front ends may take to say goodbye after that.
const GOODBYE: Duration = Duration::from_secs(10);

/// How long an agent that cannot serve may take to finish what was at work before.
const RECOVERY: Duration = Duration::from_secs(60);

/// How often it looks whether it has.
const RECOVERY_POLL: Duration = Duration::from_millis(100);

/// How often it looks whether the clock has become right.
const CLOCK: Duration = Duration::from_secs(30);

/// How the agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything that was at work has ended.
    Graceful,
    /// Something was left to the next start; the journal has it.
    Abandoned,
    /// Something to look after was found: it is to be run again, with it.
    Found,
}

/// Runs the agent until SIGTERM or SIGINT, or until something new to look after is found. SIGHUP reads `file`, or the default place, again;
/// what that changes is in `config` afterwards.
///
/// # Errors
/// Where it cannot start: the state directory, the journal, a secret or a socket cannot be had.
pub async fn run(
    config: &mut Config,
    file: Option<&Path>,
    signals: &mut Signals,
) -> Outcome<Ending> {
    let session = Session::begin(&config.state_dir)?;
    // Before anything is taken up: what waited in the journal may have expired.
    let clock = ClockSync::default();
    clock.set(sensor::clock_synced(&sensor::Root::default()));

    let discovery = match config.workload.is_empty() {
        true => Some(Discovery::begin(&config.state_dir).await),
        false => None,
    };
    let found = discovery.as_ref().map(Discovery::workloads);
    let workloads = found.as_deref().unwrap_or(&config.workload);
    let built = workloads::build_all(workloads, &config.state_dir, &clock)?;
    let miner = doors::miner(config, built.miners);
    let engine = open_engine(config, built.workloads, &clock).await?;
    let served = serve(
        config,
        file,
        signals,
        session,
        discovery,
        clock,
        Stable {
            engine: engine.clone(),
            miner,
        },
    );
    let served = served.await;
    match served {
        // As an error of the configuration it would be the last start, and this one is not done.
        Err(error) if !recover(&engine).await => Err(told(&error).into()),
        served => served,
    }
}

/// What looks after the workloads.
struct Stable {
    engine: Engine,
    /// The one that the Bobcat-compatible API shows.
    miner: Option<http::bobcat::Miner>,
}

/// Opens the doors, runs the lanes, and closes all in order. Every error is from before the lanes run.
async fn serve(
    config: &mut Config,
    file: Option<&Path>,
    signals: &mut Signals,
    session: Session,
    discovery: Option<Discovery>,
    clock: ClockSync,
    stable: Stable,
) -> Outcome<Ending> {
    let Stable { engine, miner } = stable;
    let root = sensor::Root::default();
    let device = identity::report(config, Device::detect(&root)?, session.number, &engine);
    let workloads = match device.workloads.len() {
        1 => "1 workload".to_owned(),
        many => format!("{many} workloads"),
    };
    tracing::info!(
        "ostler {} on {}: looks after {workloads}",
        device.version,
        device.id
    );
    let stop = CancellationToken::new();
    let front_ends = TaskTracker::new();
    let id = device.id.clone();
    let (known, device) = watch::channel(Some(device));

    // The API first: where its socket cannot be had, another agent may be at work.
    let telemetry = watch::Sender::new(None);
    let mut link = None;
    let reporter =
        reporter(config, &session, &engine, &id, &device, &clock)?.map(|(reporter, watcher)| {
            link = Some(watcher);
            reporter
        });
    let state = http::State {
        engine: engine.clone(),
        device: device.clone(),
        telemetry: telemetry.subscribe(),
        link: link.clone(),
        miner,
    };
    let api = http::Server::bind(doors::settings(config, &id)?, state, stop.clone()).await?;
    let until_stopped = |part: BoxFuture<'static, ()>| {
        let part = stop.clone().run_until_cancelled_owned(part);
        front_ends.spawn(part.map(drop).boxed());
    };
    front_ends.spawn(api.run().boxed());
    if let Some(reporter) = reporter {
        front_ends.spawn(reporter.run(stop.clone()).boxed());
    }

    let interval = watch::Sender::new(config.telemetry.interval.into());
    let mut sensors = Sensors::new(root, directories(config));
    let wall = clock.clone();
    let schedules = watch::Sender::new(workloads::schedules(config));
    let scheduler = Scheduler::new(
        schedules.subscribe(),
        engine.clone(),
        id,
        &config.state_dir,
        move || wall.synced().then(Timestamp::now),
    );
    until_stopped(scheduler.run().boxed());
    let dropped = workloads::drop_directories(config)?;
    if !dropped.is_empty() {
        let drops = Drops::new(dropped, engine.clone(), clock.clone());
        until_stopped(drops.run().boxed());
    }
    let pump = Pump {
        engine: engine.clone(),
        session: session.number,
        clock: clock.clone(),
        link,
        last: telemetry,
    };
    let sampling = pump.run(interval.subscribe(), move || sensors.sample());
    until_stopped(sampling.boxed());
    until_stopped(watchdog::keep_alive().boxed());
    until_stopped(watch_clock(clock.clone()).boxed());
    let addresses = identity::watch_addresses(known);
    until_stopped(addresses.boxed());
    engine.spawn();

    watchdog::notify(&[NotifyState::Ready]);
    let live = Live {
        engine: engine.clone(),
        interval,
        schedules,
    };
    let mut more = pin!(found_more(discovery));
    let found = loop {
        tokio::select! {
            told = signals.next() => match told {
                Told::Reload => live.reload(config, file),
                Told::Stop => break false,
            },
            () = &mut more => break true,
        }
    };

    if !found {
        watchdog::notify(&[NotifyState::Stopping]);
    }
    let leaving = async {
        let drained = engine.drain(DRAIN).await;
        stop.cancel();
        front_ends.close();
        let said_goodbye = timeout(GOODBYE, front_ends.wait()).await.is_ok();
        drained && said_goodbye
    };
    let told = async || signals.next().await;
    let reload = || live.reload(config, file);
    Ok(leave(leaving, found, told, reload).await)
}

/// Ends what was begun. Signals count meanwhile: an agent that is to be run again and is told to end is not.
async fn leave(
    leaving: impl Future<Output = bool>,
    mut found: bool,
    mut told: impl AsyncFnMut() -> Told,
    mut reload: impl FnMut(),
) -> Ending {
    let mut leaving = pin!(leaving);
    loop {
        tokio::select! {
            all_ended = &mut leaving => return match (found, all_ended) {
                (true, _) => Ending::Found,
                (false, true) => Ending::Graceful,
                (false, false) => Ending::Abandoned,
            },
            told = told() => match told {
                Told::Reload if found => reload(),
                Told::Stop if found => {
                    found = false;
                    watchdog::notify(&[NotifyState::Stopping]);
                }
                // It ends already.
                Told::Reload | Told::Stop => {}
            }
        }
    }
}

/// Keeps up with whether the clock can be believed, whatever becomes of the sensors.
async fn watch_clock(clock: ClockSync) {
    let root = sensor::Root::default();
    loop {
        clock.set(sensor::clock_synced(&root));
        sleep(CLOCK).await;
    }
}

/// Finishes what an earlier agent left at work, although this one cannot serve: a token that cannot be read, say,
/// must not keep a workload stopped. Says whether all of it is done.
async fn recover(engine: &Engine) -> bool {
    if !engine.is_busy() {
        return true;
    }
    tracing::warn!("the agent cannot serve; what was at work before is finished first");
    engine.spawn();
    let idle = async {
        while engine.is_busy() {
            sleep(RECOVERY_POLL).await;
        }
    };
    // What takes longer is in the journal, for the next start.
    let _ = timeout(RECOVERY, idle).await;
    engine.drain(DRAIN).await
}

/// Returns when discovery finds something new; never where the workloads are configured.
async fn found_more(discovery: Option<Discovery>) {
    match discovery {
        Some(discovery) => discovery.more().await,
        None => std::future::pending().await,
    }
}

async fn open_engine(
    config: &Config,
    workloads: Vec<Workload>,
    clock: &ClockSync,
) -> Outcome<Engine> {
    let parts = Parts {
        state_dir: config.state_dir.clone(),
        workloads,
        feed: Feed::default(),
        clock: clock.clone(),
    };
    let (engine, quarantined) = Engine::open_on(Some(Arc::new(ThisHost)), parts).await?;
    for file in quarantined {
        tracing::error!(
            "{} is set aside: it was no record ({})",
            file.path.display(),
            file.problem
        );
    }
    Ok(engine)
}

fn reporter(
    config: &Config,
    session: &Session,
    engine: &Engine,
    id: &Name,
    device: &watch::Receiver<Option<DeviceReport>>,
    clock: &ClockSync,
) -> Outcome<Option<(Reporter, watch::Receiver<report::Link>)>> {
    let Some(mqtt) = &config.mqtt else {
        return Ok(None);
    };
    let groups = config.device.groups.clone();
    let parts = report::Parts {
        settings: report::Settings::new(mqtt, id.clone(), groups, session.number),
        keys: trusted_keys(config)?,
        engine: engine.clone(),
        device: device.clone(),
        clock: clock.clone(),
    };
    Ok(Some(Reporter::new(parts)))
}

/// A key that is there and is none is a mistake in the configuration.
fn trusted_keys(config: &Config) -> Outcome<TrustedKeys> {
    let keys = TrustedKeys::read(&config.commands.trusted_keys);
    keys.map_err(|error| match error.is_lasting {
        true => config::Error::Unusable {
            key: "commands.trusted-keys",
            problem: error.to_string(),
        }
        .into(),
        false => error.into(),
    })
}

/// The directories whose disks are watched.
fn directories(config: &Config) -> Vec<PathBuf> {
    let data = config
        .workload
        .iter()
        .filter_map(|workload| workload.data_dir.clone());
    std::iter::once(config.state_dir.clone())
        .chain(data)
        .collect()
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn an_agent_that_is_to_be_run_again_heeds_signals_while_it_ends() {
        for (signals, expected) in [
            (vec![Told::Reload], (Ending::Found, 1)),
            (
                vec![Told::Reload, Told::Stop, Told::Reload],
                (Ending::Graceful, 1),
            ),
        ] {
            let (tell, mut told) = mpsc::channel(signals.len());
            // It ends once all of them have been taken.
            let leaving = async {
                for signal in signals {
                    tell.send(signal).await.unwrap();
                }
                while tell.capacity() < tell.max_capacity() {
                    tokio::task::yield_now().await;
                }
                true
            };
            let mut reloads = 0;
            let ending = leave(
                leaving,
                true,
                async || told.recv().await.unwrap(),
                || reloads += 1,
            );
            assert_eq!((ending.await, reloads), expected);
        }
    }
}
