//! An agent without its host: the real engine and the real API, on a workload in memory.

#![allow(dead_code, reason = "each suite uses its own part of this")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ostler::clock::ClockSync;
use ostler::data::{Exclude, Retention, Source, Way};
use ostler::feed::Feed;
use ostler::http::{Server, Settings, State, Token};
use ostler::operation::{Engine, Parts, Snapshots, Times, Workload};
use ostler::protocol::{DeviceReport, Health, Name, RunState, Telemetry};
use ostler::runtime::{Error, Inspection, Output, Runtime, Stopped};
use ostler::workload::{Finding, Inside, Kind};
use tempfile::TempDir;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The token of every agent here.
pub const TOKEN: &str = "an-agent-in-the-lab-0123456789";

/// Nothing here takes longer, unless it hangs.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A workload in memory.
#[derive(Default)]
pub struct Animal {
    state: Mutex<Body>,
    /// Lets one stop that is held go on.
    pub let_stop: Notify,
}

#[derive(Default)]
struct Body {
    running: bool,
    run: u32,
    hold_stops: bool,
    refuse_starts: bool,
    refuse_logs: bool,
    kill_at_stop: bool,
    away: bool,
}

impl Body {
    fn reachable(&self) -> Result<(), Error> {
        match self.away {
            false => Ok(()),
            true => Err(Error::Absent {
                runtime: "memory".to_owned(),
                detail: "the connection was lost".to_owned(),
            }),
        }
    }
}

impl Animal {
    /// From now on a stop waits for [`Animal::let_stop`].
    pub fn hold_stops(&self) {
        self.state.lock().unwrap().hold_stops = true;
    }

    /// From now on a start fails.
    pub fn refuse_starts(&self) {
        self.state.lock().unwrap().refuse_starts = true;
    }

    /// From now on it does not end by itself.
    pub fn kill_at_stop(&self) {
        self.state.lock().unwrap().kill_at_stop = true;
    }

    /// From now on, or no more, its runtime cannot be reached: nobody can tell how the miner is.
    pub fn set_away(&self, away: bool) {
        self.state.lock().unwrap().away = away;
    }

    /// How often it was started.
    pub fn runs(&self) -> u32 {
        self.state.lock().unwrap().run
    }

    /// From now on its log cannot be read.
    pub fn refuse_logs(&self) {
        self.state.lock().unwrap().refuse_logs = true;
    }

    /// Whether it runs.
    pub fn running(&self) -> bool {
        self.state.lock().unwrap().running
    }
}

#[async_trait]
impl Runtime for Animal {
    fn describe(&self) -> String {
        "memory miner".to_owned()
    }

    async fn inspect(&self) -> Result<Inspection, Error> {
        let state = self.state.lock().unwrap();
        state.reachable()?;
        Ok(Inspection {
            state: match state.running {
                true => RunState::Running,
                false => RunState::Stopped,
            },
            reason: None,
            run: Some(state.run.to_string()),
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
        let mut state = self.state.lock().unwrap();
        state.reachable()?;
        if state.refuse_starts {
            return Err(Error::Refused {
                runtime: "memory".to_owned(),
                action: "start miner".to_owned(),
                detail: "the port is taken".to_owned(),
            });
        }
        let started = !state.running;
        state.running = true;
        state.run += u32::from(started);
        Ok(started)
    }

    async fn stop(&self, _grace: Duration) -> Result<Stopped, Error> {
        let held = self.state.lock().unwrap().hold_stops;
        if held {
            self.let_stop.notified().await;
        }
        let mut state = self.state.lock().unwrap();
        let stopped = match state.running {
            true if state.kill_at_stop => Stopped::Killed,
            true => Stopped::Cleanly,
            false => Stopped::Already,
        };
        state.running = false;
        state.reachable()?;
        Ok(stopped)
    }

    async fn exec(&self, _command: &[&str], _deadline: Duration) -> Result<Output, Error> {
        Ok(Output {
            status: 0,
            stdout: String::new(),
            stderr: String::new(),
        })
    }

    async fn logs(&self, lines: usize, _bytes: usize) -> Result<String, Error> {
        if self.state.lock().unwrap().refuse_logs {
            return Err(Error::Absent {
                runtime: "memory".to_owned(),
                detail: "it was forgotten".to_owned(),
            });
        }
        Ok((1..=lines).map(|line| format!("line {line}\n")).collect())
    }

    async fn changed(&self) {
        std::future::pending().await
    }
}

/// A workload that is well whenever it runs.
pub struct Plain;

#[async_trait]
impl Kind for Plain {
    fn name(&self) -> &'static str {
        "generic"
    }

    async fn probe(&self, _inside: &dyn Inside) -> Finding {
        Finding {
            height: Some(42),
            gap: Some(0),
            ..Finding::new(Health::Healthy, None)
        }
    }
}

/// A workload whose chain has one block more each time that it is looked at.
#[derive(Default)]
pub struct Growing(AtomicU64);

#[async_trait]
impl Kind for Growing {
    fn name(&self) -> &'static str {
        "generic"
    }

    async fn probe(&self, _inside: &dyn Inside) -> Finding {
        Finding {
            height: Some(self.0.fetch_add(1, Ordering::Relaxed)),
            gap: Some(0),
            ..Finding::new(Health::Healthy, None)
        }
    }
}

/// How many bytes of data are read in a second: a large file makes work that can be watched.
pub const RATE: u64 = 1_000_000;

