//! A container of an engine that is well.

use std::time::Duration;

use ostler::protocol::RunState;
use ostler::runtime::docker::{Docker, Found, discover};
use ostler::runtime::{Error, Runtime, Stopped};

use crate::engine::{Engine, IMAGE, POLITE, STUBBORN, eventually};
use crate::{DEADLINE, GRACE, docker, polite};

async fn state(docker: &Docker) -> RunState {
    docker.inspect().await.expect("it exists").state
}

#[tokio::test]
async fn a_running_container_is_described() {
    let engine = Engine::shared();
    let docker = polite("described");
    let inspection = docker.inspect().await.unwrap();
    assert_eq!(docker.describe(), "docker described");
    assert_eq!(inspection.state, RunState::Running);
    assert_eq!(inspection.reason, None);
    assert_eq!(inspection.image.as_deref(), Some(IMAGE));
    assert_eq!(inspection.restarts, Some(0));
    assert_eq!(inspection.health, None);

    let format = "{{.Id}} {{.State.StartedAt}}";
    let answer = engine.docker(&["inspect", "--format", format, "described"]);
    let (id, started_at) = answer.split_once(' ').unwrap();
    assert_eq!(inspection.started_at.as_deref(), Some(started_at));
    assert_eq!(inspection.run, Some(format!("{}@{started_at}", &id[..12])));
}

#[tokio::test]
async fn a_container_that_is_not_running_says_why() {
    let engine = Engine::shared();
    engine.run_container("ended", &[IMAGE, "true"]);
    engine.run_container("failed", &[IMAGE, "sh", "-c", "kill -9 $$; exit 137"]);
    engine.docker(&["create", "--name", "created", IMAGE, "true"]);
    engine.run_container("paused", &[IMAGE, "sh", "-c", POLITE]);
    engine.docker(&["pause", "paused"]);
    engine.docker(&["wait", "ended", "failed"]);

    for (name, state, reason) in [
        ("ended", RunState::Stopped, "exited with status 0"),
        (
            "failed",
            RunState::Stopped,
            "exited with status 137 (SIGKILL)",
        ),
        (
            "created",
            RunState::Created,
            "was created and never started",
        ),
        ("paused", RunState::Paused, "is paused"),
    ] {
        let inspection = docker(engine, name).inspect().await.unwrap();
        assert_eq!(inspection.state, state, "{name}");
        assert_eq!(inspection.reason.as_deref(), Some(reason), "{name}");
    }
}

#[tokio::test]
async fn a_container_that_could_not_be_started_says_why() {
    let engine = Engine::shared();
    engine.docker(&["create", "--name", "impossible", IMAGE, "/no/such/program"]);
    let docker = docker(engine, "impossible");
    let error = docker.start().await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("/no/such/program"), "{error}");
    let inspection = docker.inspect().await.unwrap();
    assert_eq!(inspection.state, RunState::Created);
    let reason = inspection.reason.unwrap();
    assert!(reason.starts_with("could not be started: "), "{reason}");
}

