//! Ten thousand malformed and hostile commands: no crash, no growth, each counted; and the next good one is done.

use std::io::Write;

use super::*;

const COMMANDS: u64 = 10_000;

/// Kibibytes that the agent may grow by between the first thousand and the last.
const GROWTH: u64 = 2048;

#[test]
fn ten_thousand_hostile_commands_are_counted_and_nothing_grows() {
    let broker = Broker::start();
    let miner = Miner::start("hostile");
    let mut agent = known_to(&broker, &config(miner.0, Some(&broker)));
    agent.start();
    let starts = miner.starts();
    flood(&broker, COMMANDS / 10);
    agent.wait_until("the first are counted", |agent| {
        refused(agent) == COMMANDS / 10
    });
    let before = resident(&agent);
    flood(&broker, COMMANDS - COMMANDS / 10);
    agent.wait_until("all are counted", |agent| refused(agent) == COMMANDS);
    let after = resident(&agent);
    assert!(after <= before + GROWTH, "from {before} KiB to {after} KiB");

    let kept = std::fs::read_dir(agent.state_dir().join("operations"))
        .unwrap()
        .count();
    assert_eq!(kept, 0, "a refusal writes nothing");
    assert_eq!(miner.starts(), starts);
    publish(&broker, "restart", r#"{"id":"good"}"#);
    assert_eq!(agent.wait_for("good")["state"], "succeeded");
    assert!(agent.terminate().success());
}

/// Publishes so many commands, each wrong in its own way, over one connection.
fn flood(broker: &Broker, count: u64) {
    let port = broker.port.to_string();
    let mut client = Command::new("mosquitto_pub")
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-q",
            "1",
            "-t",
            "ostler/attic/command/restart",
            "-l",
        ])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = client.stdin.take().unwrap();
    for number in 0..count {
        writeln!(lines, "{}", hostile(number)).unwrap();
    }
    drop(lines);
    assert!(client.wait().unwrap().success());
}

fn hostile(number: u64) -> String {
    let id = format!("hostile-{number}");
    match number % 14 {
        0 => "{".to_owned(),
        1 => "null".to_owned(),
        2 => format!(r#"["{id}"]"#),
        3 => format!(r#"{{"id":"../../etc/{id}"}}"#),
        4 => format!(r#"{{"id":"{id}","workload":"../miner"}}"#),
        5 => format!(r#"{{"id":"{id}","workload":"nobody"}}"#),
        6 => format!(r#"{{"id":"{id}","args":{{"grace_s":-1}}}}"#),
        7 => format!(r#"{{"id":"{id}","args":{{"grace_s":1e99}}}}"#),
        8 => format!(r#"{{"id":"{id}","args":[1,2]}}"#),
        9 => format!(r#"{{"id":"{id}","surprise":true}}"#),
        10 => format!(r#"{{"id":"{}"}}"#, "x".repeat(65)),
        11 => format!(r#"{{"id":"{id}","expires_at":"2001-01-01T00:00:00"}}"#),
        12 => format!(r#"{{"args":{{}},"workload":"miner","dry_run":"{id}"}}"#),
        _ => "[".repeat(5000),
    }
}

fn refused(agent: &Agent) -> u64 {
    agent.get("/v1/health")["refused"].as_u64().unwrap()
}

/// Its resident memory in KiB.
fn resident(agent: &Agent) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
