//! The Docker runtime against an engine that hangs. One test, alone in its process: it counts open files.

#[path = "lab/engine.rs"]
mod engine;

use std::time::Duration;

use ostler::protocol::RunState;
use ostler::runtime::docker::Docker;
use ostler::runtime::{Error, Runtime};
use tokio::time::timeout;

use crate::engine::{Engine, IMAGE, POLITE, eventually};

const GRACE: Duration = Duration::from_secs(20);
const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_hung_engine_ends_every_call_at_its_deadline_and_leaves_no_files_open() {
    let engine = Engine::start();
    engine.run_container("miner", &[IMAGE, "sh", "-c", POLITE]);
    let docker = Docker::new(engine.socket(), "miner".into()).unwrap();
    docker.inspect().await.unwrap();
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();

    engine.freeze();
    // Deadlines pass at once while nothing else can happen.
    tokio::time::pause();
    for _ in 0..10 {
        for error in [
            docker.inspect().await.unwrap_err(),
            docker.start().await.unwrap_err(),
            docker.stop(GRACE).await.unwrap_err(),
            docker.exec(&["true"], DEADLINE).await.unwrap_err(),
            docker.logs(10, 1000).await.unwrap_err(),
        ] {
            assert!(matches!(error, Error::Unresponsive { .. }), "{error:?}");
        }
    }
    let hung = timeout(DEADLINE * 10, docker.changed()).await;
    assert!(
        hung.is_err(),
        "an engine that is not reached has not changed"
    );
    tokio::time::resume();

    engine.thaw();
    eventually(async || (open() <= before).then_some(())).await;
    assert_eq!(docker.inspect().await.unwrap().state, RunState::Running);
    assert_eq!(docker.exec(&["true"], DEADLINE).await.unwrap().status, 0);
}
