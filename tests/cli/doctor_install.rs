//! The doctor on how the agent is installed: who may do what, data, sandbox.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::inn::{Agent, DEADLINE};
use crate::{ostler, run};

/// What the doctor says of a host with this configuration.
pub async fn doctor(file: &Path, config: &str) -> Value {
    ostler::durable::write(file, config.as_bytes(), 0o600).unwrap();
    let file = file.to_str().unwrap();
    let findings = run(ostler(&["doctor", "--json", "--config", file]))
        .await
        .json();
    for check in findings["checks"].as_array().unwrap() {
        assert_eq!(
            check["verdict"] == "ok",
            check.get("advice").is_none(),
            "{check}"
        );
    }
    findings
}

/// The check of that name whose message has these words.
#[track_caller]
pub fn check<'a>(findings: &'a Value, name: &str, words: &str) -> &'a Value {
    let mut checks = findings["checks"].as_array().unwrap().iter();
    let found = checks
        .find(|check| check["name"] == name && check["message"].as_str().unwrap().contains(words));
    found.unwrap_or_else(|| panic!("no check {name} with `{words}`: {findings:#}"))
}

#[tokio::test]
async fn what_others_can_change_is_found() {
    let agent = Agent::start().await;
    let directory = agent.socket.parent().unwrap();
    let config = format!(
        "state-dir = {directory:?}\n[http]\nsocket = {:?}\n",
        agent.socket
    );
    let file = directory.join("ostler.toml");
    let closed = doctor(&file, &config).await;
    for name in ["state directory", "configuration", "group"] {
        assert_eq!(check(&closed, name, "")["verdict"], "ok", "{closed:#}");
    }
    for (path, mode) in [(directory, 0o777), (&agent.socket, 0o666)] {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let open = doctor(&file, &config).await;
    let state = check(&open, "state directory", "can be changed by others");
    assert_eq!(state["verdict"], "fail");
    assert!(state["advice"].as_str().unwrap().contains("chmod 755"));
    let socket = check(&open, "socket", "can be changed by others");
    assert!(socket["advice"].as_str().unwrap().contains("chmod 664"));
}

#[tokio::test]
async fn data_that_is_not_there_or_far_from_its_snapshots_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ostler.toml");
    let data = directory.path().join("data");
    let config = |more: &str| {
        format!(
            "state-dir = {:?}\n[[workload]]\nname = \"node\"\ndata-dir = {data:?}\n\
             runtime = {{ systemd = {{ unit = \"no-such-node.service\" }} }}\n{more}",
            directory.path()
        )
    };
    let findings = doctor(&file, &config("")).await;
    assert_eq!(check(&findings, "data", "No such file")["verdict"], "fail");
    assert_ne!(check(&findings, "systemd unit", "node")["verdict"], "ok");

    fs::create_dir(&data).unwrap();
    let findings = doctor(&file, &config("")).await;
    assert_eq!(
        check(&findings, "data", "on one filesystem")["verdict"],
        "ok"
    );

    let far = "[workload.snapshot]\nstore = \"/proc/snapshots\"\n";
    let findings = doctor(&file, &config(far)).await;
    assert_eq!(
        check(&findings, "data", "two filesystems")["verdict"],
        "fail"
    );
}

#[tokio::test]
async fn a_pm2_of_nobody_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let config = format!(
        "state-dir = {:?}\n[[workload]]\nname = \"app\"\n\
         runtime = {{ pm2 = {{ user = \"nobody-of-this-name\", apps = [\"app\"] }} }}\n",
        directory.path()
    );
    let findings = doctor(&directory.path().join("ostler.toml"), &config).await;
    let pm2 = check(&findings, "pm2", "there is no user `nobody-of-this-name`");
    assert_eq!(pm2["verdict"], "fail");
}

/// An agent that sees one directory as its unit's sandbox may show it: read-only. It needs root.
struct Confined(Child);

impl Confined {
    fn start(config: &Path, read_only: &Path, socket: &Path) -> Self {
        let child = std::process::Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c"])
            .arg("mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && exec \"$2\" run --config \"$3\"")
            .arg("confined")
            .arg(read_only)
            .arg(env!("CARGO_BIN_EXE_ostler"))
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("unshare, as root");
        let started = std::time::Instant::now();
        while std::os::unix::net::UnixStream::connect(socket).is_err() {
            assert!(started.elapsed() < DEADLINE, "the agent does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self(child)
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn what_the_sandbox_keeps_from_the_agent_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir_all(at("srv/data")).unwrap();
    for name in ["other", "checkout"] {
        fs::create_dir(at(name)).unwrap();
    }
    // Data is often a link to another disk: then that disk is meant.
    std::os::unix::fs::symlink(at("srv/data"), at("data")).unwrap();
    let file = at("ostler.toml");
    let config = format!(
        "state-dir = {:?}\n[http]\nlisten = []\nsocket = {:?}\n[[workload]]\nname = \"node\"\ndata-dir = {:?}\n\
         runtime = {{ systemd = {{ unit = \"no-such-node.service\" }} }}\n\
         [[workload]]\nname = \"validator\"\nkind = \"ptn\"\nruntime = {{ systemd = {{ unit = \"no-such-validator.service\" }} }}\n\
         [workload.ptn]\ndirectory = {:?}\n",
        at("state"),
        at("socket"),
        at("data"),
        at("checkout")
    );
    ostler::durable::write(&file, config.as_bytes(), 0o600).unwrap();

    let free = Confined::start(&file, &at("other"), &at("socket"));
    let findings = doctor(&file, &config).await;
    assert_eq!(check(&findings, "sandbox", "may write")["verdict"], "ok");
    let data = check(&findings, "data", "one filesystem");
    assert_eq!(data["verdict"], "ok", "{data}");
    drop(free);

    for kept in ["srv", "checkout"] {
        let _confined = Confined::start(&file, &at(kept), &at("socket"));
        let findings = doctor(&file, &config).await;
        let told = format!("may not write {}", at(kept).display());
        let sandbox = check(&findings, "sandbox", &told);
        assert_eq!(sandbox["verdict"], "fail", "{sandbox}");
        let advice = sandbox["advice"].as_str().unwrap();
        assert!(advice.contains("daemon-reload"), "{advice}");
    }
}
