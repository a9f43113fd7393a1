//! Stopping a unit, and the proof of how it ended.

use std::path::Path;
use std::time::Duration;

use ostler::protocol::RunState;
use ostler::runtime::{Runtime, Stopped};

use super::nspawn::{eventually, inside};
use super::{GRACE, SLEEP, reach, systemctl, unit};

/// A program for `ExecStart=` that does something when it is asked to end; `ready` says that it is listening.
fn on_term(what: &str) -> String {
    format!(
        "Type=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'trap \"{what}\" TERM; systemd-notify --ready; while :; do sleep 0.1; done'"
    )
}

#[test]
fn a_stopped_unit_stays_stopped_until_it_is_started() {
    inside(async || {
        let systemd = unit(
            "stays",
            &format!("Restart=always\nRestartSec=100ms\n{SLEEP}"),
        );
        assert!(systemd.start().await.unwrap());
        assert!(!systemd.start().await.unwrap());
        let first = systemd.inspect().await.unwrap().run;
        assert!(first.is_some());

        assert_eq!(systemd.stop(GRACE).await.unwrap(), Stopped::Cleanly);
        assert_eq!(systemd.stop(GRACE).await.unwrap(), Stopped::Already);
        let stopped = systemd.inspect().await.unwrap();
        assert_eq!(
            (stopped.state, stopped.reason.as_deref()),
            (RunState::Stopped, Some("is stopped"))
        );

        assert!(systemd.start().await.unwrap());
        let second = systemd.inspect().await.unwrap().run;
        assert!(second.is_some() && second != first);
    });
}

#[test]
fn a_unit_that_ends_badly_is_not_stopped_cleanly() {
    inside(async || {
        let forgetful = format!(
            "{}\n[Unit]\nCollectMode=inactive-or-failed",
            on_term("exit 1")
        );
        for (stem, service) in [
            ("ends-badly", on_term("exit 1")),
            ("ends-crashing", on_term("trap - ABRT; kill -ABRT $$$$")),
            ("ends-forgotten", forgetful),
        ] {
            let systemd = unit(stem, &service);
            systemd.start().await.unwrap();
            assert_eq!(
                systemd.stop(GRACE).await.unwrap(),
                Stopped::Failed,
                "{stem}"
            );
            assert_eq!(systemd.inspect().await.unwrap().state, RunState::Stopped);
        }
    });
}

#[test]
fn an_exit_status_that_the_unit_calls_good_is_clean() {
    inside(async || {
        let systemd = unit(
            "ends-by-143",
            &format!("SuccessExitStatus=143\n{}", on_term("exit 143")),
        );
        systemd.start().await.unwrap();
        assert_eq!(systemd.stop(GRACE).await.unwrap(), Stopped::Cleanly);
    });
}

#[test]
fn a_unit_that_ignores_its_end_is_killed_after_its_grace() {
    inside(async || {
        let systemd = unit("stubborn", &format!("TimeoutStopSec=1h\n{}", on_term(":")));
        systemd.start().await.unwrap();
        let grace = Duration::from_millis(500);
        assert_eq!(systemd.stop(grace).await.unwrap(), Stopped::Killed);
        let inspection = systemd.inspect().await.unwrap();
        assert_eq!(inspection.state, RunState::Stopped);
        assert_eq!(inspection.reason.unwrap(), "ended by SIGKILL");
        assert!(systemd.start().await.unwrap());
    });
}

#[test]
fn a_unit_that_systemd_kills_first_is_killed() {
    inside(async || {
        let systemd = unit(
            "impatient",
            &format!("TimeoutStopSec=500ms\n{}", on_term(":")),
        );
        systemd.start().await.unwrap();
        assert_eq!(systemd.stop(GRACE).await.unwrap(), Stopped::Killed);
    });
}

#[test]
fn a_unit_that_hangs_after_its_end_is_killed_too() {
    inside(async || {
        let systemd = unit(
            "hangs-after",
            &format!("TimeoutStopSec=1h\nExecStopPost=/bin/sleep 3600\n{SLEEP}"),
        );
        systemd.start().await.unwrap();
        let grace = Duration::from_millis(500);
        assert_eq!(systemd.stop(grace).await.unwrap(), Stopped::Killed);
        assert_eq!(systemd.inspect().await.unwrap().state, RunState::Stopped);
    });
}

#[test]
fn no_process_is_left_behind() {
    inside(async || {
        for mode in ["process", "none"] {
            let stem = format!("leaves-{mode}");
            let pids = format!("/run/{stem}");
            let program =
                format!("ExecStart=/bin/sh -c 'sleep 3600 & echo $! >{pids}; exec sleep 3600'");
            let systemd = unit(&stem, &format!("KillMode={mode}\n{program}"));
            systemd.start().await.unwrap();
            let pid = eventually(async || {
                let pid = std::fs::read_to_string(&pids).ok()?;
                pid.ends_with('\n').then(|| pid.trim().to_owned())
            });
            let process = format!("/proc/{}", pid.await);
            assert!(Path::new(&process).exists());
            assert_eq!(
                systemd.stop(GRACE).await.unwrap(),
                Stopped::Killed,
                "{mode}"
            );
            // Whoever adopts it may not have reaped it yet.
            eventually(async || (!Path::new(&process).exists()).then_some(())).await;
            assert_eq!(systemd.stop(GRACE).await.unwrap(), Stopped::Already);
        }
    });
}

#[test]
fn what_a_stop_by_hand_has_left_is_ended() {
    inside(async || {
        let systemd = unit(
            "left-by-hand",
            "KillMode=process\nExecStart=/bin/sh -c 'sleep 3600 & exec sleep 3600'",
        );
        systemd.start().await.unwrap();
        systemctl(&["stop", "left-by-hand"]);
        assert_eq!(systemd.inspect().await.unwrap().state, RunState::Stopped);
        assert_eq!(systemd.stop(GRACE).await.unwrap(), Stopped::Killed);
        assert_eq!(systemd.stop(GRACE).await.unwrap(), Stopped::Already);
    });
}

#[test]
fn a_restart_loop_can_be_stopped() {
    inside(async || {
        let systemd = unit(
            "loops-until",
            "Restart=always\nRestartSec=1h\nExecStart=/bin/sh -c 'exit 5'",
        );
        let _ = systemd.start().await;
        reach(&systemd, RunState::Restarting).await;
        // Its last run ended badly, long before the stop.
        assert_eq!(systemd.stop(GRACE).await.unwrap(), Stopped::Failed);
        assert_eq!(systemd.inspect().await.unwrap().state, RunState::Stopped);
        assert_eq!(systemd.stop(GRACE).await.unwrap(), Stopped::Already);
    });
}
