//! The systemd runtime in a real systemd. Each test runs inside a container that has one, by this very program.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../lab/nspawn.rs"]
#[allow(dead_code, reason = "each suite uses its own part of the lab")]
mod nspawn;

mod deadman;
mod faults;
mod reboot;
mod stop;

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use nspawn::{eventually, inside};
use ostler::clock::Timestamp;
use ostler::protocol::RunState;
use ostler::runtime::systemd::{Found, Systemd, UnitName, discover};
use ostler::runtime::{Error, Inspection, Runtime};

const GRACE: Duration = Duration::from_secs(20);

const SLEEP: &str = "ExecStart=/bin/sleep 3600";

fn name(stem: &str) -> UnitName {
    UnitName::new(format!("{stem}.service")).unwrap()
}

fn systemctl(arguments: &[&str]) -> String {
    let output = Command::new("systemctl").args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "systemctl {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Makes a unit of its own for a test; `service` is what stands in its section `[Service]`.
fn unit(stem: &str, service: &str) -> Systemd {
    write_unit(stem, &format!("[Service]\n{service}\n"));
    Systemd::new(name(stem))
}

fn write_unit(stem: &str, text: &str) {
    let path = format!("/run/systemd/system/{stem}.service");
    File::create(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    systemctl(&["daemon-reload"]);
}

/// Waits until it is in this state.
async fn reach(systemd: &Systemd, state: RunState) -> Inspection {
    eventually(async || {
        let inspection = systemd.inspect().await.unwrap();
        (inspection.state == state).then_some(inspection)
    })
    .await
}

#[test]
fn a_running_unit_is_described() {
    inside(async || {
        let systemd = unit("described", SLEEP);
        assert!(systemd.start().await.unwrap());
        let inspection = systemd.inspect().await.unwrap();
        assert_eq!(systemd.describe(), "systemd described.service");
        assert_eq!(inspection.state, RunState::Running);
        assert_eq!(inspection.reason, None);
        assert_eq!(inspection.image.as_deref(), Some("/bin/sleep"));
        assert_eq!(inspection.restarts, Some(0));
        assert_eq!(inspection.health, None);
        let invocation = systemctl(&["show", "--value", "-p", "InvocationID", "described"]);
        assert_eq!(inspection.run, Some(invocation));
        let started_at = Timestamp::parse(&inspection.started_at.unwrap()).unwrap();
        assert!((0..600).contains(&(Timestamp::now().unix_seconds() - started_at.unix_seconds())));
    });
}

#[test]
fn a_unit_that_does_not_run_says_why() {
    inside(async || {
        for (stem, service, reason) in [
            (
                "exits",
                "ExecStart=/bin/sh -c 'exit 3'",
                "exited with status 3",
            ),
            (
                "nothing",
                "ExecStart=/no/such/program",
                "exited with status 203 (its program cannot be executed)",
            ),
            (
                "nobody",
                "User=nosuchuser\nExecStart=/bin/true",
                "exited with status 217 (no such user)",
            ),
            (
                "crashes",
                "ExecStart=/bin/sh -c 'kill -SEGV $$$$'",
                "ended by SIGSEGV",
            ),
            (
                "late",
                "Type=notify\nTimeoutStartSec=1\nExecStart=/bin/sleep 3600",
                "did not start or stop within systemd's own time limit",
            ),
        ] {
            let systemd = unit(stem, service);
            assert_eq!(
                systemd.inspect().await.unwrap().reason.unwrap(),
                "is stopped"
            );
            let _ = systemd.start().await;
            let inspection = eventually(async || {
                let inspection = systemd.inspect().await.unwrap();
                (inspection.reason.as_deref() == Some(reason)).then_some(inspection)
            });
            assert_eq!(inspection.await.state, RunState::Stopped, "{stem}");
        }
    });
}

#[test]
fn a_file_that_cannot_be_used_says_why() {
    inside(async || {
        std::os::unix::fs::symlink("/dev/null", "/run/systemd/system/masked.service").unwrap();
        let wrong = unit("wrong", "Nonsense");
        let masked = Systemd::new(name("masked"));
        for (systemd, told) in [
            (
                wrong,
                "its file cannot be used: Unit wrong.service has a bad unit file setting.",
            ),
            (masked, "is masked: allow it again with `systemctl unmask`"),
        ] {
            let inspection = systemd.inspect().await.unwrap();
            assert_eq!(inspection.state, RunState::Stopped);
            assert_eq!(inspection.reason.as_deref(), Some(told));
            let error = systemd.start().await.unwrap_err();
            assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        }
    });
}

#[test]
fn a_program_that_has_ended_in_a_unit_that_stays_is_told() {
    inside(async || {
        let systemd = unit(
            "oneshot",
            "Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true",
        );
        assert!(systemd.start().await.unwrap());
        let inspection = systemd.inspect().await.unwrap();
        assert_eq!(inspection.state, RunState::Running);
        assert_eq!(
            inspection.reason.unwrap(),
            "its program has ended, and the unit stays active"
        );
    });
}

#[test]
fn a_missing_unit_is_an_error_of_its_own() {
    inside(async || {
        let systemd = Systemd::new(name("nowhere"));
        for error in [
            systemd.inspect().await.unwrap_err(),
            systemd.start().await.unwrap_err(),
            systemd.stop(GRACE).await.unwrap_err(),
            systemd.logs(10, 1000).await.unwrap_err(),
        ] {
            assert!(matches!(error, Error::Missing { .. }), "{error:?}");
        }
    });
}

#[test]
fn nothing_can_be_run_inside_a_unit() {
    inside(async || {
        let systemd = unit("inside", SLEEP);
        let error = systemd.exec(&["true"], GRACE).await.unwrap_err();
        assert!(error.to_string().contains("has no inside"), "{error}");
    });
}

#[test]
fn a_start_that_fails_says_why() {
    inside(async || {
        let systemd = unit("refuses", "Type=oneshot\nExecStart=/bin/sh -c 'exit 4'");
        let error = systemd.start().await.unwrap_err().to_string();
        assert_eq!(
            error,
            "systemd cannot start unit refuses.service: exited with status 4"
        );

        write_unit(
            "unmet",
            "[Unit]\nConditionPathExists=/no/such\n[Service]\nExecStart=/bin/sleep 3600\n",
        );
        let error = Systemd::new(name("unmet"))
            .start()
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("a condition of the unit is not met"),
            "{error}"
        );
    });
}

#[test]
fn a_unit_in_a_restart_loop_is_restarting() {
    inside(async || {
        let systemd = unit(
            "loops",
            "Restart=always\nRestartSec=1s\nExecStart=/bin/sh -c 'sleep 0.1; exit 5'",
        );
        let _ = systemd.start().await;
        let first = reach(&systemd, RunState::Restarting).await;
        assert_eq!(
            first.reason.unwrap(),
            "exited with status 5, and is started again and again"
        );
        // systemd is at it already.
        assert!(!systemd.start().await.unwrap());
        let later = eventually(async || {
            let inspection = systemd.inspect().await.unwrap();
            (inspection.run != first.run).then_some(inspection)
        });
        assert!(later.await.restarts >= Some(1));
    });
}

#[test]
fn every_change_is_noticed() {
    inside(async || {
        let systemd = unit(
            "noticed",
            "Restart=always\nRestartSec=1h\nExecStart=/bin/sleep 3600",
        );
        // Something may have happened before the first call.
        systemd.changed().await;
        systemd.start().await.unwrap();
        systemd.changed().await;
        settle(&systemd).await;

        systemctl(&["kill", "--signal=KILL", "noticed"]);
        systemd.changed().await;
        reach(&systemd, RunState::Restarting).await;
        settle(&systemd).await;

        // What happens while nobody waits is not lost, and is told once.
        systemctl(&["restart", "noticed"]);
        systemd.changed().await;
        settle(&systemd).await;
        systemctl(&["stop", "noticed"]);
        systemd.changed().await;
    });
}

/// Takes the changes that belong to what was done before: a start makes its link in two steps.
async fn settle(systemd: &Systemd) {
    while tokio::time::timeout(Duration::from_millis(300), systemd.changed())
        .await
        .is_ok()
    {}
}

#[test]
fn other_units_and_waiting_do_not_look_like_a_change() {
    inside(async || {
        let systemd = unit("quiet", SLEEP);
        let other = unit("quiet-not", SLEEP);
        systemd.changed().await;
        other.start().await.unwrap();
        other.stop(GRACE).await.unwrap();
        let told = tokio::time::timeout(Duration::from_secs(1), systemd.changed()).await;
        assert!(told.is_err(), "nothing has happened to it");
    });
}

#[test]
fn a_change_is_noticed_by_an_alias_too() {
    inside(async || {
        unit("by-its-name", SLEEP);
        let link = "/run/systemd/system/by-an-alias.service";
        std::os::unix::fs::symlink("by-its-name.service", link).unwrap();
        systemctl(&["daemon-reload"]);
        let alias = Systemd::new(name("by-an-alias"));
        alias.changed().await;
        systemctl(&["start", "by-its-name"]);
        alias.changed().await;
        assert_eq!(alias.inspect().await.unwrap().state, RunState::Running);
    });
}

#[test]
fn the_end_of_the_log_is_read() {
    inside(async || {
        let systemd = unit(
            "talks",
            "Type=oneshot\nExecStart=/bin/sh -c 'echo one; echo two >&2; echo three'",
        );
        assert_eq!(systemd.logs(10, 1000).await.unwrap(), "");
        systemd.start().await.unwrap_err(); // A oneshot is inactive again when it is done.
        let log = eventually(async || {
            let log = systemd.logs(10, 10_000).await.unwrap();
            log.contains("three").then_some(log)
        });
        let log = log.await;
        let texts: Vec<_> = log
            .lines()
            .filter_map(|line| line.split_once("]: "))
            .map(|(_, text)| text)
            .collect();
        assert!(texts.join(" ").contains("one two three"), "{log}");

        let two = systemd.logs(2, 10_000).await.unwrap();
        assert_eq!(two.lines().count(), 2, "{two}");
        let bytes = systemd.logs(10, 150).await.unwrap();
        assert!(
            !bytes.is_empty() && bytes.len() <= 150 && log.ends_with(&bytes),
            "{bytes}"
        );
    });
}

#[test]
fn a_harmony_node_is_discovered() {
    inside(async || {
        assert_eq!(discover().await.unwrap(), []);
        unit("harmony", SLEEP);
        let found = Found {
            unit: name("harmony"),
            program: Some("/bin/sleep".to_owned()),
        };
        assert_eq!(discover().await.unwrap(), [found]);
    });
}
