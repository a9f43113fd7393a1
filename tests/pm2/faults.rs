//! A daemon that is away, dead or hung, and answers that are none.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::*;
use ostler::runtime::Stopped;

#[tokio::test]
async fn a_daemon_that_does_not_run_is_brought_back_by_a_start_and_by_nothing_else() {
    let lab = Pm2::new();
    lab.start_validator();
    let driver = driver(&lab);
    lab.pm2(&["kill"]);
    let seen = driver.inspect().await.unwrap();
    assert_eq!(seen.state, RunState::Stopped);
    let reason = seen.reason.unwrap();
    assert!(
        reason.contains("daemon does not run; a start brings it back"),
        "{reason}"
    );
    assert_eq!(driver.stop(GRACE).await.unwrap(), Stopped::Already);
    assert!(driver.logs(10, 10_000).await.unwrap().contains("[INIT]"));
    assert_eq!(lab.daemon(), None, "looking started it");
    assert!(driver.start().await.unwrap());
    reach(&driver, all_run).await;
    assert!(lab.daemon().is_some());
}

/// A home on a server that hangs: a filesystem whose server never says a word.
struct Hung {
    home: PathBuf,
    _server: File,
}

impl Hung {
    fn at(home: PathBuf) -> Option<Self> {
        let server = File::options().read(true).write(true).open("/dev/fuse");
        let server = server.ok()?;
        let how = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0",
            server.as_raw_fd()
        );
        nix::mount::mount(
            Some("nobody-answers"),
            &home,
            Some("fuse"),
            nix::mount::MsFlags::empty(),
            Some(how.as_str()),
        )
        .ok()?;
        Some(Self {
            home,
            _server: server,
        })
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        // The end of its server, which comes next, frees whoever waits for it.
        let _ = nix::mount::umount2(&self.home, nix::mount::MntFlags::MNT_DETACH);
    }
}

#[tokio::test]
async fn a_home_that_hangs_holds_up_nobody_but_who_asks_for_it() {
    let lab = Pm2::new();
    std::fs::create_dir(lab.home()).unwrap();
    let Some(hung) = Hung::at(lab.home()) else {
        eprintln!(
            "SKIPPED: no filesystem of its own can be mounted here: root and FUSE are needed"
        );
        return;
    };
    let driver = driver(&lab);
    let mut beats = 0;
    let error = tokio::select! {
        seen = driver.inspect() => seen.unwrap_err(),
        () = async {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                beats += 1;
            }
        } => unreachable!("it beats for ever"),
    };
    assert!(matches!(error, Error::Unresponsive { .. }), "{error:?}");
    let told = error.to_string();
    assert!(told.contains(lab.home().to_str().unwrap()), "{told}");
    assert!(beats > 10, "the thread went on in the meantime: {beats}");
    drop(hung);
    let error = driver.inspect().await.unwrap_err();
    assert!(matches!(error, Error::Absent { .. }), "{error:?}");
}

#[tokio::test]
async fn a_daemon_that_never_was_is_no_daemon() {
    let lab = Pm2::new();
    let driver = driver(&lab);
    for error in [
        driver.inspect().await.unwrap_err(),
        driver.start().await.unwrap_err(),
        driver.logs(10, 1000).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Absent { .. }), "{error:?}");
        let told = error.to_string();
        assert!(
            told.contains(lab.home().to_str().unwrap()) && told.contains("pm2 save"),
            "{told}"
        );
    }
    assert_eq!(lab.daemon(), None);
    assert!(!lab.home().exists(), "looking changes nothing");
}

#[tokio::test]
async fn apps_whose_daemon_was_killed_are_stopped_before_it_comes_back() {
    let lab = Pm2::new();
    lab.behave("stubborn");
    lab.start_validator();
    let driver = driver(&lab);
    lab.signal_daemon("KILL");
    // Its title goes before its sockets do.
    let socket = lab.home().join("rpc.sock");
    lab.wait_until("it is dead", |_| UnixStream::connect(&socket).is_err());
    assert!(lab.processes().len() >= 2, "its apps go on without it");
    let seen = driver.inspect().await.unwrap();
    let reason = seen.reason.unwrap();
    assert_eq!(seen.state, RunState::Running);
    assert!(
        reason.contains("daemon has died, and 2 processes"),
        "{reason}"
    );
    let error = driver.start().await.unwrap_err().to_string();
    assert!(error.contains("stop them first"), "{error}");
    assert_eq!(
        driver.stop(Duration::from_secs(1)).await.unwrap(),
        Stopped::Killed
    );
    let left: Vec<_> = lab.processes().into_iter().map(lab::command_line).collect();
    assert_eq!(left, [""; 0]);
    assert!(driver.start().await.unwrap());
    reach(&driver, all_run).await;
}

#[tokio::test]
async fn a_daemon_that_hangs_ends_the_step_and_no_second_one_is_started() {
    let lab = Pm2::new();
    lab.start_validator();
    let driver = driver(&lab);
    let daemon = lab.daemon();
    lab.signal_daemon("STOP");
    let (seen, stopped) = tokio::join!(driver.inspect(), driver.stop(GRACE));
    for error in [seen.unwrap_err(), stopped.unwrap_err()] {
        assert!(matches!(error, Error::Unresponsive { .. }), "{error:?}");
    }
    assert_eq!(lab.daemon(), daemon);
    lab.signal_daemon("CONT");
    assert_eq!(driver.inspect().await.unwrap().state, RunState::Running);
}

