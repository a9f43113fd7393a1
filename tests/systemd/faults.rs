//! A systemd that hangs, one that refuses, and none at all.

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use ostler::protocol::RunState;
use ostler::runtime::systemd::{DeadMan, Systemd, discover};
use ostler::runtime::{Error, Runtime};

use super::nspawn::{Machine, eventually, only_inside};
use super::{GRACE, name, write_unit};

#[test]
fn a_systemd_that_hangs_ends_each_call_and_is_told() {
    let machine = Machine::boot();
    machine.freeze();
    machine.run_test("faults::every_call_is_unresponsive", &[]);
    machine.thaw();
    machine.run_test("faults::every_call_is_answered", &[]);
}

#[test]
#[ignore = "not a test: part of another one"]
fn every_call_is_unresponsive() {
    only_inside(async || {
        let systemd = Systemd::new(name("dbus"));
        let unit = name("dbus");
        // At once: each waits for its whole deadline.
        let (inspected, started, stopped, armed) = tokio::join!(
            systemd.inspect(),
            systemd.start(),
            systemd.stop(GRACE),
            DeadMan::arm(&unit, GRACE)
        );
        for error in [
            inspected.unwrap_err(),
            started.unwrap_err(),
            stopped.unwrap_err(),
            armed.err().unwrap(),
        ] {
            assert!(matches!(error, Error::Unresponsive { .. }), "{error:?}");
            assert!(error.to_string().contains("unit dbus.service"), "{error}");
        }
    });
}

#[test]
#[ignore = "not a test: part of another one"]
fn every_call_is_answered() {
    only_inside(async || {
        let systemd = Systemd::new(name("dbus"));
        assert_eq!(systemd.inspect().await.unwrap().state, RunState::Running);
        assert!(!systemd.start().await.unwrap());
    });
}

#[test]
fn a_host_without_systemd_is_told() {
    // As on a host whose process 1 is something else.
    let hide = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        "mount -t tmpfs none /run/systemd && exec \"$@\"",
        "hide",
    ];
    Machine::shared().run_test("faults::every_call_is_absent", &hide);
}

#[test]
#[ignore = "not a test: part of another one"]
fn every_call_is_absent() {
    only_inside(async || {
        let systemd = Systemd::new(name("harmony"));
        for error in [
            systemd.inspect().await.unwrap_err(),
            systemd.start().await.unwrap_err(),
            systemd.stop(GRACE).await.unwrap_err(),
            systemd.logs(10, 1000).await.unwrap_err(),
            discover().await.unwrap_err(),
            DeadMan::arm(&name("harmony"), GRACE).await.err().unwrap(),
        ] {
            assert!(matches!(error, Error::Absent { .. }), "{error:?}");
        }
        // The first call says so at once, the next ones have nothing to say.
        systemd.changed().await;
        let told = tokio::time::timeout(Duration::from_millis(200), systemd.changed()).await;
        assert!(told.is_err());
    });
}

#[test]
fn a_unit_that_failed_too_often_can_be_started_again() {
    // A machine of its own: `daemon-reload`, which other tests ask for, resets systemd's count of starts.
    Machine::boot().run_test("faults::start_in_spite_of_the_limit", &[]);
}

#[test]
#[ignore = "not a test: part of another one"]
fn start_in_spite_of_the_limit() {
    only_inside(async || {
        write_unit(
            "limited",
            "[Unit]\nStartLimitBurst=2\nStartLimitIntervalSec=1h\n\
             [Service]\nRestart=always\nRestartSec=100ms\nExecStart=/bin/sh -c '[ -e /run/limited ] && exec sleep 3600'\n",
        );
        let systemd = Systemd::new(name("limited"));
        let _ = systemd.start().await;
        let limited = async || {
            let journal = Command::new("journalctl")
                .args(["-u", "limited"])
                .output()
                .unwrap();
            String::from_utf8_lossy(&journal.stdout)
                .contains("Start request repeated too quickly")
                .then_some(())
        };
        eventually(limited).await;
        assert_eq!(systemd.inspect().await.unwrap().state, RunState::Stopped);
        let by_hand = Command::new("systemctl")
            .args(["start", "limited"])
            .output()
            .unwrap();
        assert!(!by_hand.status.success(), "the limit holds: {by_hand:?}");

        File::create("/run/limited").unwrap();
        assert!(systemd.start().await.unwrap());
        assert_eq!(systemd.inspect().await.unwrap().state, RunState::Running);
    });
}
