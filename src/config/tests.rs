//! What people get to see: messages, the sample, the reference page, changes.

use std::path::Path;

use super::*;
use crate::protocol::Name;

fn parse(text: &str) -> Result<Config, Error> {
    Config::parse(text, Path::new("ostler.toml"))
}

fn message(text: &str) -> String {
    match parse(text) {
        Ok(config) => panic!("accepted: {config:?}"),
        Err(error) => error.to_string(),
    }
}

const MINER: &str = r#"
[[workload]]
name = "miner"
runtime = { docker = { container = "miner" } }
"#;

#[test]
fn nothing_at_all_is_a_complete_configuration() {
    let config = parse("").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.state_dir, Path::new("/var/lib/ostler"));
    assert!(config.mqtt.is_none() && config.workload.is_empty());
    assert!(config.http.listen.iter().all(|at| at.ip().is_loopback()));
}

#[test]
fn a_file_that_is_named_has_to_be_there() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ostler.toml");
    let message = Config::load(Some(&file)).unwrap_err().to_string();
    assert!(
        message.contains(&file.display().to_string()) && message.contains("create it"),
        "{message}"
    );
    crate::durable::write(&file, MINER.as_bytes(), 0o600).unwrap();
    assert_eq!(Config::load(Some(&file)).unwrap(), parse(MINER).unwrap());
}

#[test]
fn everything_can_be_set() {
    let config = parse(
        r#"
        state-dir = "/data/ostler"
        [device]
        id = "attic"
        groups = ["roof"]
        [mqtt]
        url = "mqtts://broker.example"
        client-id = "attic-1"
        username = "attic"
        password-file = "mqtt-password"
        ca-file = "/etc/ostler/ca.pem"
        cert-file = "/etc/ostler/device.pem"
        key-file = "/etc/ostler/device.key"
        keep-alive = 60
        root-topic = "site/ostler"
        [telemetry]
        interval = 5
        [http]
        listen = ["0.0.0.0:80", "[::1]:8080"]
        token-file = "/etc/ostler/token"
        socket = "/run/other.sock"
        [[workload]]
        name = "miner"
        kind = "helium"
        runtime = { docker = { container = "validator", socket = "/run/docker.sock" } }
        data-dir = "/opt/miner/data"
        identity-files = ["miner/swarm_key"]
        grace = 600
        ready-timeout = 3600
        probe-interval = 3600
        [[workload]]
        name = "node"
        kind = "harmony"
        runtime = { systemd = { unit = "node@1.service" } }
        [workload.harmony]
        rpc = "[::1]:9501"
        role = "ExplorerNode"
        network = "testnet"
        shard = 2
        leader = true
        archival = true
        max-seconds-since-last-block = 20
        public-address = "203.0.113.7"
        "#,
    )
    .unwrap();
    let mqtt = config.mqtt.as_ref().unwrap();
    assert_eq!(mqtt.url.port, 8883);
    assert_eq!(mqtt.root_topic.as_str(), "site/ostler");
    assert_eq!(config.http.listen.len(), 2);
    let miner = &config.workload[0];
    assert_eq!(miner.kind, Kind::Helium);
    let Runtime::Docker(docker) = &miner.runtime else {
        panic!("{:?}", miner.runtime);
    };
    assert_eq!(docker.container.as_str(), "validator");
    assert_eq!(std::time::Duration::from(miner.grace).as_secs(), 600);
    let Runtime::Systemd(systemd) = &config.workload[1].runtime else {
        panic!("{:?}", config.workload[1].runtime);
    };
    assert_eq!(systemd.unit.as_str(), "node@1.service");
    let node = config.workload[1].harmony.as_ref().unwrap();
    assert_eq!(node.rpc.port(), 9501);
    let conditions = crate::workload::harmony::Conditions {
        role: Some(crate::workload::harmony::Role::ExplorerNode),
        network: Some(crate::workload::harmony::Network::Testnet),
        shard: Some(2),
        is_leader: true,
        is_archival: Some(true),
        max_seconds_since_last_block: 20,
        public_address: "203.0.113.7".parse().ok(),
    };
    assert_eq!(node.conditions(), conditions);
    // What `ostler config show` prints says the same.
    assert_eq!(parse(&config.to_toml()).unwrap(), config);
}

