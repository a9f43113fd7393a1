//! A real PM2 with the shape of a validator's install: `sn8`, an updater, starts `ptn`, the validator. Both are stand-ins
//! (`tests/lab/validator`); PM2 is the real one, installed once by npm and kept below `target`.
//!
//! Each PM2 has a home of its own. A watcher ends all of its processes when the test ends, in whatever way.

#![allow(dead_code, reason = "each suite uses its own part of this")]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

/// What npm installs: the newest PM2 when this was written, and the releases of all that it needs.
const PACKAGES: [(&str, &str); 2] = [
    ("package.json", include_str!("pm2/package.json")),
    ("package-lock.json", include_str!("pm2/package-lock.json")),
];

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A user without rights that every Debian has, and its number.
const NOBODY: (&str, u32) = ("nobody", 65534);

/// `$1` is the home of PM2, `$2` the directory of all. What the daemon starts again in between dies in the next round.
const WATCHER: &str = r#"
read -r _
for _ in 1 2 3 4 5; do
    pids=$(grep -lzx "PM2_HOME=$1" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3)
    [ -n "$pids" ] || break
    kill -STOP $pids 2>/dev/null
    kill -9 $pids 2>/dev/null
    sleep 0.1
done
rm -rf "$2"
"#;

/// One PM2 and one checkout.
pub struct Pm2 {
    directory: PathBuf,
    user: &'static str,
    uid: u32,
    watcher: Child,
}

impl Pm2 {
    /// Root's.
    pub fn new() -> Self {
        Self::of("root", 0)
    }

    /// That of a user without rights.
    pub fn of_nobody() -> Self {
        Self::of(NOBODY.0, NOBODY.1)
    }

    fn of(user: &'static str, uid: u32) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("ostler-pm2-")
            .tempdir_in("/tmp")
            .unwrap()
            .keep();
        let home = directory.join(".pm2");
        let watcher = Command::new("sh")
            .args(["-c", WATCHER, "watcher"])
            .args([&home, &directory])
            .stdin(Stdio::piped())
            // An interrupt at the terminal ends the suite only; the rest follows.
            .process_group(0)
            .spawn()
            .unwrap();
        // The user must reach it, and the place where it was built may be root's alone.
        link(
            &installed().join("node_modules"),
            &directory.join("node_modules"),
        );
        let checkout = directory.join("checkout");
        copy(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/validator"),
            &checkout,
        );
        chown(&directory, Some(uid), Some(uid)).unwrap();
        fs::create_dir_all(checkout.join("validation/miners")).unwrap();
        let pm2 = Self {
            directory,
            user,
            uid,
            watcher,
        };
        pm2.own(&pm2.checkout());
        pm2
    }

    /// Gives a tree to the user.
    pub fn own(&self, tree: &Path) {
        if self.uid != 0 {
            let owner = format!("{0}:{0}", self.uid);
            run(Command::new("chown").args(["-hR", &owner]).arg(tree));
        }
    }