/// A program in the place of `pm2`, in front of a daemon that runs.
fn program(lab: &Pm2, text: &str) -> PathBuf {
    let path = lab.path("fake-pm2");
    let source = lab.path("fake-pm2.txt");
    File::create(&source)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    // By another process: who forks here meanwhile would hold it open for writing.
    let installed = std::process::Command::new("install")
        .args(["-m", "755"])
        .args([&source, &path])
        .status();
    assert!(installed.unwrap().success());
    path
}

#[tokio::test]
async fn every_answer_that_is_none_is_told_and_shows_no_secret() {
    let lab = Pm2::new();
    lab.pm2(&["ping"]);
    for (text, told) in [
        ("#!/bin/sh\n", "it wrote no list of its apps"),
        (
            "#!/bin/sh\necho '<html>a-key-that-nobody-may-see'\n",
            "is no list of its apps",
        ),
        (
            "#!/bin/sh\necho '[{\"pm2_env\": \"a-key-that-nobody-may-see\"}]'\n",
            "is not understood",
        ),
        (
            "#!/bin/sh\nyes '[{' | head -c 20000000\n",
            "has more than 16777216 bytes",
        ),
        (
            "#!/bin/sh\necho 'it hurts' >&2; exit 3\n",
            "ended with status 3: it hurts",
        ),
        ("#!/usr/bin/env no-such-node\n", "its program cannot run"),
        ("#!/no/such/interpreter\n", "went away"),
    ] {
        let driver = pm2::Pm2::new(Settings {
            program: Some(program(&lab, text)),
            ..settings(&lab)
        });
        let error = driver.inspect().await.unwrap_err().to_string();
        assert!(
            error.contains(told) && !error.contains(lab::SECRET),
            "{text}: {error}"
        );
        assert!(error.len() < 800, "{error}");
    }
}

#[tokio::test]
async fn a_banner_of_another_version_does_not_hide_the_apps() {
    let lab = Pm2::new();
    lab.start_validator();
    let text = format!(
        "#!/bin/sh\nprintf '\\n>>>> In-memory PM2 is out-of-date, do:\\n>>>> $ pm2 update\\nIn memory PM2 version: 5.1.0\\n\\n'\n\
         exec {} \"$@\"\n",
        lab.program().display()
    );
    let driver = pm2::Pm2::new(Settings {
        program: Some(program(&lab, &text)),
        ..settings(&lab)
    });
    assert!(all_run(&driver.inspect().await.unwrap()));
}

#[tokio::test]
async fn a_user_or_a_program_that_is_not_there_is_told() {
    let lab = Pm2::new();
    for (settings, told) in [
        (
            Settings {
                user: "nobody-of-this-name".to_owned(),
                ..settings(&lab)
            },
            "there is no user `nobody-of-this-name`",
        ),
        (
            Settings {
                program: Some("/no/such/pm2".into()),
                ..settings(&lab)
            },
            "/no/such/pm2 is no program",
        ),
    ] {
        let error = pm2::Pm2::new(settings).inspect().await.unwrap_err();
        assert!(matches!(error, Error::Absent { .. }), "{error:?}");
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[tokio::test]
async fn an_app_called_like_a_number_does_not_get_anothers_orders() {
    let lab = Pm2::new();
    lab.start_validator();
    let id = lab.app("sn8").unwrap()["pm_id"].to_string();
    lab.pm2(&[
        "start",
        "sleep",
        "--name",
        &id,
        "--interpreter",
        "none",
        "--",
        "3600",
    ]);
    let error = driver(&lab).stop(GRACE).await.unwrap_err().to_string();
    assert!(
        error.contains("which is its number: rename that one"),
        "{error}"
    );
    assert_eq!(
        (lab.status("sn8"), lab.status(&id)),
        ("online".into(), "online".into())
    );
}

#[tokio::test]
async fn a_hostile_name_is_shown_without_what_could_hurt() {
    let lab = Pm2::new();
    let name = format!("a\u{1b}[2J{}$(touch pwned)", "x".repeat(200));
    lab.pm2(&["start", "run.sh", "--name", &name]);
    lab.wait_until("ptn runs", |lab| lab.status("ptn") == "online");
    let script = App::new(lab.checkout().join("run.sh").to_str().unwrap()).unwrap();
    let driver = pm2::Pm2::new(Settings {
        apps: vec![script.clone()],
        starts: vec![script],
        ..settings(&lab)
    });
    let seen = driver.inspect().await.unwrap();
    let shown = &seen.parts[0].name;
    assert!(
        !shown.contains('\u{1b}') && shown.chars().count() <= 65,
        "{shown}"
    );
    driver.stop(GRACE).await.unwrap();
    assert_eq!(driver.inspect().await.unwrap().state, RunState::Stopped);
    assert!(!lab.checkout().join("pwned").exists());
}

#[tokio::test]
async fn an_app_that_is_not_there_is_an_error_of_its_own() {
    let lab = Pm2::new();
    lab.pm2(&["ping"]);
    let driver = driver(&lab);
    for error in [
        driver.inspect().await.unwrap_err(),
        driver.start().await.unwrap_err(),
        driver.stop(GRACE).await.unwrap_err(),
        driver.logs(10, 1000).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Missing { .. }), "{error:?}");
        assert!(
            error
                .to_string()
                .starts_with("app sn8 does not exist in PM2 of root"),
            "{error}"
        );
    }
}