#[test]
fn each_mistake_is_told_with_file_line_and_key() {
    let long = "x".repeat(65);
    for (text, told) in [
        (
            "state-dir = ",
            "ostler.toml:1: string values must be quoted, expected literal string",
        ),
        (
            "\nstatedir = \"/x\"",
            "ostler.toml:2: statedir: unknown key `statedir`, expected one of `state-dir`, `device`, `mqtt`, `commands`, `telemetry`, `http`, `bobcat`, `workload`",
        ),
        ("[device]\n[device]", "ostler.toml:2: duplicate key"),
        (
            "[telemetry]\ninterval = 4",
            "ostler.toml:2: telemetry.interval: invalid value: integer `4`, expected a whole number of seconds from 5 to 86400",
        ),
        (
            "[telemetry]\ninterval = \"1m\"",
            "ostler.toml:2: telemetry.interval: invalid type: string \"1m\", expected a whole number of seconds from 5 to 86400",
        ),
        (
            "telemetry = 60",
            "ostler.toml:1: telemetry: invalid type: integer `60`, expected a table",
        ),
        (
            "[device]\n\nid = \"a/b\"",
            "ostler.toml:3: device.id: the name `a/b` has a character other than a-z, A-Z, 0-9, `.`, `_`, `-`",
        ),
        (
            "[mqtt]\nusername = \"x\"",
            "ostler.toml:1: mqtt: the key `url` is missing",
        ),
        (
            "[mqtt]\nurl = \"tcp://x\"",
            "ostler.toml:2: mqtt.url: the url must start with `mqtt://` or `mqtts://`",
        ),
        (
            "[mqtt]\nurl = \"mqtt://x\"\nroot-topic = \"a/+\"",
            "ostler.toml:3: mqtt.root-topic: the topic `a/+` has a wildcard",
        ),
        (
            "[http]\nlisten = \"127.0.0.1:80\"",
            "ostler.toml:2: http.listen: invalid type: string \"127.0.0.1:80\", expected a sequence",
        ),
        (
            "[http]\nlisten = [\"127.0.0.1\"]",
            "ostler.toml:2: http.listen[0]: invalid socket address syntax",
        ),
        (
            "[http]\nnames = [\"http://attic.local\"]",
            "ostler.toml:2: http.names: `http://attic.local` is not the name of a host, as in `attic.local`: no port, no `http://`",
        ),
        (
            "[http]\nlisten = [\"0.0.0.0:80\"]",
            "ostler.toml:2: http.listen: 0.0.0.0:80 can be reached by others: set `token-file`, or listen on 127.0.0.1 only",
        ),
        (
            "[[workload]]\nname = \"miner\"",
            "ostler.toml:1: workload[0]: the key `runtime` is missing",
        ),
        (
            "[[workload]]\nname = \"miner\"\nruntime = { openrc = {} }",
            "ostler.toml:3: workload[0].runtime.openrc: unknown key `openrc`, expected one of `docker`, `systemd`, `pm2`",
        ),
        (
            "[[workload]]\nname = \"miner\"\nruntime = \"docker\"",
            "ostler.toml:3: workload[0].runtime: invalid type: string \"docker\", expected a table such as { docker = { container = \"miner\" } }, { systemd = { unit = \"harmony.service\" } } or { pm2 = { apps = [\"sn8\", \"ptn\"] } }",
        ),
        (
            "[[workload]]\nname = \"miner\"\nruntime = {}",
            "ostler.toml:3: workload[0].runtime: names no runtime: write { docker = { container = \"…\" } }, { systemd = { unit = \"….service\" } } or { pm2 = { apps = [\"…\"] } }",
        ),
        (
            "[[workload]]\nname = \"node\"\nruntime = { systemd = { unit = \"node.service\" }, docker = { container = \"node\" } }",
            "ostler.toml:3: workload[0].runtime: names two runtimes: a workload has one",
        ),
        (
            "[[workload]]\nname = \"node\"\nruntime = { systemd = { unit = \"node\" } }",
            "ostler.toml:3: workload[0].runtime.systemd.unit: the unit `node` does not end in `.service`",
        ),
        (
            "[[workload]]\nname = \"miner\"\nruntime = { docker = { name = \"miner\" } }",
            "ostler.toml:3: workload[0].runtime.docker.name: unknown key `name`, expected `container` or `socket`",
        ),
        (
            "[[workload]]\nname = \"miner\"\nkind = \"bitcoin\"",
            "ostler.toml:3: workload[0].kind: unknown value `bitcoin`, expected one of `helium`, `harmony`, `ptn`, `generic`",
        ),
        (
            &format!("[[workload]]\nname = \"{long}\""),
            "ostler.toml:2: workload[0].name: the name",
        ),
    ] {
        let message = message(text);
        assert!(message.starts_with(told), "{text}\n{message}\n{told}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn what_is_wrong_beyond_types_is_told_all_at_once() {
    let text = r#"state-dir = "ostler"
[mqtt]
url = "mqtt://broker"
client-id = ""
password-file = "secrets/password"
cert-file = "/etc/ostler/device.pem"
[[workload]]
name = "miner"
runtime = { docker = { container = "miner" } }
identity-files = ["miner/swarm_key"]
[[workload]]
name = "miner"
runtime = { docker = { container = "_miner", socket = "docker.sock" } }
data-dir = "/opt/../etc"
identity-files = ["/etc/passwd", "../x", "", "ok/key"]
[[workload]]
name = "other"
runtime = { docker = { container = "miner" } }
data-dir = "/"
[workload.harmony]
rpc = "192.0.2.1:9500"
"#;
    let message = message(text);
    let told = [
        "18 problems in ostler.toml:",
        "ostler.toml:1: state-dir: `ostler` must be an absolute path without `..`",
        "ostler.toml:5: mqtt.password-file: `secrets/password` must be an absolute path, or the name of a systemd credential",
        "ostler.toml:5: mqtt.password-file: a password goes with a user: set `username` too",
        "ostler.toml:6: mqtt.cert-file: a certificate goes with its key: set `key-file` too",
        "ostler.toml:6: mqtt.cert-file: certificates are of use with TLS only: write the url as `mqtts://`",
        "ostler.toml:4: mqtt.client-id: must have 1 to 256 bytes and no control characters",
        "ostler.toml:10: workload[0].identity-files: go with a data directory: set `data-dir` too",
        "ostler.toml:13: workload[1].runtime.docker.container: the engine's names begin with a letter or a digit",
        "ostler.toml:13: workload[1].runtime.docker.socket: `docker.sock` must be an absolute path without `..`",
        "ostler.toml:14: workload[1].data-dir: `/opt/../etc` must be an absolute path without `..`",
        "ostler.toml:15: workload[1].identity-files: `/etc/passwd` must be relative to the data directory, without `.` or `..`",
        "ostler.toml:15: workload[1].identity-files: `../x` must be relative to the data directory, without `.` or `..`",
        "ostler.toml:15: workload[1].identity-files: `` must be relative to the data directory, without `.` or `..`",
        "ostler.toml:12: workload[1].name: another workload is called `miner` already",
        "ostler.toml:19: workload[2].data-dir: must not be the root directory",
        "ostler.toml:21: workload[2].harmony.rpc: `192.0.2.1:9500` is not on loopback; what the node says decides whether it is stopped, and others could say it",
        "ostler.toml:20: workload[2].harmony: goes with `kind = \"harmony\"`",
        "ostler.toml:18: workload[2].runtime: `miner` drives the same container, unit or apps",
    ];
    assert_eq!(message.lines().collect::<Vec<_>>(), told);
}

#[test]
fn a_validator_is_told_what_it_lacks_and_only_its_updater_is_started() {
    let workload = |kind: &str, pm2: &str, more: &str| {
        format!(
            "[[workload]]\nname = \"v\"\nkind = \"{kind}\"\nruntime = {{ pm2 = {{ {pm2} }} }}\n{more}"
        )
    };
    const PLACE: &str = "[workload.ptn]\ndirectory = \"/srv/ptn\"\n";
    for (kind, pm2, more, told) in [
        (
            "ptn",
            "apps = [\"sn8\"]",
            "",
            "write a [workload.ptn] with `directory`",
        ),
        (
            "generic",
            "apps = [\"sn8\"]",
            PLACE,
            "goes with `kind = \"ptn\"`",
        ),
        ("generic", "apps = []", "", "names no app"),
        (
            "generic",
            "apps = [\"a\", \"a\"]",
            "",
            "`a` stands there twice",
        ),
        ("generic", "apps = [\"7\"]", "", "PM2 takes this for an id"),
        (
            "generic",
            "apps = [\"a b\"]",
            "",
            "has a character other than",
        ),
        (
            "generic",
            "apps = [\"a\"], start = [\"b\"]",
            "",
            "`b` is not one of `apps`",
        ),
        (
            "generic",
            "apps = [\"a\"], start = []",
            "",
            "could not be started",
        ),
        (
            "generic",
            "apps = [\"a\"], program = \"pm2\"",
            "",
            "must be an absolute path",
        ),
        (
            "generic",
            "apps = [\"a\"], user = \"-x\"",
            "",
            "starts with `.` or `-`",
        ),
    ] {
        let message = message(&workload(kind, pm2, more));
        assert!(message.contains(told), "{message}");
    }
    for (kind, more, starts) in [("ptn", PLACE, 1), ("generic", "", 2)] {
        let text = workload(kind, "apps = [\"sn8\", \"ptn\"]", more);
        let config = parse(&text).unwrap();
        let Runtime::Pm2(pm2) = &config.workload[0].runtime else {
            panic!("{config:?}");
        };
        assert_eq!(pm2.settings(kind == "ptn").starts.len(), starts);
        assert_eq!(pm2.settings(true).user, "root");
    }
}

#[test]
fn the_number_of_workloads_is_bounded() {
    let many = |count: usize| {
        (0..count)
            .map(|n| {
                format!("[[workload]]\nname = \"w{n}\"\nruntime = {{ docker = {{ container = \"c{n}\" }} }}\n")
            })
            .collect::<String>()
    };
    assert_eq!(parse(&many(32)).unwrap().workload.len(), 32);
    assert_eq!(
        message(&many(33)),
        "ostler.toml:1: workload: at most 32 workloads, not 33"
    );
}

#[test]
fn a_change_is_told_as_what_a_reload_can_do_and_what_it_cannot() {
    let old = parse(MINER).unwrap();
    assert!(old.changes(&old).is_empty());

    let other = MINER.replace("[[workload]]", "[telemetry]\ninterval = 5\n[http]\nlisten = []\n[mqtt]\nurl = \"mqtt://x\"\nkeep-alive = 30\n[[workload]]")
        + "grace = 7\nkind = \"helium\"\n[[workload]]\nname = \"node\"\nruntime = { docker = { container = \"node\" } }\n";
    let new = parse(&other).unwrap();
    let changes = new.changes(&old);
    assert_eq!(changes.live, ["telemetry.interval", "workload.miner.grace"]);
    assert_eq!(
        changes.restart,
        [
            "mqtt.url",
            "mqtt.keep-alive",
            "mqtt.longest-pause",
            "mqtt.root-topic",
            "http.listen",
            "workload.miner.kind",
            "workload.node"
        ]
    );
    assert!(
        old.changes(&new)
            .restart
            .contains(&"workload.node".to_owned())
    );
}

#[test]
fn a_workload_that_was_found_has_the_defaults_of_one_that_is_configured() {
    let node = "[[workload]]\nname = \"harmony\"\nkind = \"harmony\"\nruntime = { systemd = { unit = \"harmony.service\" } }";
    let unit = crate::runtime::systemd::UnitName::new("harmony.service").unwrap();
    assert_eq!(
        parse(node).unwrap().workload[0],
        Workload::discovered_node(Name::new("harmony").unwrap(), unit)
    );
    let configured = parse(&(MINER.to_owned() + "kind = \"helium\"")).unwrap();
    let found = Workload::discovered(Name::new("miner").unwrap());
    assert_eq!(configured.workload, [found]);
}

#[test]
fn the_order_of_workloads_is_no_change() {
    let other = MINER.replace("miner", "node");
    let one = parse(&format!("{MINER}{other}")).unwrap();
    let two = parse(&format!("{other}{MINER}")).unwrap();
    assert!(one.changes(&two).is_empty());
}

#[test]
fn the_files_of_secrets_are_read_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    let config = parse(&format!("[http]\ntoken-file = {token:?}")).unwrap();
    let problems = config.check_files();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].key, "http.token-file");
    crate::durable::write(&token, b"s3", 0o600).unwrap();
    assert_eq!(config.check_files(), []);
}