/// How the data directory is snapshotted.
fn snapshots(data: PathBuf) -> Snapshots {
    Snapshots {
        source: Source {
            root: data,
            include: Vec::new(),
            exclude: Exclude::with(&[]).unwrap(),
        },
        store: None,
        way: Some(Way::Copy),
        identity: BTreeMap::new(),
        reserve: 1 << 20,
        rate: RATE,
        longest_cut: DEADLINE,
        dead_man: DEADLINE,
        progress_within: DEADLINE,
        bucket: None,
        retention: Retention {
            keep_last: Some(2),
            ..Retention::default()
        },
    }
}

/// A running agent; all of it ends with this.
pub struct Agent {
    /// The engine behind the API.
    pub engine: Engine,
    /// The workload `miner`.
    pub animal: Arc<Animal>,
    /// The unix socket.
    pub socket: PathBuf,
    /// The TCP address.
    pub address: SocketAddr,
    /// What the API shows of the device.
    pub device: watch::Sender<Option<DeviceReport>>,
    /// What the API shows of the host.
    pub telemetry: watch::Sender<Option<Telemetry>>,
    settings: Settings,
    state: State,
    clock: ClockSync,
    stop: CancellationToken,
    served: JoinHandle<()>,
    directory: TempDir,
}

impl Agent {
    /// Starts one with a token, on a free port of loopback.
    pub async fn start() -> Self {
        Self::start_with(Some(TOKEN)).await
    }

    /// Starts one with this token, or none.
    pub async fn start_with(token: Option<&str>) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), token, None).await
    }

    /// Starts one that believes its clock, and whose miner has data: what `fill` puts into its directory.
    pub async fn start_with_data(fill: impl FnOnce(&Path)) -> Self {
        Self::start_with_snapshots(fill, |_| {}).await
    }

    /// The same with its snapshots taken otherwise.
    pub async fn start_with_snapshots(
        fill: impl FnOnce(&Path),
        otherwise: impl FnOnce(&mut Snapshots),
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        fill(&data);
        let mut snapshots = snapshots(data);
        otherwise(&mut snapshots);
        let agent = Self::start_in(directory, Some(TOKEN), Some(snapshots)).await;
        agent.clock.set(true);
        agent
    }

    /// Where the journal has an operation's record.
    pub fn record(&self, id: &str) -> PathBuf {
        let operations = self.directory.path().join("operations");
        operations.join(format!("{id}.json"))
    }

    /// The data directory of the miner.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    async fn start_in(
        directory: TempDir,
        token: Option<&str>,
        snapshots: Option<Snapshots>,
    ) -> Self {
        let animal = Arc::new(Animal::default());
        animal.start().await.unwrap();
        let times = Times {
            grace: Duration::from_secs(1),
            ready: Duration::from_secs(5),
            interval: Duration::from_millis(50),
        };
        let name = Name::new("miner").unwrap();
        let workload = match snapshots {
            Some(snapshots) => {
                Workload::new(name, animal.clone(), Arc::<Growing>::default(), times)
                    .with_snapshots(snapshots)
            }
            None => Workload::new(name, animal.clone(), Arc::new(Plain), times),
        };
        let clock = ClockSync::default();
        let parts = Parts {
            state_dir: directory.path().to_owned(),
            workloads: vec![workload],
            feed: Feed::default(),
            clock: clock.clone(),
        };
        let (engine, _) = Engine::open(parts).await.unwrap();
        engine.spawn();
        let socket = directory.path().join("ostler.sock");
        let settings = Settings {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            socket: socket.clone(),
            names: vec!["attic.local".to_owned()],
            token: token.map(|token| Token::new(token).unwrap()),
            bobcat: None,
        };
        let (device, device_seen) = watch::channel(None);
        let (telemetry, telemetry_seen) = watch::channel(None);
        let state = State {
            engine: engine.clone(),
            device: device_seen,
            telemetry: telemetry_seen,
            link: None,
            miner: None,
        };
        let stop = CancellationToken::new();
        let server = Server::bind(settings.clone(), state.clone(), stop.clone())
            .await
            .unwrap();
        Self {
            settings,
            state,
            clock,
            engine,
            animal,
            socket,
            address: server.addresses()[0],
            device,
            telemetry,
            stop,
            served: tokio::spawn(server.run()),
            directory,
        }
    }

    /// Tells the API to stop, and waits until it has.
    pub async fn stop_serving(&mut self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, &mut self.served)
            .await
            .expect("the server drains in time")
            .unwrap();
    }

    /// Serves again at the same socket, on another port.
    pub async fn serve_again(&mut self) {
        self.stop = CancellationToken::new();
        let server = Server::bind(self.settings.clone(), self.state.clone(), self.stop.clone())
            .await
            .unwrap();
        self.address = server.addresses()[0];
        self.served = tokio::spawn(server.run());
    }

    /// Waits until an operation is so.
    pub async fn until(&self, id: &str, state: ostler::protocol::State) {
        let id = ostler::protocol::OperationId::new(id).unwrap();
        let mut updates = self.engine.feed().subscribe();
        let so = async {
            while self
                .engine
                .record(&id)
                .is_none_or(|record| record.state != state)
            {
                let _ = updates.recv().await;
            }
        };
        tokio::time::timeout(DEADLINE, so)
            .await
            .expect("the operation gets there in time");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.cancel();
        self.served.abort();
    }
}
