//! No configuration at all, in a mount namespace where the host has what a hotspot has, at the usual places.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::*;

/// `$1` is a directory for the sensors' tree and the state, `$2` the agent.
const HOST: &str = r#"
mount -t tmpfs tmpfs /run
mkdir -p "$1/state" && mount -t tmpfs tmpfs /var/lib && mkdir /var/lib/ostler && mount --bind "$1/state" /var/lib/ostler
mount --bind "$1/thermal" /sys/class/thermal
exec "$2" run
"#;

struct Host(Child);

impl Host {
    fn boot(directory: &Path) -> Self {
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-ec", HOST, "host"])
            .arg(directory)
            .arg(env!("CARGO_BIN_EXE_ostler"))
            .env_remove("OSTLER_CONFIG")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("unshare, as root");
        Self(child)
    }

    /// Runs a program among the mounts of this host.
    fn inside(&self, command: &[&str]) -> std::process::Output {
        let pid = self.0.id().to_string();
        Command::new("nsenter")
            .args(["-t", &pid, "-m", "--"])
            .args(command)
            .output()
            .expect("nsenter")
    }

    /// Lets the engine appear at its usual place.
    fn start_engine(&self) {
        let socket = engine().socket();
        assert!(self.inside(&["touch", "/run/docker.sock"]).status.success());
        assert!(
            self.inside(&[
                "mount",
                "--bind",
                socket.to_str().unwrap(),
                "/run/docker.sock"
            ])
            .status
            .success()
        );
    }

    fn get(&self, path: &str) -> Value {
        let url = format!("http://localhost{path}");
        let output = self.inside(&[
            "curl",
            "-s",
            "--max-time",
            "10",
            "--unix-socket",
            "/run/ostler/ostler.sock",
            &url,
        ]);
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    fn wait_for_state(&self, state: &str) {
        let begun = Instant::now();
        while self.get("/v1/workloads/miner")["state"] != state {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{}",
                self.get("/v1/workloads")
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn without_a_configuration_the_miner_and_the_sensors_are_found_and_the_miner_is_remembered() {
    let directory = tempfile::tempdir().unwrap();
    for (zone, kind, temperature) in [
        ("thermal_zone0", "soc-thermal", "38200"),
        ("thermal_zone1", "gpu-thermal", "36100"),
    ] {
        let zone = directory.path().join("thermal").join(zone);
        std::fs::create_dir_all(&zone).unwrap();
        for (name, content) in [("type", kind), ("temp", temperature)] {
            std::io::Write::write_all(
                &mut std::fs::File::create(zone.join(name)).unwrap(),
                content.as_bytes(),
            )
            .unwrap();
        }
    }
    let _miner = Miner::start("miner");
    let host = Host::boot(directory.path());
    let begun = Instant::now();
    while host.get("/v1/telemetry")["temperatures"]
        .as_array()
        .is_none_or(|all| all.len() < 2)
    {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{}",
            host.get("/v1/telemetry")
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let telemetry = host.get("/v1/telemetry");
    assert_eq!(
        telemetry["temperatures"][0]["label"], "soc-thermal",
        "{telemetry}"
    );
    assert_eq!(telemetry["temperatures"][1]["celsius"], 36.1, "{telemetry}");

    // The engine comes up after the agent, as after a boot.
    host.start_engine();
    host.wait_for_state("running");
    let miner = host.get("/v1/workloads/miner");
    assert_eq!(miner["kind"], "helium", "{miner}");
    drop(host);

    // And the next time it does not come up at all: the miner is known all the same.
    let host = Host::boot(directory.path());
    host.wait_for_state("runtime-absent");
}
