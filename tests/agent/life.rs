//! The agent's own life: no configuration, another agent, a wrong configuration, signals, an engine that goes and comes.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;

#[test]
fn a_second_agent_on_the_same_state_is_refused_and_the_first_goes_on() {
    let miner = Miner::start("second-agent");
    let mut agent = Agent::new(&config(miner.0, None));
    agent.start();
    let second = agent.cli(&["run"]);
    assert_eq!(second.status.code(), Some(1));
    let told = String::from_utf8_lossy(&second.stderr);
    assert!(
        told.contains("another agent") && told.contains("state-dir"),
        "{told}"
    );
    assert!(agent.try_json(&["status"]).is_some());
    assert!(agent.terminate().success());
}

#[test]
fn a_wrong_configuration_ends_with_64_and_names_the_line() {
    let agent = Agent::new("[device]\nidd = \"attic\"\n");
    let run = agent.cli(&["run"]);
    assert_eq!(run.status.code(), Some(64));
    let told = String::from_utf8_lossy(&run.stderr);
    assert!(
        told.contains("ostler.toml:4") && told.contains("idd"),
        "{told}"
    );
}

#[test]
fn a_configuration_that_is_not_there_yet_does_not_end_the_service_for_good() {
    let agent = Agent::new("");
    std::fs::remove_file(agent.path("ostler.toml")).unwrap();
    let run = agent.cli(&["run"]);
    let told = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{told}");
    assert!(told.contains("ostler.toml"), "{told}");
}

#[test]
fn a_secret_of_no_use_ends_with_64_and_names_the_key() {
    let agent = Agent::new("");
    let token = agent.path("token");
    agent.put("token", "0123456789abcdef");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&token, open).unwrap();
    let text = std::fs::read_to_string(agent.path("ostler.toml")).unwrap();
    let text = text.replace("[http]\n", &format!("[http]\ntoken-file = {token:?}\n"));
    agent.put("ostler.toml", &text);
    let run = agent.cli(&["run"]);
    let told = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(64), "{told}");
    assert!(
        told.contains("http.token-file") && told.contains("644"),
        "{told}"
    );
}

#[test]
fn a_reload_applies_what_it_can_and_keeps_what_was_right() {
    let miner = Miner::start("reload");
    let mut agent = Agent::new(&config(miner.0, None));
    agent.start();
    let good = config(miner.0, None);
    agent.configure(&good.replace("kind = \"helium\"", "kind = \"helium\"\nprobe-interval = 5"));
    agent.signal("HUP");
    agent.wait_until("it applies", |agent| {
        agent
            .log()
            .contains("applied: workload.miner.probe-interval")
    });
    agent.configure(&good.replace("kind = \"helium\"", "kind = \"whale\""));
    agent.signal("HUP");
    agent.wait_until("it keeps", |agent| agent.log().contains("stays as it was"));
    agent.configure(&good.replace("\"attic\"", "\"cellar\""));
    agent.signal("HUP");
    agent.wait_until("it says", |agent| {
        agent.log().contains("needs a restart") && agent.log().contains("device.id")
    });
    assert!(agent.terminate().success());
    assert!(
        agent.log().contains("nothing was left unfinished"),
        "{}",
        agent.log()
    );
}

#[test]
fn an_end_in_the_middle_of_a_restart_is_said_and_the_next_start_goes_on() {
    let miner = Miner::start("drain");
    let mut agent = Agent::new(&config(miner.0, None));
    agent.start();
    engine().docker(&["exec", miner.0, "testnode", "set", "ignore-term", "true"]);
    let asked = agent.cli(&[
        "restart",
        "miner",
        "--id",
        "long",
        "--grace",
        "40",
        "--no-wait",
    ]);
    assert!(asked.status.success(), "{asked:?}");
    agent.wait_until("it stops", |agent| {
        agent
            .journalled("long")
            .is_some_and(|record| record["steps"][0]["name"] == "stop")
    });
    // The drain waits 20 s for a stop that takes 40.
    assert!(agent.terminate().success());
    assert!(
        agent.log().contains("goes on at the next start"),
        "{}",
        agent.log()
    );
    agent.start();
    let record = agent.wait_for("long");
    assert_eq!(
        (&record["state"], &record["recoveries"]),
        (&"succeeded".into(), &1.into()),
        "{record}"
    );
    assert!(miner.runs());
    assert!(agent.terminate().success());
}

