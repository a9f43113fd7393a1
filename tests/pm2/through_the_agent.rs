//! The whole agent with a validator: asked by its command line, killed in the middle, and left to find it by itself.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::agent::Agent;
use super::*;

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn report(agent: &Agent) -> Value {
    agent.get("/v1/workloads/validator")
}

/// Fails where the secret of the apps is anywhere in what the agent wrote.
fn assert_no_secret(agent: &Agent) {
    let found = Command::new("grep")
        .args(["-rl", lab::SECRET])
        .args([agent.state_dir(), agent.path("agent.log")])
        .output()
        .unwrap();
    assert!(found.stdout.is_empty(), "{found:?}");
}

#[test]
fn a_validator_is_restarted_stopped_and_started_and_tells_all_that_it_is() {
    let lab = Pm2::of_nobody();
    lab.start_validator();
    let mut agent = Agent::new(&lab.config("probe-interval = 5"));
    agent.start();
    agent.wait_until("it is well", |agent| report(agent)["health"] == "healthy");
    let starts = lab.starts();
    text(&agent.cli(&["restart", "validator", "--id", "r"]));
    lab.wait_until("it runs", |lab| lab.status("ptn") == "online");
    lab.wait_until("it has begun", |lab| lab.starts() > starts);
    assert_eq!(lab.starts(), starts + 1, "once");
    let record = agent.journalled("r").unwrap();
    let steps: Vec<_> = record["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| &step["name"])
        .collect();
    assert_eq!(steps, ["stop", "start", "confirm"]);

    let status = text(&agent.cli(&["status", "validator"]));
    assert!(status.contains("pm2 sn8, ptn of nobody"), "{status}");
    assert!(
        status.contains("part sn8") && status.contains("part ptn"),
        "{status}"
    );
    let log = text(&agent.cli(&["logs", "validator"]));
    assert!(log.contains("==> ptn: output <=="), "{log}");

    text(&agent.cli(&["stop", "validator"]));
    assert_eq!(lab.processes(), [0; 0]);
    agent.wait_until("it says so", |agent| report(agent)["state"] == "stopped");
    let doctor = agent.cli(&["doctor"]);
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.contains("ostler start validator"), "{doctor}");
    text(&agent.cli(&["start", "validator"]));
    agent.wait_until("it is well again", |agent| {
        report(agent)["health"] == "healthy"
    });
    assert_no_secret(&agent);
    assert!(agent.terminate().success());
}

#[test]
fn a_file_that_would_keep_it_from_starting_is_told_while_it_runs() {
    let lab = Pm2::new();
    lab.start_validator();
    let closed = lab
        .checkout()
        .join("validation/miners/5X/positions/BTCUSD/closed");
    std::fs::create_dir_all(&closed).unwrap();
    std::fs::File::create(closed.join("a-position")).unwrap();
    let mut agent = Agent::new(&lab.config("probe-interval = 5"));
    agent.start();
    agent.wait_until("it is found", |agent| {
        report(agent)["health_reason"].is_string()
    });
    let told = report(&agent);
    assert_eq!(
        told["health_reason"],
        "its next start would fail, for it could not load validation/miners/5X/positions/BTCUSD/closed/a-position (it is empty)"
    );
    assert_eq!(told["health"], "starting", "it was only just started");
    assert_eq!(told["details"]["damaged files"], "1", "{told}");
    assert_eq!(told["details"]["validation"], "0 MiB", "{told}");
    let doctor = agent.cli(&["doctor"]);
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.contains("its next start would fail"), "{doctor}");
    let status = text(&agent.cli(&["status"]));
    assert!(status.contains("its next start would fail"), "{status}");

    std::fs::remove_file(closed.join("a-position")).unwrap();
    agent.wait_until("it is mended", |agent| report(agent)["health"] == "healthy");
    assert!(agent.terminate().success());
}

