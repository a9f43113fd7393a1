//! A miner in a container made anew: from a freshly pulled image, with everything else as it was.

use serde_json::{Value, json};

use super::registry::Registry;
use super::snapshots::Device;
use super::{MINER, engine};

/// An image of the miner that differs from the others by these changes; its id.
fn image(changes: &[&str]) -> String {
    let container = engine().docker(&["create", "--network", "none", MINER]);
    let mut commit = vec!["commit"];
    commit.extend(changes.iter().flat_map(|change| ["--change", change]));
    let id = engine().docker(&[&commit[..], &[&container]].concat());
    engine().docker(&["rm", &container]);
    id
}

/// What the registry has under this name from now on, while the engine still has `old` under it.
fn publish(registry: &Registry, new: &str, old: &str) {
    registry.push(engine(), new, "miner:GA");
    engine().docker(&["tag", old, &registry.image("miner:GA")]);
}

fn inspect(container: &str) -> Value {
    let answer = engine().docker(&["inspect", container]);
    let mut container = serde_json::from_str::<Value>(&answer).unwrap()[0].clone();
    // Of the agent's own questions, at any moment.
    container["ExecIDs"].take();
    // The engine keeps these without an order.
    let mounts = container["Mounts"].as_array_mut().unwrap();
    mounts.sort_by_key(|mount| mount["Destination"].to_string());
    container
}

/// The containers of a workload and how they are.
fn containers(name: &str) -> String {
    let filter = format!("name={name}");
    engine().docker(&[
        "ps",
        "-a",
        "--filter",
        &filter,
        "--format",
        "{{.Names}} {{.State}}",
    ])
}

#[test]
fn a_reset_keeps_the_configuration_and_the_identity_and_nothing_else() {
    let registry = Registry::start();
    let old = image(&[
        "ENV GENERATION=1",
        "ENV OF_THE_OLD=yes",
        "LABEL generation=1",
    ]);
    let new = image(&["ENV GENERATION=2", "LABEL generation=2"]);
    publish(&registry, &new, &old);
    let options = [
        "--restart",
        "always",
        "--label",
        "site=attic",
        "--env",
        "GW_REGION=EU868",
        "--hostname",
        "hotspot",
        "--device",
        "/dev/null:/dev/spidev1.0",
        "--cap-add",
        "SYS_RAWIO",
        "--security-opt",
        "seccomp=unconfined",
        "--memory",
        "512m",
        "--ulimit",
        "nofile=1000:2000",
        "--log-opt",
        "max-size=1m",
        "--tmpfs",
        "/scratch:size=1m",
        "--shm-size",
        "1m",
        "--add-host",
        "gateway:10.0.0.1",
        "--dns",
        "10.0.0.2",
        "--volume",
        "/anonymous",
        "--volume",
        "named:/named:ro",
        "--mount",
        "type=volume,target=/nameless",
        "--publish",
        "127.0.0.1:44158:44158",
        "--stop-timeout",
        "7",
        "--workdir",
        "/tmp",
        "--oom-score-adj",
        "10",
        "--pids-limit",
        "500",
        "--init",
    ];
    let device = Device::start_with("anew", &options, &registry.image("miner:GA"));
    let key = || std::fs::read(device.agent.path("data/miner/swarm_key")).unwrap();
    let identity = key();
    let before = inspect("anew");

    let plan = json!({"id": "plan", "dry_run": true});
    device.agent.post("reset", &plan);
    let plan = device.agent.wait_for("plan");
    assert_eq!(plan["state"], "succeeded", "{plan}");
    assert_eq!(
        plan["output"]["image"],
        registry.image("miner:GA"),
        "{plan}"
    );
    assert!(
        plan["output"]["replaces_bytes"].as_u64().unwrap() > 0,
        "{plan}"
    );
    assert_eq!(inspect("anew"), before, "a plan touches nothing");

    let record = device.ask("reset", "anew", json!({}));
    assert_eq!(
        record["state"],
        "succeeded",
        "{record}\n{}",
        device.agent.log()
    );
    assert_eq!(record["output"]["image_is_new"], true, "{record}");
    let after = inspect("anew");
    assert_ne!(after["Id"], before["Id"]);
    assert_eq!(
        (&before["Image"], &after["Image"]),
        (&json!(old), &json!(new))
    );
    assert_eq!(containers("anew"), "anew running");
    assert!(
        !engine()
            .try_docker(&["image", "inspect", &old])
            .status
            .success(),
        "the old image is of no use any more"
    );

    // The volumes without a name are the same ones; that is the only difference in what was asked for.
    let mounts = |container: &Value| {
        let mut mounts: Vec<_> = container["Mounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|mount| {
                let place = mount["Name"].as_str().or(mount["Source"].as_str());
                format!(
                    "{} {} {}",
                    mount["Destination"],
                    place.unwrap(),
                    mount["RW"]
                )
            })
            .collect();
        mounts.sort();
        mounts
    };
    assert_eq!(mounts(&after), mounts(&before));
    assert_eq!(mounts(&after).len(), 4, "{:?}", mounts(&after));
    let asked = |container: &Value| {
        let mut host = container["HostConfig"].clone();
        for key in ["Binds", "Mounts"] {
            host[key].take();
        }
        host
    };
    assert_eq!(asked(&after), asked(&before));
    assert_eq!(asked(&after)["RestartPolicy"]["Name"], "always");
    for key in [
        "Image",
        "Hostname",
        "Cmd",
        "Entrypoint",
        "WorkingDir",
        "User",
        "StopTimeout",
        "ExposedPorts",
        "Tty",
    ] {
        assert_eq!(after["Config"][key], before["Config"][key], "{key}");
    }
    // What the image brings is the new image's.
    assert_eq!(
        after["Config"]["Labels"],
        json!({"site": "attic", "generation": "2"})
    );
    let environment = after["Config"]["Env"].to_string();
    for variable in ["GENERATION=2", "GW_REGION=EU868", "TESTNODE_RATE=200"] {
        assert!(environment.contains(variable), "{variable}: {environment}");
    }
    assert!(!environment.contains("OF_THE_OLD"), "{environment}");

    assert_eq!(key(), identity, "the same miner");
    let starts = std::fs::read_to_string(device.agent.path("data/log/starts")).unwrap();
    assert_eq!(
        starts.lines().count(),
        1,
        "nothing else of the old data is there"
    );
}

