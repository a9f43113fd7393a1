//! The dead-man: the unit's return does not depend on the agent.

use std::process::Command;
use std::time::Duration;

use ostler::protocol::RunState;
use ostler::runtime::systemd::{DeadMan, Systemd};
use ostler::runtime::{Error, Runtime, Stopped};

use super::nspawn::{eventually, inside, only_inside, own_program};
use super::{GRACE, SLEEP, name, reach, systemctl, unit};

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3600);

#[test]
fn a_unit_is_started_again_when_the_agent_is_killed() {
    inside(async || {
        let systemd = unit("orphaned", SLEEP);
        systemd.start().await.unwrap();
        let first = systemd.inspect().await.unwrap().run;
        // The agent is a unit itself: systemd ends every process of it.
        systemctl_run(
            "agent-of-orphaned",
            "deadman::agent_that_stops_a_unit_and_hangs",
        );
        eventually(async || {
            std::fs::exists("/run/agent-of-orphaned")
                .unwrap()
                .then_some(())
        })
        .await;
        systemctl(&["kill", "--signal=KILL", "agent-of-orphaned"]);

        let again = reach(&systemd, RunState::Running).await;
        assert_ne!(again.run, first);
        // Nothing of it is left.
        let dead_man = DeadMan::of(&name("orphaned"));
        eventually(async || {
            let units = systemctl(&[
                "list-units",
                "--all",
                "--plain",
                "--no-legend",
                "ostler-deadman-orphaned*",
            ]);
            units.is_empty().then_some(())
        })
        .await;
        assert!(!dead_man.disarm().await.unwrap());
    });
}

fn systemctl_run(agent: &str, test: &str) {
    let started = Command::new("systemd-run")
        .args([
            "--collect",
            &format!("--unit={agent}"),
            "--setenv=OSTLER_LAB_INSIDE=yes",
        ])
        .args([&own_program(), "--exact", test, "--ignored", "--nocapture"])
        .status()
        .unwrap();
    assert!(started.success());
}

#[test]
#[ignore = "not a test: what the agent of another test does"]
fn agent_that_stops_a_unit_and_hangs() {
    only_inside(async || {
        let armed = DeadMan::arm(&name("orphaned"), Duration::from_secs(15))
            .await
            .unwrap();
        assert_eq!(
            Systemd::new(name("orphaned")).stop(GRACE).await.unwrap(),
            Stopped::Cleanly
        );
        std::fs::File::create("/run/agent-of-orphaned").unwrap();
        std::future::pending::<()>().await;
        drop(armed);
    });
}

#[test]
fn a_dead_man_that_is_disarmed_does_nothing() {
    inside(async || {
        let systemd = unit("disarmed", SLEEP);
        let dead_man = DeadMan::of(&name("disarmed"));
        assert!(!dead_man.is_armed().await.unwrap());
        assert!(systemd.arm(NEVER).await.unwrap());
        assert!(dead_man.is_armed().await.unwrap());
        systemd.disarm().await.unwrap();
        assert!(!dead_man.is_armed().await.unwrap());

        let armed = DeadMan::arm(&name("disarmed"), NEVER).await.unwrap();
        assert!(armed.disarm().await.unwrap());
        assert!(!dead_man.disarm().await.unwrap());
        assert_eq!(systemd.inspect().await.unwrap().state, RunState::Stopped);
        assert_eq!(
            systemctl(&[
                "list-units",
                "--all",
                "--plain",
                "--no-legend",
                "ostler-deadman-disarmed*"
            ]),
            ""
        );
    });
}

#[test]
fn arming_again_replaces_what_was_armed() {
    inside(async || {
        // An instance, for its name has a character that is special to systemd.
        let systemd = unit("again@one", SLEEP);
        let first = DeadMan::arm(&name("again@one"), NEVER).await.unwrap();
        let _second = DeadMan::arm(&name("again@one"), Duration::from_millis(200))
            .await
            .unwrap();
        reach(&systemd, RunState::Running).await;
        assert!(!first.disarm().await.unwrap(), "it has fired");
    });
}

#[test]
fn a_start_that_fails_is_tried_again() {
    inside(async || {
        let first_fails = "ExecStartPre=/bin/sh -c 'mkdir /run/tried-before && exit 1; true'";
        let systemd = unit("tried-again", &format!("{first_fails}\n{SLEEP}"));
        let _armed = DeadMan::arm(&name("tried-again"), Duration::from_millis(100))
            .await
            .unwrap();
        eventually(async || std::fs::exists("/run/tried-before").unwrap().then_some(())).await;
        eventually(async || {
            let inspection = systemd.inspect().await.unwrap();
            (inspection.state == RunState::Running && inspection.reason.is_none()).then_some(())
        })
        .await;
    });
}

#[test]
fn a_dead_man_for_a_unit_with_an_escape_in_its_name_fires() {
    inside(async || {
        let stem = r"with\x2descape";
        let systemd = unit(stem, SLEEP);
        let _armed = DeadMan::arm(&name(stem), Duration::from_millis(100))
            .await
            .unwrap();
        reach(&systemd, RunState::Running).await;
    });
}

#[test]
fn a_dead_man_that_cannot_be_armed_is_an_error() {
    inside(async || {
        // systemd's own limit to a name is 255, and the dead-man's is longer than the unit's.
        let long = name(&"x".repeat(240));
        let error = DeadMan::arm(&long, NEVER).await.err().unwrap();
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    });
}
