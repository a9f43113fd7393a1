//! Stopping: in the right order, until no process is left.

use super::*;
use ostler::runtime::Stopped;

#[tokio::test]
async fn the_updater_stops_first_and_its_start_makes_the_validator_anew() {
    let lab = Pm2::new();
    lab.start_validator();
    let driver = driver(&lab);
    let before = driver.inspect().await.unwrap();
    let id = |name: &str| lab.app(name).unwrap()["pm_id"].as_u64().unwrap();
    let (sn8, ptn) = (id("sn8"), id("ptn"));
    let how = driver.stop(GRACE).await.unwrap();
    assert_eq!(lab.processes(), [0; 0]);
    assert_eq!(
        (lab.status("sn8"), lab.status("ptn")),
        ("stopped".into(), "stopped".into())
    );
    let log = std::fs::read_to_string(lab.home().join("pm2.log")).unwrap();
    let at = |name: &str| log.find(&format!("Stopping app:{name}")).unwrap();
    assert!(at("sn8") < at("ptn"), "{log}");
    // On a busy machine PM2 loses its patience.
    let killed = log.contains("SIGKILL");
    assert_eq!(killed, how == Stopped::Killed, "{how:?}: {log}");
    assert!(killed || how == Stopped::Cleanly, "{how:?}");
    let stopped = driver.inspect().await.unwrap();
    assert_eq!(stopped.state, RunState::Stopped);
    assert_eq!(
        stopped.reason.as_deref(),
        Some("sn8 is stopped; ptn is stopped")
    );
    assert_eq!(driver.stop(GRACE).await.unwrap(), Stopped::Already);

    assert!(driver.start().await.unwrap());
    lab.wait_until("the validator was made anew", |lab| {
        lab.app("ptn")
            .is_some_and(|app| app["pm_id"].as_u64() != Some(ptn))
    });
    let after = reach(&driver, all_run).await;
    assert_eq!(id("sn8"), sn8);
    assert_ne!(after.run, before.run);
    // Its first act is to note that it was started; PM2 calls it online before.
    lab.wait_until("it has begun", |lab| lab.starts() >= 2);
    assert_eq!(lab.starts(), 2, "each once");
}

#[tokio::test]
async fn what_ignores_sigint_is_killed_and_told_so() {
    let lab = Pm2::new();
    lab.behave("stubborn");
    lab.start_validator();
    assert_eq!(driver(&lab).stop(GRACE).await.unwrap(), Stopped::Killed);
    assert_eq!(lab.processes(), [0; 0]);
}

#[tokio::test]
async fn what_has_left_its_family_is_found_and_killed_after_its_grace() {
    let lab = Pm2::new();
    lab.behave("fork");
    lab.start_validator();
    lab.wait_until("it left one behind", |lab| lab.processes().len() >= 3);
    let begun = std::time::Instant::now();
    let grace = Duration::from_secs(2);
    assert_eq!(driver(&lab).stop(grace).await.unwrap(), Stopped::Killed);
    assert!(begun.elapsed() >= grace);
    assert_eq!(lab.processes(), [0; 0]);
    assert_eq!(lab.status("ptn"), "stopped");
}

#[tokio::test]
async fn the_validator_alone_is_stopped_where_the_updater_was_stopped_already() {
    let lab = Pm2::new();
    lab.start_validator();
    let driver = driver(&lab);
    lab.pm2(&["stop", "sn8"]);
    let seen = driver.inspect().await.unwrap();
    assert_eq!(seen.state, RunState::Running);
    assert_eq!(seen.reason.as_deref(), Some("sn8 is stopped"));
    assert_ne!(driver.stop(GRACE).await.unwrap(), Stopped::Already);
    // And where there is none any more.
    lab.pm2(&["delete", "ptn"]);
    assert_eq!(driver.stop(GRACE).await.unwrap(), Stopped::Already);
    let seen = driver.inspect().await.unwrap();
    assert_eq!(seen.parts[1].state, RunState::Missing);
}

#[tokio::test]
async fn other_apps_are_left_alone() {
    let lab = Pm2::new();
    lab.start_validator();
    lab.pm2(&[
        "start",
        "sleep",
        "--name",
        "other",
        "--interpreter",
        "none",
        "--",
        "3600",
    ]);
    let pid = lab.app("other").unwrap()["pid"].clone();
    let driver = driver(&lab);
    driver.stop(GRACE).await.unwrap();
    driver.start().await.unwrap();
    reach(&driver, all_run).await;
    let other = lab.app("other").unwrap();
    assert_eq!(
        (&other["pid"], &other["pm2_env"]["restart_time"]),
        (&pid, &0.into())
    );
}
