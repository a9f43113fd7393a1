//! Schedules that are changed while the agent runs: the file is written, and the agent told by SIGHUP.

use serde_json::{Value, json};

use super::agent::Agent;
use super::chain::Engine;
use super::herd::{systemctl, write_unit};
use super::nspawn::{Machine, only_inside};

#[test]
fn a_schedule_that_was_changed_is_told_with_its_new_time_after_a_hangup() {
    Engine::LevelDb.program();
    // A clock that is not kept makes nothing due. Where the kernel may not be asked, the agent looks for a file.
    let sandbox =
        "systemd-run --quiet --pipe --wait --collect -p ProtectClock=yes -E OSTLER_LAB_INSIDE=yes";
    let sandbox: Vec<_> = sandbox.split(' ').collect();
    Machine::shared().run_test("reload::within::hangup", &sandbox);
}

/// What runs inside.
mod within {
    use super::*;

    #[test]
    #[ignore = "not a test: part of another one"]
    fn hangup() {
        only_inside(async || super::hangup());
    }
}

fn hangup() {
    std::fs::create_dir_all("/run/systemd/timesync").unwrap();
    std::fs::File::create("/run/systemd/timesync/synchronized").unwrap();
    let mut agent = Agent::new("");
    let data = agent.path("data");
    std::fs::create_dir(&data).unwrap();
    Engine::LevelDb.fill(&data, 300, &[]);
    let program = Engine::LevelDb.program();
    let run = format!("{} run {} calm", program.display(), data.display());
    write_unit(
        "planned.service",
        &format!("[Service]\nType=exec\nExecStart={run}\n"),
    );
    systemctl(&["start", "planned.service"]);
    let configure = |agent: &Agent, schedule: &str| {
        agent.configure(&format!(
            "[[workload]]\nname = \"node\"\ndata-dir = {data:?}\nruntime = {{ systemd = {{ unit = \"planned.service\" }} }}\n\
             [workload.schedule]\njitter-s = 0\n{schedule}\n"
        ));
    };
    configure(&agent, "snapshot = \"30 4 1 1 *\"");
    agent.start();
    shows(&agent, "-01-01T04:30:00", json!(["snapshot"]));

    configure(&agent, "snapshot = \"15 5 2 2 *\"\nverify = \"0 3 4 3 *\"");
    assert!(scheduled(&agent)[0]["cron"] == "30 4 1 1 *", "not yet told");
    agent.signal("HUP");
    shows(&agent, "-02-02T05:15:00", json!(["snapshot", "verify"]));
    assert!(next(&scheduled(&agent)[1]).contains("-03-04T03:00:00"));
    let said = String::from_utf8(agent.cli(&["status", "node"]).stdout).unwrap();
    assert!(
        said.contains("next snapshot") && said.contains("-02-02T05:15:00"),
        "{said}"
    );

    // What cannot be read changes nothing.
    configure(&agent, "snapshot = \"15 25 2 2 *\"");
    agent.signal("HUP");
    agent.wait_until("it keeps", |agent| agent.log().contains("stays as it was"));
    shows(&agent, "-02-02T05:15:00", json!(["snapshot", "verify"]));

    configure(&agent, "");
    agent.signal("HUP");
    agent.wait_until("nothing is planned", |agent| scheduled(agent).is_empty());
    assert!(agent.terminate().success());
    systemctl(&["stop", "planned.service"]);
}

fn shows(agent: &Agent, time: &str, operations: Value) {
    agent.wait_until(time, |agent| {
        let scheduled = scheduled(agent);
        let planned: Vec<_> = scheduled.iter().map(|one| &one["operation"]).collect();
        json!(planned) == operations && next(&scheduled[0]).contains(time)
    });
}

fn next(scheduled: &Value) -> &str {
    scheduled["next"].as_str().unwrap_or_default()
}

/// What `status` tells of the one workload.
fn scheduled(agent: &Agent) -> Vec<Value> {
    let told = agent.try_json(&["status"]).unwrap_or_default();
    let scheduled = told["workloads"][0]["scheduled"].as_array();
    scheduled.cloned().unwrap_or_default()
}
