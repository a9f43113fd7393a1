//! The probe of a Helium miner, in containers: a simulated miner in each of its states, and none at all.

use std::time::Duration;

use async_trait::async_trait;
use ostler::protocol::Health;
use ostler::runtime::docker::Docker;
use ostler::runtime::{Error, Runtime};
use ostler::workload::helium::{Helium, Settings};
use ostler::workload::{Finding, Inside, Kind, Said, Unanswered};

use crate::engine::{Engine, eventually};
use crate::{DEADLINE, docker, polite};

const MINER: &str = "testnode";

/// The way into the container.
struct Through<'a>(&'a Docker);

#[async_trait]
impl Inside for Through<'_> {
    async fn ask(&self, command: &[&str], deadline: Duration) -> Result<Said, Unanswered> {
        match self.0.exec(command, deadline).await {
            Ok(output) => Ok(Said {
                status: output.status,
                text: output.stdout,
            }),
            Err(error) => Err(Unanswered {
                late: matches!(error, Error::Unresponsive { .. }),
                why: error.to_string(),
            }),
        }
    }
}

async fn probe(docker: &Docker) -> Finding {
    Helium::new(Settings::default())
        .probe(&Through(docker))
        .await
}

/// Changes what the simulated miner does.
async fn set(docker: &Docker, key: &str, value: &str) {
    let command = ["testnode", "set", key, value];
    let output = docker.exec(&command, DEADLINE).await.unwrap();
    assert_eq!(output.status, 0, "{output:?}");
}

#[tokio::test]
async fn a_miner_is_as_well_as_it_says() {
    let engine = Engine::shared();
    engine.import_testnode(MINER);
    engine.run_container("miner", &["--env=TESTNODE_GENESIS=1148500", MINER]);
    let docker = docker(engine, "miner");
    let finding = eventually(async || {
        let finding = probe(&docker).await;
        (finding.health == Health::Healthy).then_some(finding)
    })
    .await;
    assert!(finding.height >= Some(1_148_500), "{finding:?}");

    set(&docker, "sync-height", "2000000").await;
    let finding = probe(&docker).await;
    assert_eq!(finding.health, Health::Starting);
    assert!(finding.height >= Some(1_148_500), "{finding:?}");

    for (state, health, reason) in [
        (
            "erroring",
            Health::Degraded,
            "RPC to 'miner@127.0.0.1' failed",
        ),
        (
            "down",
            Health::Starting,
            "Node 'miner@127.0.0.1' not responding to pings.",
        ),
        (
            "hung",
            Health::Degraded,
            "context deadline exceeded: container miner did not answer",
        ),
    ] {
        set(&docker, "state", state).await;
        let finding = probe(&docker).await;
        assert_eq!((finding.health, finding.height), (health, None), "{state}");
        let said = finding.reason.unwrap_or_default();
        assert!(said.starts_with(reason), "{state}: {said}");
    }
}

#[tokio::test]
async fn an_image_without_heights_is_well_while_it_runs() {
    let finding = probe(&polite("gateway")).await;
    assert_eq!((finding.health, finding.height), (Health::Healthy, None));
    assert_eq!(finding.reason.as_deref(), Some("this image has no heights"));
}