#[test]
fn an_engine_that_hangs_and_dies_is_a_state_and_a_restart_is_brought_to_its_end() {
    // Of its own: it is frozen and killed.
    let engine = Engine::start();
    engine.import_testnode(MINER);
    engine.run_container("miner", &["--network", "none", MINER]);
    let socket = engine.socket();
    let mut agent = Agent::new(&format!(
        "[[workload]]\nname = \"miner\"\nkind = \"helium\"\nprobe-interval = 5\n\
         runtime = {{ docker = {{ container = \"miner\", socket = {socket:?} }} }}\n"
    ));
    agent.start();
    let state = |agent: &Agent, state: &str| agent.get("/v1/workloads/miner")["state"] == state;
    agent.wait_until("it runs", |agent| state(agent, "running"));
    engine.freeze();
    agent.wait_until("unresponsive", |agent| state(agent, "runtime-unresponsive"));
    engine.thaw();
    agent.wait_until("it runs again", |agent| state(agent, "running"));

    // Stopped, and then the engine dies: the start comes when the engine does.
    engine.docker(&["exec", "miner", "testnode", "set", "term-delay", "3"]);
    assert!(
        agent
            .cli(&["restart", "miner", "--id", "r", "--no-wait"])
            .status
            .success()
    );
    agent.wait_until("it stops", |agent| {
        agent
            .journalled("r")
            .is_some_and(|record| record["steps"][0]["name"] == "stop")
    });
    engine.kill();
    agent.wait_until("absent", |agent| state(agent, "runtime-absent"));
    std::thread::sleep(Duration::from_secs(2));
    engine.revive();
    let record = agent.wait_for("r");
    assert!(
        ["succeeded", "failed"].contains(&record["state"].as_str().unwrap()),
        "{record}"
    );
    agent.wait_until("it runs whatever became of it", |agent| {
        state(agent, "running")
    });
    assert!(agent.terminate().success());
}

#[test]
fn systemd_is_told_when_the_agent_is_ready_alive_reloading_and_stopping() {
    let miner = Miner::start("notify");
    let mut agent = Agent::new(&config(miner.0, None));
    let path = agent.path("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let told = |what: &str| {
        let mut buffer = [0; 512];
        loop {
            let length = socket
                .recv(&mut buffer)
                .unwrap_or_else(|error| panic!("{what} never came: {error}"));
            if String::from_utf8_lossy(&buffer[..length])
                .lines()
                .any(|line| line == what)
            {
                return;
            }
        }
    };
    agent.start_with(&[
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "1000000"),
    ]);
    told("READY=1");
    told("WATCHDOG=1");
    told("WATCHDOG=1");
    agent.signal("HUP");
    told("RELOADING=1");
    told("READY=1");
    // A thread that is stuck falls silent: the watchdog's beat comes from the one thread that does everything.
    agent.signal("STOP");
    while socket
        .set_read_timeout(Some(Duration::from_secs(3)))
        .is_ok()
        && socket.recv(&mut [0; 512]).is_ok()
    {}
    let patient = Some(Duration::from_secs(60));
    socket.set_read_timeout(patient).unwrap();
    agent.signal("CONT");
    told("WATCHDOG=1");
    agent.signal("TERM");
    told("STOPPING=1");
}

#[test]
fn what_was_at_work_is_finished_although_a_token_cannot_be_read() {
    let miner = Miner::start("broken-token");
    let mut agent = Agent::new(&config(miner.0, None));
    agent.start();
    agent.post("start", &json!({"id": "start-1"}));
    let mut record = agent.wait_for("start-1");
    assert!(agent.terminate().success());
    // As it is where the power is cut before the first step: accepted, and the miner does not run.
    for (key, value) in [
        ("state", json!("accepted")),
        ("steps", json!([])),
        ("started_at", Value::Null),
        ("ended_at", Value::Null),
        ("changed", Value::Null),
    ] {
        record[key] = value;
    }
    agent.put("state/operations/start-1.json", &record.to_string());
    engine().docker(&["stop", "-t", "10", miner.0]);
    assert!(!miner.runs());

    let token = agent.path("no-token");
    let text = std::fs::read_to_string(agent.path("ostler.toml")).unwrap();
    let text = text.replace("[http]\n", &format!("[http]\ntoken-file = {token:?}\n"));
    agent.put("ostler.toml", &text);
    let run = agent.cli(&["run"]);
    let told = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{told}");
    assert!(told.contains("no-token"), "{told}");
    assert!(miner.runs(), "{told}");
    let record = agent.journalled("start-1").unwrap();
    assert_eq!(record["state"], "succeeded", "{record}");
}
