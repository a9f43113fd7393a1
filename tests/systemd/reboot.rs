//! A device that boots because it was asked to: the packaged unit of the agent, in a machine with a systemd of its own.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::nspawn::Machine;

const PATIENCE: Duration = Duration::from_secs(120);

/// It writes down how it begins and ends, and is started by nobody but the agent.
const ANIMAL: &str = "\
[Service]
ExecStart=/bin/sh -c 'echo began >>/srv/animal; trap \"echo ended >>/srv/animal; exit 0\" TERM; sleep 3600 & wait'
";

/// What the package's installation and `ostler config unit` would add.
const HERE: &str = "[Service]\nReadWritePaths=/srv\n";

const USERS: &str = "\
[Unit]
Before=ostler.service
[Service]
Type=oneshot
ExecStart=/bin/systemd-sysusers
";

const BOOT: &str = "[Unit]\nWants=users.service ostler.service\n";

const CONFIG: &str = r#"
state-dir = "/srv/state"
[http]
listen = []
[[workload]]
name = "animal"
kind = "generic"
runtime = { systemd = { unit = "animal.service" } }
"#;

/// A machine with a disk that stays.
struct Device {
    machine: Machine,
    directory: tempfile::TempDir,
}

impl Device {
    fn boot() -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let own = |name: &str| directory.path().join(name);
        for (name, text) in [
            ("animal", ANIMAL),
            ("here", HERE),
            ("users", USERS),
            ("boot", BOOT),
            ("config", CONFIG),
        ] {
            File::create(own(name))
                .and_then(|mut file| file.write_all(text.as_bytes()))
                .unwrap();
        }
        File::create(own("disk"))
            .unwrap()
            .set_len(64 << 20)
            .unwrap();
        let made = std::process::Command::new("mkfs.ext4")
            .arg("-q")
            .arg(own("disk"))
            .status();
        assert!(made.unwrap().success());
        let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
        let units = "/etc/systemd/system";
        let files = [
            (own("animal"), format!("{units}/animal.service")),
            (own("users"), format!("{units}/users.service")),
            (own("here"), format!("{units}/ostler.service.d/here.conf")),
            (
                own("boot"),
                format!("{units}/multi-user.target.d/boot.conf"),
            ),
            (own("config"), "/etc/ostler/ostler.toml".to_owned()),
            (
                packaging.join("ostler.service"),
                "/usr/lib/systemd/system/ostler.service".to_owned(),
            ),
            (
                packaging.join("ostler.sysusers"),
                "/usr/lib/sysusers.d/ostler.conf".to_owned(),
            ),
            (
                env!("CARGO_BIN_EXE_ostler").into(),
                "/usr/bin/ostler".to_owned(),
            ),
        ];
        let files: Vec<_> = files
            .iter()
            .map(|(here, there)| (here.as_path(), there.as_str()))
            .collect();
        Self {
            machine: Machine::boot_with(&own("disk"), &files),
            directory,
        }
    }

    #[track_caller]
    fn must(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.machine.command(program).args(arguments).output();
        let output = output.unwrap();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {output:?}\n{}",
            self.log()
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn animal(&self) -> String {
        std::fs::read_to_string(self.machine.path("/srv/animal")).unwrap_or_default()
    }

    fn record(&self, id: &str) -> Option<Value> {
        let path = format!("/srv/state/operations/{id}.json");
        let text = std::fs::read(self.machine.path(&path)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    fn wait_until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !so(self) {
            assert!(begun.elapsed() < PATIENCE, "{what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        let log = self
            .machine
            .command("journalctl")
            .args(["-q", "-u", "ostler"])
            .output();
        String::from_utf8_lossy(&log.unwrap().stdout).into_owned()
    }
}

#[test]
fn a_device_boots_when_it_is_asked_to_and_what_ran_before_runs_again() {
    let mut device = Device::boot();
    device.must("systemctl", &["start", "animal"]);
    device.wait_until("the agent sees it", |device| {
        let status = device
            .machine
            .command("ostler")
            .args(["status", "--json"])
            .output();
        String::from_utf8_lossy(&status.unwrap().stdout).contains("\"running\"")
    });
    // The answer is there before the machine goes down.
    let answer = device.must(
        "ostler",
        &["reboot", "--yes", "--no-wait", "--id", "anew", "--json"],
    );
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["id"], "anew", "{answer}");
    device.machine.await_reboot();

    device.wait_until("the record ends", |device| {
        device
            .record("anew")
            .is_some_and(|record| record["ended_at"].is_string())
    });
    let record = device.record("anew").unwrap();
    assert_eq!(record["state"], "succeeded", "{record}\n{}", device.log());
    let output = &record["output"];
    assert_eq!(
        output["boot_id"], output["boot_id_now"],
        "in its sandbox the agent sees the kernel's, which went on"
    );
    assert_ne!(output["init_began"], output["init_began_now"]);
    assert_eq!(output["running"], serde_json::json!(["animal"]));
    let steps = record["steps"].as_array().unwrap();
    let steps: Vec<_> = steps
        .iter()
        .map(|step| {
            (
                step["name"].as_str().unwrap(),
                step["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        steps,
        [("stop", "done"), ("reboot", "done"), ("start", "done")]
    );
    assert_eq!(device.animal(), "began\nended\nbegan\n");
    assert_eq!(device.must("systemctl", &["is-active", "animal"]), "active");

    // The agent alone ends: that is no boot, and neither is a newer systemd.
    let since = |device: &Device| {
        device.must(
            "systemctl",
            &["show", "--value", "-p", "UserspaceTimestampMonotonic"],
        )
    };
    let before = since(&device);
    device.must("systemctl", &["daemon-reexec"]);
    assert_eq!(since(&device), before);
    drop(device.directory);
}