#[test]
fn a_validator_runs_again_however_the_agent_is_killed_in_a_restart() {
    let lab = Pm2::new();
    lab.behave("stubborn");
    lab.start_validator();
    let mut agent = Agent::new(&lab.config("probe-interval = 5"));
    let step = |agent: &Agent, id: &str, name: &str| {
        let record = agent.journalled(id).unwrap_or_default();
        let steps = record["steps"].as_array().cloned().unwrap_or_default();
        steps.into_iter().any(|step| step["name"] == name)
    };
    for (id, name) in [("a", "stop"), ("b", "start"), ("c", "confirm")] {
        agent.start();
        text(&agent.cli(&["restart", "validator", "--id", id, "--no-wait"]));
        agent.wait_until("it is there", |agent| step(agent, id, name));
        agent.kill();
        agent.start();
        let record = agent.wait_for(id);
        assert_eq!(record["state"], "succeeded", "{record}");
        lab.wait_until("it runs", |lab| lab.both_run());
        assert!(agent.terminate().success());
    }
    assert!(lab.daemon().is_some(), "it does not go with the agent");
}

#[test]
fn a_restart_that_lost_power_brings_the_daemon_back_too() {
    let lab = Pm2::new();
    lab.start_validator();
    let mut agent = Agent::new(&lab.config("probe-interval = 5"));
    agent.start();
    text(&agent.cli(&["restart", "validator", "--id", "cut", "--no-wait"]));
    agent.wait_until("it stops", |agent| {
        let record = agent.journalled("cut").unwrap_or_default();
        record["steps"][0]["name"] == "stop"
    });
    agent.kill();
    // The host comes up again without PM2: nobody had run `pm2 startup`.
    // What the agent had asked PM2 for may still be under way.
    lab.wait_until("there is no daemon", |lab| {
        lab.try_pm2(&["kill"]);
        lab.daemon().is_none()
    });
    agent.start();
    let record = agent.wait_for("cut");
    assert_eq!(record["state"], "succeeded", "{record}");
    lab.wait_until("it runs", |lab| lab.status("ptn") == "online");
    assert!(agent.terminate().success());
    assert!(lab.daemon().is_some(), "it does not go with the agent");
}

/// `$1` is the agent, `$2` where its state is kept, `$3` PM2's program, `$4` the checkout. No process of the host is seen,
/// and PM2 is where a program of Node's may be.
const HOST: &str = r#"
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib && mkdir /var/lib/ostler && mount --bind "$2" /var/lib/ostler
mount -t tmpfs tmpfs /opt && mkdir -p /opt/node/bin && ln -s "$3" /opt/node/bin/pm2
(cd "$4" && export PATH=/opt/node/bin:$PATH && pm2 start run.sh --name sn8 && pm2 save) >/dev/null
exec "$1" run
"#;

struct Host(Child);

impl Host {
    fn boot(lab: &Pm2, state: &Path) -> Self {
        let child = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-ec", HOST, "host", env!("CARGO_BIN_EXE_ostler")])
            .args([state, &lab.program(), &lab.checkout()])
            .env("PM2_HOME", lab.home())
            .env_remove("OSTLER_CONFIG")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("unshare, as root");
        Self(child)
    }

    fn workload(&self) -> Value {
        let url = "http://localhost/v1/workloads/validator";
        let output = Command::new("nsenter")
            .args([
                "-t",
                &self.0.id().to_string(),
                "-m",
                "--",
                "curl",
                "-s",
                "--max-time",
                "10",
            ])
            .args(["--unix-socket", "/run/ostler/ostler.sock", url])
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn without_a_configuration_the_validator_is_found_and_remembered() {
    let lab = Pm2::new();
    let state = tempfile::tempdir().unwrap();
    let host = Host::boot(&lab, state.path());
    lab.wait_until("it is found, and well", |_| {
        host.workload()["health"] == "healthy"
    });
    let found = host.workload();
    assert_eq!(
        (&found["kind"], &found["runtime"]),
        (&"ptn".into(), &"pm2 sn8, ptn of root".into())
    );
    let remembered = std::fs::read_to_string(state.path().join("found.json")).unwrap();
    let remembered: Value = serde_json::from_str(&remembered).unwrap();
    let validator = &remembered[0]["validator"][1];
    let (directory, home) = (&validator["directory"], &validator["pm2-home"]);
    assert_eq!(directory.as_str(), lab.checkout().to_str(), "{remembered}");
    assert_eq!(home.as_str(), lab.home().to_str(), "{remembered}");
}