#[test]
fn an_image_that_cannot_be_pulled_leaves_the_container_alone() {
    let mut registry = Registry::start();
    registry.push(engine(), MINER, "miner:GA");
    let device = Device::start_with("unpulled", &[], &registry.image("miner:GA"));
    let before = inspect("unpulled");
    registry.kill();
    let record = device.ask("reset", "no-registry", json!({}));
    assert_eq!(record["failure"]["reason"], "runtime-failed", "{record}");
    assert_eq!(
        record["steps"].as_array().unwrap().len(),
        2,
        "check and pull: {record}"
    );
    assert_eq!(inspect("unpulled"), before);

    registry.revive();
    engine().docker(&["tag", MINER, &registry.image("other:GA")]);
    let local = Device::start_with("local", &[], &registry.image("other:GA"));
    let record = local.ask("reset", "no-image", json!({}));
    assert_eq!(record["failure"]["reason"], "runtime-failed", "{record}");
    assert_eq!(containers("local"), "local running");
}

#[test]
fn a_container_that_cannot_be_made_anew_whole_is_left_alone() {
    let vanishing = Device::start_with("vanishing", &["--rm"], MINER);
    let record = vanishing.ask("reset", "rm", json!({}));
    assert_eq!(record["failure"]["reason"], "runtime-failed", "{record}");
    assert!(
        record["failure"]["message"]
            .as_str()
            .unwrap()
            .contains("--rm"),
        "{record}"
    );
    assert_eq!(containers("vanishing"), "vanishing running");

    let id = image(&["LABEL nameless=1"]);
    let nameless = Device::start_with("nameless", &[], &id);
    let record = nameless.ask("reset", "id", json!({}));
    let message = record["failure"]["message"].as_str().unwrap();
    assert!(message.contains("without a name"), "{record}");
    assert_eq!(containers("nameless"), "nameless running");
}

#[test]
fn a_container_whose_new_image_does_not_come_up_comes_back_with_its_data() {
    let registry = Registry::start();
    let old = image(&["LABEL generation=1"]);
    let new = image(&["ENV TESTNODE_CRASH_AT_START=7", "LABEL generation=2"]);
    publish(&registry, &new, &old);
    let options = ["--restart", "always"];
    let device = Device::start_with("comes-back", &options, &registry.image("miner:GA"));
    let height = device.height();
    let before = inspect("comes-back");
    let record = device.ask("reset", "bad-image", json!({}));
    assert_eq!(record["state"], "failed", "{record}");
    let message = record["failure"]["message"].as_str().unwrap();
    assert!(message.contains("the old data is back"), "{record}");
    let after = inspect("comes-back");
    assert_eq!(after["Id"], before["Id"]);
    assert_eq!(after["HostConfig"], before["HostConfig"]);
    assert_eq!(containers("comes-back"), "comes-back running");
    assert!(device.height() >= height, "on its old data");
}

#[test]
fn nothing_is_left_of_a_reset_whose_miner_does_not_answer_when_it_is_back() {
    let registry = Registry::start();
    let old = image(&["LABEL generation=1"]);
    let new = image(&["ENV TESTNODE_CRASH_AT_START=7", "LABEL generation=2"]);
    publish(&registry, &new, &old);
    let options = ["--restart", "always"];
    let device = Device::start_with("silent", &options, &registry.image("miner:GA"));
    // Of its data, and read at its next start on that.
    let settings = std::fs::File::create(device.agent.path("data/testnode.conf"));
    std::io::Write::write_all(&mut settings.unwrap(), b"start-delay 100\n").unwrap();
    let before = inspect("silent");
    device
        .agent
        .post("reset", &json!({"id": "silent", "args": {}}));
    // Each of the two is waited for as long as a miner may take.
    device.agent.wait_until("it goes back", |agent| {
        let record = agent.journalled("silent").unwrap_or_default();
        record["steps"].to_string().contains("swap back")
    });
    let record = device.agent.wait_for("silent");
    assert_eq!(record["state"], "failed", "{record}");
    let after = inspect("silent");
    assert_eq!(after["Id"], before["Id"], "{record}");
    assert_eq!(after["HostConfig"], before["HostConfig"], "{record}");
    assert_eq!(containers("silent"), "silent running", "{record}");
}