    pub fn user(&self) -> &'static str {
        self.user
    }

    /// `PM2_HOME`.
    pub fn home(&self) -> PathBuf {
        self.directory.join(".pm2")
    }

    /// The program `pm2`.
    pub fn program(&self) -> PathBuf {
        self.directory.join("node_modules/.bin/pm2")
    }

    /// The validator's checkout: `run.sh`, `neurons/validator.py`, `validation`.
    pub fn checkout(&self) -> PathBuf {
        self.directory.join("checkout")
    }

    /// A path beside all of that.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Runs `pm2` as the user would.
    pub fn try_pm2(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let programs = self.directory.join("node_modules/.bin");
        let mut command = Command::new(self.program());
        command
            .args(arguments)
            .current_dir(self.checkout())
            .env_clear()
            .env("HOME", &self.directory)
            .env("PM2_HOME", self.home())
            .env("PM2_DISCRETE_MODE", "true")
            .env(
                "PATH",
                format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display()),
            )
            .env("VALIDATOR_API_KEY", SECRET)
            .stdin(Stdio::null());
        if self.uid != 0 {
            command.uid(self.uid).gid(self.uid);
        }
        command
    }

    /// The same; it must succeed.
    pub fn pm2(&self, arguments: &[&str]) -> String {
        let output = self.try_pm2(arguments);
        assert!(output.status.success(), "pm2 {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Starts the updater as its instructions say, waits until the validator runs, and saves the list.
    pub fn start_validator(&self) {
        let before = self.starts();
        // The daemon, and what it starts for itself, works elsewhere than the apps: see [`Pm2::processes`].
        let elsewhere = self
            .command(&["ping"])
            .current_dir(&self.directory)
            .output();
        assert!(elsewhere.unwrap().status.success());
        self.pm2(&["start", "run.sh", "--name", "sn8", "--", "--netuid", "8"]);
        self.wait_until("ptn runs", |pm2| {
            // PM2 calls online what it has only just executed.
            pm2.starts() > before && pm2.status("ptn") == "online"
        });
        // What it called to start it may not have ended yet, and is no process of either app.
        self.wait_until("the updater only waits", |pm2| {
            let mut processes = pm2.processes().into_iter();
            !processes.any(|pid| command_line(pid).contains("bin/pm2 "))
        });
        self.pm2(&["save"]);
    }

    /// What the validator does at its next start: see its own text.
    pub fn behave(&self, words: &str) {
        let mut file = File::create(self.checkout().join("behaviour")).unwrap();
        file.write_all(words.as_bytes()).unwrap();
    }

    /// All apps, as PM2 has them.
    pub fn apps(&self) -> Vec<Value> {
        let output = self.try_pm2(&["jlist"]);
        let text = String::from_utf8_lossy(&output.stdout);
        let start = text.find("[{").or_else(|| text.find("[]"));
        let list = start.map(|start| &text[start..]).unwrap_or("[]");
        let mut values = serde_json::Deserializer::from_str(list).into_iter();
        values.next().unwrap().unwrap()
    }

    /// One app.
    pub fn app(&self, name: &str) -> Option<Value> {
        self.apps().into_iter().find(|app| app["name"] == name)
    }

    /// Its status, as PM2 says it.
    pub fn status(&self, name: &str) -> String {
        let app = self.app(name).unwrap_or_default();
        app["pm2_env"]["status"]
            .as_str()
            .unwrap_or("missing")
            .to_owned()
    }

    /// Whether the updater and the validator run, by one question.
    pub fn both_run(&self) -> bool {
        let apps = self.apps();
        ["sn8", "ptn"].into_iter().all(|name| {
            apps.iter()
                .any(|app| app["name"] == name && app["pm2_env"]["status"] == "online")
        })
    }

    /// How often the validator was started.
    pub fn starts(&self) -> usize {
        let starts = fs::read_to_string(self.checkout().join("starts"));
        starts.unwrap_or_default().lines().count()
    }

    /// The daemon's process.
    pub fn daemon(&self) -> Option<u32> {
        let pid: u32 = fs::read_to_string(self.home().join("pm2.pid"))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        let title = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        title.starts_with("PM2 v").then_some(pid)
    }

    /// Sends the daemon a signal by its name.
    pub fn signal_daemon(&self, name: &str) {
        let daemon = self.daemon().expect("it runs");
        run(Command::new("kill").args(["-s", name, &daemon.to_string()]));
    }

    /// The processes that work in the checkout: both apps and all that they left behind. PM2's daemon works wherever it was
    /// first called.
    pub fn processes(&self) -> Vec<u32> {
        let checkout = self.checkout();
        let daemon = self.daemon();
        fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| Some(*pid) != daemon)
            .filter(|pid| {
                fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == checkout)
            })
            .collect()
    }

    /// The runtime of a workload `validator`, for a configuration.
    pub fn runtime(&self) -> String {
        format!(
            "runtime = {{ pm2 = {{ user = {:?}, pm2-home = {:?}, program = {:?}, apps = [\"sn8\", \"ptn\"] }} }}",
            self.user,
            self.home(),
            self.program()
        )
    }

    /// The whole of it; `more` are keys of the workload's own.
    pub fn config(&self, more: &str) -> String {
        format!(
            "[[workload]]\nname = \"validator\"\nkind = \"ptn\"\n{more}\n{}\n\n[workload.ptn]\ndirectory = {:?}\n",
            self.runtime(),
            self.checkout()
        )
    }

    /// Waits for something.
    pub fn wait_until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(
                Instant::now() < deadline,
                "{what}: not within {PATIENCE:?}\n{}",
                self.told()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The end of the daemon's log and of the apps' errors.
    fn told(&self) -> String {
        let logs = fs::read_dir(self.home().join("logs"))
            .into_iter()
            .flatten()
            .flatten();
        let files = logs
            .map(|entry| entry.path())
            .chain([self.home().join("pm2.log")]);
        files
            .map(|file| {
                format!(
                    "{}:\n{}\n",
                    file.display(),
                    fs::read_to_string(&file).unwrap_or_default()
                )
            })
            .collect()
    }
}

impl Drop for Pm2 {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        let _ = self.watcher.wait();
    }
}

/// In the environment of every app here; it must never be seen anywhere else.
pub const SECRET: &str = "a-key-that-nobody-may-see";

/// The words of a process's command, for people; none where there is no such process.
pub fn command_line(pid: u32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).replace('\0', " ")
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-r").args([from, to]));
}

/// Copies a tree that nobody changes, by links where that works.
fn link(from: &Path, to: &Path) {
    let by_links = Command::new("cp")
        .arg("-dRl")
        .args([from, to])
        .output()
        .unwrap();
    if !by_links.status.success() {
        let _ = fs::remove_dir_all(to);
        copy(from, to);
    }
}

/// Where PM2 is installed: once for all suites and runs.
pub fn installed() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| {
        let below = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let place = below.join("pm2");
        // Whole where it is there: it gets its name last.
        let is_installed = || {
            PACKAGES.iter().all(|(name, text)| {
                fs::read_to_string(place.join(name)).ok().as_deref() == Some(text)
            })
        };
        // Inside a machine nothing can be written here.
        if is_installed() {
            return place;
        }
        let lock = File::create(below.join("pm2.lock")).unwrap();
        lock.lock().unwrap();
        if !is_installed() {
            let partial = below.join("pm2.partial");
            for old in [&partial, &place] {
                let _ = fs::remove_dir_all(old);
            }
            fs::create_dir(&partial).unwrap();
            for (name, _) in PACKAGES {
                let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/pm2");
                fs::copy(source.join(name), partial.join(name)).unwrap();
            }
            let mut npm = Command::new("npm");
            npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
                .current_dir(&partial)
                .stdin(Stdio::null());
            run(&mut npm);
            fs::rename(&partial, &place).unwrap();
        }
        place
    })
}
