//! What is run and written inside a container.

use std::time::Duration;

use ostler::runtime::{Error, Runtime};

use crate::engine::{Engine, IMAGE, eventually};
use crate::{DEADLINE, GRACE, docker, polite};

#[tokio::test]
async fn a_program_gives_its_output_and_status() {
    let docker = polite("inside");
    let script = "echo out; echo err >&2; printf 'é'; exit 3";
    let output = docker.exec(&["sh", "-c", script], DEADLINE).await.unwrap();
    assert_eq!(output.status, 3);
    assert_eq!(output.stdout, "out\né");
    assert_eq!(output.stderr, "err\n");
}

#[tokio::test]
async fn a_program_that_the_image_does_not_have_is_told_in_its_output() {
    let docker = polite("without");
    let output = docker.exec(&["miner", "info"], DEADLINE).await.unwrap();
    assert!(matches!(output.status, 126 | 127), "{output:?}");
    assert!(
        output.stdout.contains("OCI runtime exec failed"),
        "{output:?}"
    );
    assert!(
        output.stdout.contains("executable file not found"),
        "{output:?}"
    );
}

#[tokio::test]
async fn large_output_is_bounded() {
    let docker = polite("talkative");
    let script = "head -c 1000000 /dev/zero | tr '\\0' a; head -c 70000 /dev/zero >&2; echo >&2";
    let output = docker.exec(&["sh", "-c", script], DEADLINE).await.unwrap();
    assert_eq!(output.status, 0);
    let rest = format!("a\n… and {} bytes more", 1_000_000 - 64 * 1024);
    assert!(output.stdout.ends_with(&rest));
    assert_eq!(output.stdout.len(), 64 * 1024 - 1 + rest.len());
    assert!(output.stderr.ends_with(" bytes more"));
}

#[tokio::test]
async fn nothing_runs_in_a_container_that_does_not_run() {
    let docker = polite("quiet");
    docker.stop(GRACE).await.unwrap();
    let error = docker.exec(&["true"], DEADLINE).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("not running"), "{error}");
}

/// Enough for the engine to start a program on a machine that is busy: what is given up before it began is not counted.
const PATIENT: Duration = Duration::from_secs(3);

#[tokio::test]
async fn programs_that_hang_are_given_up_and_do_not_pile_up() {
    let engine = Engine::shared();
    let docker = polite("hanging");
    let short = PATIENT;
    for number in 0..8 {
        let lines = number.to_string();
        let hang = ["tail", "-n", &lines, "-f", "/dev/null"];
        let error = docker.exec(&hang, short).await.unwrap_err();
        assert!(matches!(error, Error::Unresponsive { .. }), "{error:?}");
        let text = format!(
            "container hanging did not answer within 3 s while asked to run `tail -n {number} -f /dev/null`"
        );
        assert_eq!(error.to_string(), text);
    }
    let error = docker.exec(&["true"], DEADLINE).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("8 programs"), "{error}");

    engine.docker(&["exec", "hanging", "killall", "tail"]);
    eventually(async || docker.exec(&["true"], DEADLINE).await.ok()).await;
}

#[tokio::test]
async fn a_program_that_hangs_is_not_started_twice_and_keeps_no_other_from_its_turn() {
    let engine = Engine::shared();
    let docker = polite("patient");
    let hang = ["tail", "-f", "/dev/null"];
    let first = docker.exec(&hang, PATIENT).await;
    for _ in 0..12 {
        let again = docker.exec(&hang, DEADLINE).await.unwrap_err();
        assert!(matches!(again, Error::Unresponsive { .. }), "{again:?}");
        assert_eq!(docker.exec(&["true"], DEADLINE).await.unwrap().status, 0);
    }
    assert!(first.is_err());
    let running = engine.docker(&["top", "patient", "-eo", "pid,args"]);
    assert_eq!(running.matches("tail -f /dev/null").count(), 1, "{running}");
}

#[tokio::test]
async fn programs_that_hang_go_with_their_run() {
    let docker = polite("renewed");
    for number in 0..8 {
        let short = PATIENT;
        let seconds = (3600 + number).to_string();
        docker.exec(&["sleep", &seconds], short).await.unwrap_err();
    }
    docker.exec(&["true"], DEADLINE).await.unwrap_err();
    docker.stop(Duration::ZERO).await.unwrap();
    docker.start().await.unwrap();
    assert_eq!(docker.exec(&["true"], DEADLINE).await.unwrap().status, 0);
}

#[tokio::test]
async fn the_end_of_the_log_is_bounded_by_lines_and_bytes() {
    let engine = Engine::shared();
    let script = "seq 1 1001";
    for (name, terminal) in [("log", "--tty=false"), ("terminal", "--tty=true")] {
        engine.run_container(name, &[terminal, IMAGE, "sh", "-c", script]);
        engine.docker(&["wait", name]);
        let docker = docker(engine, name);
        let log = |log: String| log.replace('\r', "");
        assert_eq!(
            log(docker.logs(3, 1000).await.unwrap()),
            "999\n1000\n1001\n"
        );
        assert_eq!(log(docker.logs(1000, 12).await.unwrap()), "1000\n1001\n");
        assert_eq!(docker.logs(0, 1000).await.unwrap(), "");
        let all = log(docker.logs(2000, 1 << 20).await.unwrap());
        assert!(all.starts_with("1\n2\n") && all.ends_with("1000\n1001\n"));
    }
}

#[tokio::test]
async fn the_log_has_both_outputs() {
    let engine = Engine::shared();
    engine.run_container("both", &[IMAGE, "sh", "-c", "echo out; echo err >&2"]);
    engine.docker(&["wait", "both"]);
    let log = docker(engine, "both").logs(10, 1000).await.unwrap();
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["err", "out"]);
}