fn shipped(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

#[test]
fn the_shipped_sample_and_page_are_those_that_the_program_writes() {
    for (file, written, command) in [
        (
            "packaging/ostler.toml",
            reference::sample(),
            "ostler config reference --sample",
        ),
        (
            "docs/configuration.md",
            reference::page(),
            "ostler config reference",
        ),
    ] {
        assert_eq!(shipped(file), written, "write it anew: {command} > {file}");
    }
}

#[test]
fn a_bucket_names_its_remote_and_keeps_secrets_out_of_it() {
    let bucket =
        |keys: &str| format!("{MINER}data-dir = \"/opt/miner\"\n[workload.bucket]\n{keys}\n");
    let file = "config-file = \"/etc/ostler/rclone.conf\"";
    assert!(parse(&bucket("remote = \"/mnt/stick\"")).is_ok());
    assert!(parse(&bucket(&format!("remote = \"s3:snapshots\"\n{file}"))).is_ok());
    for (keys, told) in [
        ("remote = \"s3:snapshots\"".to_owned(), "config-file"),
        (
            format!("remote = \":s3,secret_access_key=x:b\"\n{file}"),
            "remote",
        ),
        (format!("remote = \"s3:\"\n{file}"), "remote"),
        (
            "remote = \"/mnt/stick\"\ngrace-days = 0".to_owned(),
            "grace-days",
        ),
        (
            "remote = \"/mnt/stick\"\nlayout = \"tar\"".to_owned(),
            "layout",
        ),
    ] {
        let message = message(&bucket(&keys));
        let key = message.split(": ").nth(1).unwrap_or_default();
        assert_eq!(key, format!("workload[0].bucket.{told}"), "{message}");
    }
    let message = message(&format!(
        "{MINER}[workload.bucket]\nremote = \"/mnt/stick\""
    ));
    assert!(message.contains("data-dir"), "{message}");
}

#[test]
fn a_schedule_is_checked_before_the_agent_starts() {
    let schedule =
        |keys: &str| format!("{MINER}data-dir = \"/opt/miner\"\n[workload.schedule]\n{keys}\n");
    let config = parse(&schedule("snapshot = \"0 * * * *\"\nprune = \"@daily\"")).unwrap();
    assert!(config.workload[0].schedule.snapshot.is_some());
    assert_eq!(parse(&config.to_toml()).unwrap(), config);
    for (keys, told) in [
        (
            "snapshot = \"hourly\"",
            "snapshot: `hourly` is no cron expression",
        ),
        (
            "verify = \"0 0 30 2 *\"",
            "verify: `0 0 30 2 *` is never due",
        ),
        ("upload = \"@daily\"", "upload: goes with a bucket"),
        ("jitter-s = 9999", "jitter-s: "),
    ] {
        let message = message(&schedule(keys));
        assert!(message.contains(told), "{message}");
    }
    let message = message(&format!("{MINER}[workload.schedule]\nprune = \"@daily\""));
    assert!(message.contains("data-dir"), "{message}");
}

#[test]
fn the_sample_says_what_holds_without_it_and_every_setting_in_it_is_valid() {
    let sample = shipped("packaging/ostler.toml");
    assert_eq!(parse(&sample).unwrap(), Config::default());

    let uncommented: String = sample
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => {
                format!("{setting}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    // Tables that go with one kind only cannot all hold at once: each is tried with its own.
    let (before, node) = uncommented.split_once("[workload.harmony]").unwrap();
    let (node, validator) = node.split_once("[workload.ptn]").unwrap();
    let node = format!("{MINER}kind = \"harmony\"\n[workload.harmony]{node}");
    let validator = format!("{MINER}kind = \"ptn\"\n[workload.ptn]{validator}");
    assert!(parse(&validator).unwrap().workload[0].ptn.is_some());
    assert!(parse(&node).unwrap().workload[0].harmony.is_some());
    let config = parse(before).unwrap();
    let changes = config.changes(&Config::default());
    for key in ["mqtt.password-file", "http.token-file", "workload.miner"] {
        assert!(
            changes.restart.iter().any(|changed| changed == key),
            "{key}"
        );
    }
}

#[test]
fn every_configuration_that_the_documents_show_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = std::fs::read_dir(root.join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .chain([root.join("README.md")])
        .filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    for page in pages {
        let Ok(text) = std::fs::read_to_string(&page) else {
            continue;
        };
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            if let Err(error) = Config::parse(block, &page) {
                panic!("{error}\n{block}");
            }
        }
    }
}
