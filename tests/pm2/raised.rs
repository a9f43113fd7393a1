//! A daemon that does not run, on a host that systemd runs: it is brought back as a unit of its own, in a machine that has one.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::lab::installed;
use super::nspawn::{Machine, eventually, only_inside};
use super::*;

const USER: &str = "taoshi";

/// What the machine has itself.
const THERE: [&str; 8] = [
    "ld-linux",
    "libc.",
    "libm.",
    "libdl.",
    "libgcc_s.",
    "libpthread.",
    "librt.",
    "libstdc++.",
];

/// The `node` of this host, and what it needs.
fn node() -> Vec<(PathBuf, String)> {
    let found = Command::new("which").arg("node").output().unwrap();
    let node = fs::canonicalize(String::from_utf8(found.stdout).unwrap().trim()).unwrap();
    let linked = Command::new("ldd").arg(&node).output().unwrap();
    let linked = String::from_utf8(linked.stdout).unwrap();
    let is_there = |path: &Path| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        THERE.iter().any(|stem| name.starts_with(stem))
    };
    let libraries = linked
        .split_whitespace()
        .map(PathBuf::from)
        .filter(|word| word.is_absolute() && !is_there(word));
    let modules = PathBuf::from("/usr/share/nodejs");
    let own = libraries.chain(Some(modules).filter(|modules| modules.is_dir()));
    own.map(|path| (path.clone(), path.display().to_string()))
        .chain([(node, "/usr/local/bin/node".to_owned())])
        .collect()
}

#[test]
fn a_daemon_is_brought_back_in_a_unit_of_its_own() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: root is needed");
        return;
    }
    installed();
    let files = node();
    let files: Vec<_> = files
        .iter()
        .map(|(here, there)| (here.as_path(), there.as_str()))
        .collect();
    let machine = Machine::boot_with(Path::new(""), &files);
    machine.run_test("raised::in_the_machine", &[]);
}

#[test]
#[ignore = "it is run inside a machine"]
fn in_the_machine() {
    only_inside(async || {
        run(&["useradd", "--create-home", USER]);
        let home = PathBuf::from(format!("/home/{USER}"));
        let app = home.join("run.sh");
        ostler::durable::write(&app, b"while :; do sleep 1; done\n", 0o755).unwrap();
        pm2(&["start", app.to_str().unwrap(), "--name", "sn8"]);
        pm2(&["save"]);
        pm2(&["kill"]);
        let sn8 = App::new("sn8").unwrap();
        let driver = pm2::Pm2::new(Settings {
            user: USER.to_owned(),
            pm2_home: None,
            program: Some(program()),
            apps: vec![sn8.clone()],
            starts: vec![sn8],
        });
        assert_ne!(driver.inspect().await.unwrap().state, RunState::Running);

        // Nobody has made a unit for it.
        assert!(driver.start().await.unwrap());
        runs_in(&driver, "ostler-pm2-taoshi.service").await;
        run(&["systemctl", "stop", "ostler-pm2-taoshi.service"]);

        // `pm2 startup` has.
        let startup = program().display().to_string();
        let home = home.to_str().unwrap();
        run(&[&startup, "startup", "systemd", "-u", USER, "--hp", home]);
        assert!(driver.start().await.unwrap());
        runs_in(&driver, "pm2-taoshi.service").await;
    });
}

/// The daemon and its app run, as the user, in this unit.
async fn runs_in(driver: &pm2::Pm2, unit: &str) {
    eventually(async || {
        let seen = driver.inspect().await.unwrap();
        (seen.state == RunState::Running).then_some(())
    })
    .await;
    let pid = fs::read_to_string(format!("/home/{USER}/.pm2/pm2.pid")).unwrap();
    let pid = pid.trim();
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(cgroup.contains(&format!("/{unit}")), "{cgroup}");
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    assert!(!own.contains(unit), "{own}");
    let show = ["systemctl", "show", "--value", "-p", "MainPID", unit];
    assert_eq!(run(&show).trim(), pid);
    let owner = fs::metadata(format!("/proc/{pid}")).unwrap().uid();
    let user = fs::metadata(format!("/home/{USER}")).unwrap().uid();
    assert!(owner == user && owner != 0, "{owner} {user}");
}

fn program() -> PathBuf {
    installed().join("node_modules/.bin/pm2")
}

/// As the user would.
fn pm2(arguments: &[&str]) {
    let (home, program) = (format!("HOME=/home/{USER}"), program());
    let user = [
        "setpriv",
        "--reuid",
        USER,
        "--regid",
        USER,
        "--init-groups",
        "env",
        &home,
    ];
    run(&[&user[..], &[program.to_str().unwrap()], arguments].concat());
}

fn run(words: &[&str]) -> String {
    let path = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let output = Command::new(words[0])
        .args(&words[1..])
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
