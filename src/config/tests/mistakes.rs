//! Each mistake is told: where it is, and what to do.

use super::*;

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
            "ostler.toml:2: http.listen: invalid type: string \"127.0.0.1:80\", expected a list",
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
            "[[workload]]\nname = \"miner\"\nruntime = { docker = { container = \"miner\", name = \"miner\" } }",
            "ostler.toml:3: workload[0].runtime.docker.name: unknown key `name`, expected `container` or `socket`",
        ),
        (
            "[[workload]]\nname = \"miner\"\nkind = \"bitcoin\"\nruntime = { docker = { container = \"miner\" } }",
            "ostler.toml:3: workload[0].kind: unknown value `bitcoin`, expected one of `helium`, `harmony`, `ptn`, `generic`",
        ),
        (
            &format!(
                "[[workload]]\nname = \"{long}\"\nruntime = {{ docker = {{ container = \"miner\" }} }}"
            ),
            "ostler.toml:2: workload[0].name: the name",
        ),
    ] {
        let message = message(text);
        assert!(message.starts_with(told), "{text}\n{message}\n{told}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn every_value_that_is_none_is_told_at_once() {
    let text = "mqtt = 7\n[http]\nlisten = [\"::1\", 8080]\nopen = true\n[[workload]]\nkind = 99999999999999999999\nruntime = { docker = {}, pm2 = {} }\n\n[\"http.names\"]\n";
    let told = [
        "8 problems in ostler.toml:",
        "ostler.toml:1: mqtt: invalid type: integer `7`, expected a table",
        "ostler.toml:3: http.listen[0]: invalid socket address syntax",
        "ostler.toml:3: http.listen[1]: invalid type: integer `8080`, expected socket address",
        "ostler.toml:4: http.open: unknown key `open`, expected one of `listen`, `token-file`, `names`, `socket`",
        "ostler.toml:5: workload[0]: the key `name` is missing",
        "ostler.toml:6: workload[0].kind: invalid type: a number out of range, expected one of `helium`, `harmony`, `ptn`, `generic`",
        "ostler.toml:7: workload[0].runtime: names two runtimes: a workload has one",
        "ostler.toml:9: http.names: unknown key `http.names`, expected one of `state-dir`, `device`, `mqtt`, `commands`, `telemetry`, `http`, `bobcat`, `workload`",
    ];
    assert_eq!(message(text).lines().collect::<Vec<_>>(), told);
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
identity-files = ["/etc/passwd", "../x", "", "ok/key", "keys/*"]
snapshot = { include = ["blockchain.db", "../x"], exclude = ["*"] }
[[workload]]
name = "other"
runtime = { docker = { container = "miner" } }
data-dir = "/"
[workload.harmony]
rpc = "192.0.2.1:9500"
"#;
    let message = message(text);
    let told = [
        "21 problems in ostler.toml:",
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
        "ostler.toml:16: workload[1].snapshot.include: \"../x\" is not a usable path inside the data: it has a component `.` or `..`",
        "ostler.toml:16: workload[1].snapshot.exclude: \"*\" is not a usable exclusion pattern: it is empty, absolute, or would exclude everything",
        "ostler.toml:15: workload[1].identity-files: `/etc/passwd` must be relative to the data directory, without `.`, `..` or `*`",
        "ostler.toml:15: workload[1].identity-files: `../x` must be relative to the data directory, without `.`, `..` or `*`",
        "ostler.toml:15: workload[1].identity-files: `` must be relative to the data directory, without `.`, `..` or `*`",
        "ostler.toml:15: workload[1].identity-files: `keys/*` must be relative to the data directory, without `.`, `..` or `*`",
        "ostler.toml:12: workload[1].name: another workload is called `miner` already",
        "ostler.toml:20: workload[2].data-dir: must not be the root directory",
        "ostler.toml:22: workload[2].harmony.rpc: `192.0.2.1:9500` is not on loopback; what the node says decides whether it is stopped, and others could say it",
        "ostler.toml:21: workload[2].harmony: goes with `kind = \"harmony\"`",
        "ostler.toml:19: workload[2].runtime: `miner` drives the same container, unit or apps",
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
fn a_drop_directory_is_nobody_elses() {
    let workload = |name: &str, drop: &str| {
        format!(
            "[[workload]]\nname = \"{name}\"\nkind = \"ptn\"\nruntime = {{ pm2 = {{ user = \"root\", apps = [\"{name}\"] }} }}\n\
             [workload.ptn]\ndirectory = \"/opt/{name}\"\ndrop-directory = \"{drop}\"\n"
        )
    };
    let wrong = |text: &str| {
        Config::parse(text, Path::new("o.toml"))
            .unwrap_err()
            .to_string()
    };
    for inside in ["/opt/one", "/opt/one/validation", "/opt"] {
        let told = wrong(&workload("one", inside));
        assert!(told.contains("drop-directory: must be apart"), "{told}");
    }
    let told = wrong(&[workload("one", "/srv/drop"), workload("two", "/srv/drop")].concat());
    assert!(
        told.contains("drop-directory: it is that of `one`"),
        "{told}"
    );
}
