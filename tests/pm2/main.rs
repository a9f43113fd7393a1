//! The PM2 runtime against a real PM2, with an updater that starts a validator.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../lab/agent.rs"]
mod agent;
#[path = "../lab/pm2.rs"]
mod lab;

mod faults;
#[path = "../lab/nspawn.rs"]
#[allow(dead_code, reason = "each suite uses its own part of the lab")]
mod nspawn;
mod raised;
mod stop;
mod through_the_agent;

use std::time::Duration;

use lab::Pm2;
use ostler::protocol::RunState;
use ostler::runtime::pm2::{App, Settings};
use ostler::runtime::{Error, Inspection, Runtime, pm2};

const GRACE: Duration = Duration::from_secs(20);

/// What drives the validator in this PM2.
fn driver(lab: &Pm2) -> pm2::Pm2 {
    pm2::Pm2::new(settings(lab))
}

fn settings(lab: &Pm2) -> Settings {
    let app = |name| App::new(name).unwrap();
    Settings {
        user: lab.user().to_owned(),
        pm2_home: Some(lab.home()),
        program: Some(lab.program()),
        apps: vec![app("sn8"), app("ptn")],
        starts: vec![app("sn8")],
    }
}

/// Waits until it is so.
async fn reach(driver: &pm2::Pm2, what: impl Fn(&Inspection) -> bool) -> Inspection {
    let begun = std::time::Instant::now();
    loop {
        let seen = driver.inspect().await.unwrap();
        if what(&seen) {
            return seen;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{seen:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn all_run(seen: &Inspection) -> bool {
    seen.parts
        .iter()
        .all(|part| part.state == RunState::Running)
}

#[tokio::test]
async fn a_validator_is_described_without_a_word_of_its_environment() {
    let lab = Pm2::new();
    lab.start_validator();
    let driver = driver(&lab);
    assert_eq!(driver.describe(), "pm2 sn8, ptn of root");
    let seen = driver.inspect().await.unwrap();
    assert_eq!(
        (seen.state, seen.reason.as_deref()),
        (RunState::Running, None),
        "{seen:?}"
    );
    assert_eq!(
        seen.image.as_deref(),
        lab.checkout().join("run.sh").to_str()
    );
    let names: Vec<_> = seen.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(
        (names.as_slice(), seen.restarts),
        (["sn8", "ptn"].as_slice(), Some(0))
    );
    assert!(seen.started_at.is_some() && seen.run.is_some());
    assert!(!format!("{seen:?}").contains(lab::SECRET));
    assert!(!driver.start().await.unwrap(), "it runs");
    assert_eq!(lab.starts(), 1);
    let error = driver.exec(&["true"], GRACE).await.unwrap_err().to_string();
    assert!(error.contains("has no inside"), "{error}");
}

#[tokio::test]
async fn an_app_goes_by_its_script_too() {
    let lab = Pm2::new();
    lab.pm2(&["start", "run.sh", "--name", "a strange; $(name)"]);
    lab.wait_until("ptn runs", |lab| lab.status("ptn") == "online");
    let script = lab.checkout().join("run.sh");
    let script = App::new(script.to_str().unwrap()).unwrap();
    let driver = pm2::Pm2::new(Settings {
        apps: vec![script.clone(), App::new("ptn").unwrap()],
        starts: vec![script],
        ..settings(&lab)
    });
    assert_eq!(
        driver.inspect().await.unwrap().parts[0].name,
        "a strange; $(name)"
    );
    driver.stop(GRACE).await.unwrap();
    assert_eq!(lab.processes(), [0; 0]);
    assert!(driver.start().await.unwrap());
    reach(&driver, all_run).await;
}

#[tokio::test]
async fn a_validator_that_crashes_is_given_up_by_pm2_and_told() {
    let lab = Pm2::new();
    lab.start_validator();
    let driver = driver(&lab);
    driver.stop(GRACE).await.unwrap();
    lab.behave("crash");
    driver.start().await.unwrap();
    let seen = reach(&driver, |seen| seen.parts[1].gave_up).await;
    let reason = seen.reason.unwrap();
    assert!(
        reason.starts_with("ptn was given up by PM2 after ")
            && reason.ends_with(" restarts; it ended with status 1"),
        "{reason}"
    );
    assert_eq!(
        (seen.state, seen.parts[0].state),
        (RunState::Running, RunState::Running)
    );
    assert_eq!(seen.health.as_deref(), Some("unhealthy"));

    // Nothing of that is left once it is well again.
    lab.behave("");
    driver.stop(GRACE).await.unwrap();
    driver.start().await.unwrap();
    assert_eq!(reach(&driver, all_run).await.reason, None);
}

#[tokio::test]
async fn the_ends_of_all_logs_are_read() {
    let lab = Pm2::new();
    lab.start_validator();
    let driver = driver(&lab);
    lab.wait_until("it has written", |lab| {
        let log = lab.home().join("logs/ptn-out.log");
        std::fs::read_to_string(log)
            .unwrap_or_default()
            .contains("[INIT]")
    });
    let log = driver.logs(100, 16_384).await.unwrap();
    let ends: Vec<&str> = log.lines().filter(|line| line.starts_with("==>")).collect();
    assert_eq!(
        ends,
        [
            "==> sn8: errors <==",
            "==> sn8: output <==",
            "==> ptn: errors <==",
            "==> ptn: output <=="
        ]
    );
    assert!(
        log.ends_with("[INIT] All 10 initialization steps completed successfully!\n"),
        "{log}"
    );
    let one = driver.logs(1, 16_384).await.unwrap();
    assert!(
        one.ends_with("[INIT] All 10 initialization steps completed successfully!\n"),
        "{one}"
    );
    assert!(!one.contains("loaded 0 positions"), "{one}");
    let short = driver.logs(100, 300).await.unwrap();
    assert!(
        short.len() <= 300 && short.ends_with("successfully!\n"),
        "{short}"
    );
}

#[tokio::test]
async fn a_log_that_leads_elsewhere_is_not_read() {
    let lab = Pm2::of_nobody();
    lab.start_validator();
    // PM2 names it by what the user said, and the user can let it lead anywhere.
    let log = lab.home().join("logs/ptn-out.log");
    std::fs::remove_file(&log).unwrap();
    std::os::unix::fs::symlink("/proc/self/environ", &log).unwrap();
    let log = driver(&lab).logs(100, 16_384).await.unwrap();
    assert!(
        log.contains("no file of that user's") && !log.contains("CARGO"),
        "{log}"
    );
}

#[tokio::test]
async fn the_validator_of_another_user_is_driven_as_that_user() {
    let lab = Pm2::of_nobody();
    lab.start_validator();
    let driver = driver(&lab);
    assert_eq!(driver.inspect().await.unwrap().state, RunState::Running);
    driver.stop(GRACE).await.unwrap();
    assert_eq!(lab.processes(), [0; 0]);
    assert!(driver.start().await.unwrap());
    reach(&driver, all_run).await;
    // What has ended meanwhile, such as the updater's `sleep`, is nobody's.
    let is_theirs = |path: String| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(path).map_or(true, |found| found.uid() == 65534)
    };
    for pid in lab.processes() {
        assert!(is_theirs(format!("/proc/{pid}")));
    }

    // Also where the daemon has to be brought back.
    lab.pm2(&["kill"]);
    assert!(driver.start().await.unwrap());
    reach(&driver, all_run).await;
    let daemon = lab.daemon().unwrap();
    assert!(is_theirs(format!("/proc/{daemon}")));
    assert!(lab.daemon().is_some(), "it is there still");
    for entry in std::fs::read_dir(lab.home()).unwrap().flatten() {
        let path = entry.path().display().to_string();
        assert!(is_theirs(path.clone()), "{path} is somebody else's");
    }
}

#[tokio::test]
async fn a_daemon_without_a_validator_is_not_taken_for_one() {
    let lab = Pm2::new();
    // The program is found beside the `node` that the daemon is, or in the usual places; here it is in none of them.
    let found = || async { pm2::discover(&[]).await.unwrap_or_default() };
    let mine = |found: &[pm2::Found]| {
        found
            .iter()
            .find(|found| found.pm2_home == lab.home())
            .cloned()
    };
    lab.pm2(&["ping"]);
    assert_eq!(mine(&found().await), None,);
}
