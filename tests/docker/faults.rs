//! An engine that is absent, or comes and goes, and changes that must not be missed.

use std::os::unix::net::UnixListener;
use std::time::Duration;

use futures_util::future::FutureExt;
use ostler::protocol::RunState;
use ostler::runtime::docker::{Docker, discover};
use ostler::runtime::{Error, Runtime};
use tokio::time::timeout;

use crate::engine::{Engine, IMAGE, POLITE, STUBBORN, eventually};
use crate::{DEADLINE, GRACE, docker};

/// More than the runtime waits for the events that follow one closely.
const QUIET: Duration = Duration::from_secs(1);

/// Waits for a change; the engine is well, so it must come.
async fn change(docker: &Docker) {
    timeout(DEADLINE, docker.changed())
        .await
        .expect("a change is noticed");
}

/// Reads all changes so far: what follows is new.
async fn drain(docker: &Docker) {
    change(docker).await;
    while timeout(QUIET, docker.changed()).await.is_ok() {}
}

#[tokio::test]
async fn an_absent_engine_is_told_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("sock");
    let docker = Docker::new(socket.clone(), "miner".into()).unwrap();
    let expect = |error: Error, text: &str| {
        assert!(matches!(error, Error::Absent { .. }), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
    };

    expect(docker.inspect().await.unwrap_err(), "is Docker installed");
    expect(docker.start().await.unwrap_err(), "is Docker installed");
    expect(docker.stop(GRACE).await.unwrap_err(), "is Docker installed");
    expect(discover(&socket).await.unwrap_err(), "is Docker installed");

    drop(UnixListener::bind(&socket).unwrap());
    expect(docker.inspect().await.unwrap_err(), "nobody listens");
}

#[tokio::test]
async fn an_engine_that_hangs_while_a_program_runs_is_given_up_at_the_deadline() {
    let engine = Engine::start();
    engine.run_container("miner", &[IMAGE, "sh", "-c", POLITE]);
    let docker = docker(&engine, "miner");
    let command = ["sh", "-c", "touch /tmp/begun; sleep 3600"];
    let freeze = async {
        eventually(async || {
            let seen = engine.try_docker(&["exec", "miner", "test", "-e", "/tmp/begun"]);
            seen.status.success().then_some(())
        })
        .await;
        engine.freeze();
        tokio::time::pause();
    };
    engine.docker(&["exec", "miner", "mkdir", "-p", "/tmp"]);
    let (result, ()) = tokio::join!(docker.exec(&command, DEADLINE), freeze);
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Unresponsive { .. }), "{error:?}");
}

#[tokio::test]
async fn a_restarted_engine_is_found_again() {
    let engine = Engine::start();
    engine.run_container("miner", &[IMAGE, "sh", "-c", POLITE]);
    let docker = docker(&engine, "miner");
    drain(&docker).await;

    engine.kill();
    change(&docker).await;
    let error = docker.inspect().await.unwrap_err();
    assert!(matches!(error, Error::Absent { .. }), "{error:?}");

    // Whoever waits meanwhile is told that it is back, also where it asks anew every so often.
    let back = async {
        while timeout(Duration::from_millis(700), docker.changed())
            .await
            .is_err()
        {}
    };
    assert!(back.now_or_never().is_none(), "it is not back yet");
    engine.revive();
    let back = async {
        while timeout(Duration::from_millis(700), docker.changed())
            .await
            .is_err()
        {}
    };
    timeout(DEADLINE, back)
        .await
        .expect("its return is noticed");
    docker.inspect().await.unwrap();
    docker.start().await.unwrap();
    assert_eq!(docker.inspect().await.unwrap().state, RunState::Running);
}

#[tokio::test]
async fn an_engine_that_dies_during_a_call_is_absent() {
    let engine = Engine::start();
    engine.run_container("miner", &[IMAGE, "sh", "-c", STUBBORN]);
    let docker = docker(&engine, "miner");
    let kill = async {
        // The stop has been asked for when the engine has told of its signal.
        let events = ["events", "--since=1", "--filter=event=kill", "--until=0s"];
        eventually(async || (!engine.docker(&events).is_empty()).then_some(())).await;
        engine.kill();
    };
    let (result, ()) = tokio::join!(docker.stop(GRACE * 10), kill);
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Absent { .. }), "{error:?}");
}

#[tokio::test]
async fn a_change_is_told_at_once_and_to_whom_it_concerns() {
    let engine = Engine::shared();
    for name in ["watched", "watched-not", "control"] {
        engine.run_container(name, &[IMAGE, "sh", "-c", STUBBORN]);
    }
    let (watched, control) = (docker(engine, "watched"), docker(engine, "control"));
    tokio::join!(drain(&watched), drain(&control));

    let mut changed = std::pin::pin!(watched.changed());
    assert!(changed.as_mut().now_or_never().is_none());
    watched.exec(&["true"], DEADLINE).await.unwrap();
    engine.docker(&["kill", "watched-not"]);
    // Events come in order: who is told of this one has been sent the ones before.
    engine.docker(&["kill", "control"]);
    change(&control).await;
    let told = timeout(QUIET, changed.as_mut()).await;
    assert!(
        told.is_err(),
        "neither a program inside nor another container is a change"
    );

    engine.docker(&["kill", "watched"]);
    timeout(DEADLINE, changed)
        .await
        .expect("a kill is a change");
    assert_eq!(watched.inspect().await.unwrap().state, RunState::Stopped);
}

#[tokio::test]
async fn changes_between_two_calls_are_not_missed() {
    let engine = Engine::shared();
    engine.docker(&["create", "--name", "between", IMAGE, "sh", "-c", STUBBORN]);
    let docker = docker(engine, "between");
    drain(&docker).await;
    for change_it in [
        &["start", "between"][..],
        &["pause", "between"],
        &["unpause", "between"],
        &["rename", "between", "elsewhere"],
        &["rename", "elsewhere", "between"],
        &["rm", "--force", "between"],
        &["create", "--name", "between", IMAGE, "true"],
    ] {
        engine.docker(change_it);
        change(&docker).await;
        while timeout(QUIET, docker.changed()).await.is_ok() {}
    }
}