#[tokio::test]
async fn a_missing_container_is_an_error_of_its_own() {
    let docker = docker(Engine::shared(), "nowhere");
    for error in [
        docker.inspect().await.unwrap_err(),
        docker.start().await.unwrap_err(),
        docker.stop(GRACE).await.unwrap_err(),
        docker.exec(&["true"], DEADLINE).await.unwrap_err(),
        docker.logs(10, 1000).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Missing { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_stopped_container_stays_stopped_until_it_is_started() {
    let engine = Engine::shared();
    let policy = ["--restart=always", IMAGE, "sh", "-c", POLITE];
    engine.run_container("stays", &policy);
    let docker = docker(engine, "stays");
    let first = docker.inspect().await.unwrap().run;

    assert!(!docker.start().await.unwrap());
    assert_eq!(docker.stop(GRACE).await.unwrap(), Stopped::Cleanly);
    assert_eq!(docker.stop(GRACE).await.unwrap(), Stopped::Already);
    assert_eq!(state(&docker).await, RunState::Stopped);

    assert!(docker.start().await.unwrap());
    assert!(!docker.start().await.unwrap());
    assert_eq!(state(&docker).await, RunState::Running);
    assert_ne!(docker.inspect().await.unwrap().run, first);
}

#[tokio::test]
async fn a_container_that_does_not_end_is_killed_after_its_grace() {
    let engine = Engine::shared();
    engine.run_container("stubborn", &[IMAGE, "sh", "-c", STUBBORN]);
    let docker = docker(engine, "stubborn");
    let grace = Duration::from_millis(100);
    assert_eq!(docker.stop(grace).await.unwrap(), Stopped::Killed);
    assert_eq!(state(&docker).await, RunState::Stopped);
}

#[tokio::test]
async fn a_container_that_goes_with_its_stop_is_not_stopped() {
    let engine = Engine::shared();
    let run = ["--rm", IMAGE, "sh", "-c", POLITE];
    engine.run_container("vanishing", &run);
    let docker = docker(engine, "vanishing");
    let run = docker.inspect().await.unwrap().run;
    let error = docker.stop(GRACE).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("without --rm"), "{error}");
    assert_eq!(docker.inspect().await.unwrap().run, run, "left alone");
}

#[tokio::test]
async fn a_container_that_was_never_started_is_not_running() {
    let engine = Engine::shared();
    engine.docker(&["create", "--name", "fresh", IMAGE, "sh", "-c", POLITE]);
    let docker = docker(engine, "fresh");
    assert_eq!(docker.stop(GRACE).await.unwrap(), Stopped::Already);
    assert!(docker.start().await.unwrap());
    assert_eq!(state(&docker).await, RunState::Running);
}

#[tokio::test]
async fn a_paused_container_is_woken_by_a_start_and_ends_by_a_stop() {
    let engine = Engine::shared();
    let docker = polite("sleeper");
    engine.docker(&["pause", "sleeper"]);
    assert!(docker.start().await.unwrap());
    assert_eq!(state(&docker).await, RunState::Running);
    engine.docker(&["pause", "sleeper"]);
    assert_eq!(docker.stop(GRACE).await.unwrap(), Stopped::Cleanly);
    assert_eq!(state(&docker).await, RunState::Stopped);
}

#[tokio::test]
async fn a_container_in_a_restart_loop_can_be_stopped() {
    let engine = Engine::shared();
    engine.run_container("loop", &["--restart=always", IMAGE, "sh", "-c", "exit 3"]);
    let docker = docker(engine, "loop");
    let inspection = eventually(async || {
        let inspection = docker.inspect().await.unwrap();
        let looping = inspection.state == RunState::Restarting && inspection.restarts > Some(2);
        looping.then_some(inspection)
    })
    .await;
    let reason = "exited with status 3, and is started again and again";
    assert_eq!(inspection.reason.as_deref(), Some(reason));
    assert!(!docker.start().await.unwrap());
    assert_eq!(docker.stop(GRACE).await.unwrap(), Stopped::Cleanly);
    assert_eq!(state(&docker).await, RunState::Stopped);
    assert_eq!(docker.stop(GRACE).await.unwrap(), Stopped::Already);
}

#[tokio::test]
async fn the_health_check_of_the_engine_is_passed_on() {
    let engine = Engine::shared();
    let check = ["--health-cmd=test -e /well", "--health-interval=100ms"];
    let command = ["--health-retries=1", IMAGE, "sh", "-c", POLITE];
    engine.run_container("checked", &[&check[..], &command[..]].concat());
    let docker = docker(engine, "checked");
    let is = async |health| {
        let inspection = docker.inspect().await.unwrap();
        (inspection.health.as_deref() == Some(health)).then_some(())
    };
    eventually(|| is("unhealthy")).await;
    docker.exec(&["touch", "/well"], DEADLINE).await.unwrap();
    eventually(|| is("healthy")).await;
}

#[tokio::test]
async fn a_miner_is_found_by_its_name() {
    let engine = Engine::start();
    assert_eq!(discover(&engine.socket()).await.unwrap(), []);
    for name in ["miner-2", "helium-miner", "miner"] {
        engine.docker(&["create", "--name", name, IMAGE, "true"]);
    }
    let found = |name: &str| Found {
        container: name.to_owned(),
        image: IMAGE.to_owned(),
    };
    assert_eq!(
        discover(&engine.socket()).await.unwrap(),
        [found("miner"), found("helium-miner")]
    );
}

#[tokio::test]
async fn a_container_that_kept_its_name_gets_its_restart_policy_back() {
    let engine = Engine::shared();
    let docker = polite("kept");
    engine.docker(&["update", "--restart", "unless-stopped", "kept"]);
    let renewal = docker.renewal().unwrap();
    renewal.prepare().await.unwrap();
    // As far as an exchange comes whose first renaming the engine refuses; the other one was started by somebody.
    engine.docker(&["update", "--restart", "no", "kept"]);
    engine.docker(&["start", "kept.ostler-new"]);
    assert!(!renewal.back(GRACE).await.unwrap());
    assert_eq!(standing(engine, "kept"), "unless-stopped true");
    assert_eq!(standing(engine, "kept.ostler-new"), "no false");
    // Asked again it stays so.
    assert!(!renewal.back(GRACE).await.unwrap());
    assert_eq!(standing(engine, "kept"), "unless-stopped true");
    assert!(renewal.tidy().await.unwrap());
}

/// The restart policy of a container, and whether it runs.
fn standing(engine: &Engine, container: &str) -> String {
    let format = "{{.HostConfig.RestartPolicy.Name}} {{.State.Running}}";
    engine.docker(&["inspect", "--format", format, container])
}

#[tokio::test]
async fn a_successor_that_gets_the_place_again_gets_the_restart_policy_again() {
    let engine = Engine::shared();
    let docker = polite("again");
    engine.docker(&["update", "--restart", "on-failure:3", "again"]);
    let renewal = docker.renewal().unwrap();
    renewal.prepare().await.unwrap();
    let of = |name: &str| {
        let format = "{{.Id}} {{json .HostConfig.RestartPolicy}}";
        let answer = engine.docker(&["inspect", "--format", format, name]);
        let (id, policy) = answer.split_once(' ').unwrap();
        (id.to_owned(), policy.to_owned())
    };
    let (before, policy) = of("again");
    let (successor, _) = of("again.ostler-new");
    let never = policy.replace("on-failure", "no").replace('3', "0");

    assert!(renewal.forward(GRACE).await.unwrap());
    assert!(renewal.back(GRACE).await.unwrap());
    assert_eq!(of("again"), (before.clone(), policy.clone()));
    assert_eq!(of("again.ostler-new"), (successor.clone(), never.clone()));

    assert!(renewal.forward(GRACE).await.unwrap());
    assert_eq!(of("again"), (successor, policy));
    assert_eq!(of("again.ostler-old"), (before, never));
    assert!(renewal.tidy().await.unwrap());
}

#[tokio::test]
async fn a_successor_that_gave_its_place_back_is_not_started_with_the_engine() {
    let engine = Engine::start();
    let run = ["--restart", "always", IMAGE, "sh", "-c", POLITE];
    engine.run_container("miner", &run);
    let docker = docker(&engine, "miner");
    let renewal = docker.renewal().unwrap();
    renewal.prepare().await.unwrap();
    assert!(renewal.forward(GRACE).await.unwrap());
    docker.start().await.unwrap();
    assert!(renewal.back(GRACE).await.unwrap());
    docker.start().await.unwrap();
    assert_eq!(standing(&engine, "miner"), "always true");
    assert_eq!(standing(&engine, "miner.ostler-new"), "no false");
    engine.restart();
    eventually(async || (standing(&engine, "miner") == "always true").then_some(())).await;
    assert_eq!(standing(&engine, "miner.ostler-new"), "no false");
}
