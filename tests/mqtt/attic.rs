//! The device `attic`: the real engine on a workload in memory, and a reporter.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ostler::clock::{ClockSync, Timestamp};
use ostler::config::BrokerUrl;
use ostler::feed::{Feed, Update};
use ostler::operation::{Answer, Engine, Times, Workload};
use ostler::protocol::{Availability, DeviceReport, Dropped, Name, Presence, Request, Telemetry};
use ostler::report::signature::TrustedKeys;
use ostler::report::{Link, Parts, Reporter, Settings, Submit};
use ostler::runtime::Runtime;
use tempfile::TempDir;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::broker::Broker;
use super::inn::{Animal, DEADLINE, Plain};

/// A device.
pub struct Attic {
    pub engine: Engine,
    pub animal: Arc<Animal>,
    pub link: watch::Receiver<Link>,
    pub stop: CancellationToken,
    pub reporter: JoinHandle<()>,
    pub device: watch::Sender<Option<DeviceReport>>,
    _directory: Option<TempDir>,
}

/// The settings of a device for this broker.
pub fn settings(broker: &Broker) -> Settings {
    Settings {
        broker: BrokerUrl {
            tls: false,
            host: "127.0.0.1".to_owned(),
            port: broker.port,
        },
        client_id: "ostler-attic".to_owned(),
        username: None,
        password_file: None,
        ca_file: None,
        cert_file: None,
        key_file: None,
        keep_alive: Duration::from_secs(5),
        longest_pause: Duration::from_secs(60),
        root: "ostler".to_owned(),
        device: Name::new("attic").unwrap(),
        groups: vec![Name::new("roof").unwrap()],
        session: 7,
    }
}

/// An engine with the workload `miner`, on a state directory.
pub async fn engine(state_dir: &Path) -> (Engine, Arc<Animal>) {
    let animal = Arc::new(Animal::default());
    animal.start().await.unwrap();
    let times = Times {
        grace: Duration::from_secs(1),
        ready: Duration::from_secs(5),
        interval: Duration::from_secs(60),
    };
    let name = Name::new("miner").unwrap();
    let clock = ClockSync::default();
    clock.set(true);
    let parts = ostler::operation::Parts {
        state_dir: state_dir.to_owned(),
        workloads: vec![Workload::new(name, animal.clone(), Arc::new(Plain), times)],
        feed: Feed::default(),
        clock,
    };
    let (engine, _) = Engine::open(parts).await.unwrap();
    engine.spawn();
    (engine, animal)
}

impl Attic {
    /// One that reports to this broker.
    pub async fn at(broker: &Broker) -> Self {
        Self::with(settings(broker)).await
    }

    /// One that takes only what these keys have signed.
    pub async fn trusting(broker: &Broker, keys: TrustedKeys) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (engine, animal) = engine(directory.path()).await;
        let submit = Arc::new(engine.clone());
        let mut attic = Self::started(engine, animal, settings(broker), submit, keys);
        attic._directory = Some(directory);
        attic
    }

    /// One with these settings.
    pub async fn with(settings: Settings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (engine, animal) = engine(directory.path()).await;
        let mut attic = Self::on(engine.clone(), animal, settings, Arc::new(engine));
        attic._directory = Some(directory);
        attic
    }

    /// One on this engine, whose requests go through `submit`.
    pub fn on(
        engine: Engine,
        animal: Arc<Animal>,
        settings: Settings,
        submit: Arc<dyn Submit>,
    ) -> Self {
        Self::started(engine, animal, settings, submit, TrustedKeys::default())
    }

    fn started(
        engine: Engine,
        animal: Arc<Animal>,
        settings: Settings,
        submit: Arc<dyn Submit>,
        keys: TrustedKeys,
    ) -> Self {
        let (device, device_seen) = watch::channel(Some(device(&engine, settings.session)));
        let clock = ClockSync::default();
        clock.set(true);
        let parts = Parts {
            settings,
            keys,
            engine: engine.clone(),
            device: device_seen,
            clock,
        };
        let (reporter, link) = Reporter::through(parts, submit);
        let stop = CancellationToken::new();
        Self {
            engine,
            animal,
            link,
            reporter: tokio::spawn(reporter.run(stop.clone())),
            stop,
            device,
            _directory: None,
        }
    }

    /// Waits until the link fulfils a condition.
    pub async fn link(&mut self, what: &str, condition: impl FnMut(&Link) -> bool) -> Link {
        if let Ok(link) = timeout(DEADLINE, self.link.wait_for(condition)).await {
            return link.unwrap().clone();
        }
        panic!("the link is never {what}: {:?}", self.link.borrow());
    }

    /// Waits until it is connected.
    pub async fn connected(&mut self) -> Link {
        self.link("connected", |link| link.connected).await
    }

    /// Waits until there is no connection for a reason that says this.
    pub async fn not_connected(&mut self, why: &str) {
        self.link(why, |link| {
            let says = |error: &String| error.contains(why);
            !link.connected && link.last_error.as_ref().is_some_and(says)
        })
        .await;
    }

    /// Samples the host.
    pub fn sample(&self, sequence: u64) {
        let telemetry = Telemetry {
            session: 7,
            sequence,
            at: Timestamp::now(),
            historical: false,
            dropped: Dropped::default(),
            refused: 0,
            sample: Default::default(),
        };
        self.engine
            .feed()
            .send(Update::Telemetry(Box::new(telemetry)));
    }

    /// Stops as the agent does, and waits for it.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        timeout(DEADLINE, &mut self.reporter)
            .await
            .expect("the reporter stops in time")
            .unwrap();
    }
}

impl Drop for Attic {
    fn drop(&mut self) {
        self.reporter.abort();
    }
}

fn device(engine: &Engine, session: u64) -> DeviceReport {
    DeviceReport {
        id: Name::new("attic").unwrap(),
        groups: Vec::new(),
        version: "0.1.0".to_owned(),
        session,
        model: None,
        os: None,
        kernel: "6.1".to_owned(),
        architecture: "aarch64".to_owned(),
        boot_id: "b".to_owned(),
        addresses: Vec::new(),
        operations: engine.device_operations(),
        workloads: engine.capabilities(),
    }
}

/// What the attic says of its availability.
pub fn available(state: Presence, connection: u64) -> Availability {
    Availability {
        state,
        session: 7,
        connection,
    }
}

/// Holds requests up before they reach the engine.
pub struct Gate {
    pub engine: Engine,
    pub open: Semaphore,
    /// How many requests have come this far.
    pub come: watch::Sender<usize>,
}

impl Gate {
    /// A closed one.
    pub fn before(engine: &Engine) -> Arc<Self> {
        Arc::new(Self {
            engine: engine.clone(),
            open: Semaphore::new(0),
            come: watch::channel(0).0,
        })
    }
}

#[async_trait]
impl Submit for Gate {
    async fn submit(&self, request: Request) -> Answer {
        self.come.send_modify(|come| *come += 1);
        self.open.acquire().await.unwrap().forget();
        self.engine.submit(request).await
    }
}
