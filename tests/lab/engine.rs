//! A Docker engine of a suite's own. Needs root and Debian's `docker.io`, `busybox-static` and `util-linux`.
//!
//! It runs in a process namespace and a mount namespace of its own, whose first process is a small supervisor
//! that reads orders from the suite. When the suite ends, in whatever way, the orders end; so does the supervisor,
//! and with it the kernel ends all that is left in the namespace: engine, containerd, containers, mounts.

#![allow(dead_code, reason = "each suite uses its own part of this")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// The image that every engine has: Debian's busybox and nothing else.
pub const IMAGE: &str = "lab";

/// For `sh -c`: ends when it is asked to.
pub const POLITE: &str = "trap 'exit 0' TERM; sleep 3600 & wait";

/// For `sh -c`: ends when it is killed.
pub const STUBBORN: &str = "trap '' TERM; sleep 3600 & wait";

/// How long an engine may take to answer after its start; 0.2 s is usual.
const START: Duration = Duration::from_secs(30);

/// `$1` is the engine's directory. The outer part cleans up when all processes in the namespace are gone.
const SUPERVISOR: &str = r#"
# The kernel sends it when the suite ends while the engine is frozen.
trap '' HUP
unshare --pid --fork --mount-proc --propagation slave sh -c '
    cd "$1"
    while read -r order; do
        case $order in
            start)
                rm -f pid
                dockerd --data-root "$1/data" --exec-root "$1/exec" --host "unix://$1/sock" --pidfile "$1/pid" \
                    --cgroup-parent "${1##*/}" --bridge=none --iptables=false \
                    >>log 2>&1 </dev/null &
                engine=$! ;;
            kill)
                containerd=$(cat exec/containerd/containerd.pid)
                kill -KILL $engine; wait $engine
                # It dies with its engine, a moment later; until then the next engine would take it for its own.
                while [ -e /proc/$containerd/exe ]; do sleep 0.02; done ;;
            freeze)
                kill -STOP $engine
                while grep -q "^State:[[:space:]]*[^T[:space:]]" /proc/$engine/task/*/status; do :; done ;;
            thaw) kill -CONT $engine ;;
        esac
        echo "$order"
    done
    # The kernel cannot end what is paused (cgroup v1).
    for frozen in /sys/fs/cgroup/freezer/"${1##*/}"/*/freezer.state; do
        [ -e "$frozen" ] && echo THAWED >"$frozen"
    done' supervisor "$1"
rm -rf "$1"
find /sys/fs/cgroup -depth -type d -path "*/${1##*/}*" -exec rmdir {} + 2>/dev/null
"#;

/// How long [`eventually`] waits: long, for a busy machine.
const EVENTUALLY: Duration = Duration::from_secs(60);

/// A running engine.
pub struct Engine {
    directory: PathBuf,
    supervisor: Mutex<Supervisor>,
}

struct Supervisor {
    process: Child,
    orders: Option<ChildStdin>,
    done: BufReader<ChildStdout>,
}

impl Engine {
    /// Starts one with [`IMAGE`] in it, and returns when it answers.
    pub fn start() -> Self {
        // Directly below /tmp: the path of a socket has at most 107 bytes.
        let directory = tempfile::Builder::new()
            .prefix("ostler-lab-")
            .tempdir_in("/tmp")
            .expect("a temporary directory")
            .keep();
        let mut process = Command::new("sh")
            .args(["-c", SUPERVISOR, "lab"])
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // An interrupt at the terminal ends the suite only; the rest follows.
            .process_group(0)
            .spawn()
            .expect("sh");
        let supervisor = Supervisor {
            orders: process.stdin.take(),
            done: BufReader::new(process.stdout.take().expect("piped")),
            process,
        };
        let engine = Self {
            directory,
            supervisor: Mutex::new(supervisor),
        };
        engine.order("start");
        engine.await_answer();
        engine.import_image();
        engine
    }

    /// One for all tests of a suite that do it no harm.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Engine> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("sock")
    }

    /// Its own directory, removed with it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The same for the environment: `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Runs the command-line client, which must succeed; its output, trimmed.
    #[track_caller]
    pub fn docker(&self, arguments: &[&str]) -> String {
        let output = self.try_docker(arguments);
        assert!(
            output.status.success(),
            "docker {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Runs the command-line client, whatever becomes of it.
    pub fn try_docker(&self, arguments: &[&str]) -> Output {
        Command::new("docker")
            .env_remove("DOCKER_CONTEXT")
            .args(["--host", &self.host()])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the client `docker`")
    }

    /// `docker run --detach --name NAME ARGUMENTS`: options, the image, its command.
    #[track_caller]
    pub fn run_container(&self, name: &str, arguments: &[&str]) -> String {
        self.docker(&[&["run", "--detach", "--name", name], arguments].concat())
    }

    /// The engine hangs: SIGSTOP.
    pub fn freeze(&self) {
        self.order("freeze");
    }

    /// It goes on.
    pub fn thaw(&self) {
        self.order("thaw");
    }

    /// It crashes: SIGKILL. Its containers stay as they are.
    pub fn kill(&self) {
        self.order("kill");
    }

    /// It is started again after [`Engine::kill`], and answers.
    pub fn revive(&self) {
        self.order("start");
        self.await_answer();
    }

    /// It crashes and is started again.
    pub fn restart(&self) {
        self.kill();
        self.revive();
    }

    /// Builds the simulated miner and imports it under this name.
    pub fn import_testnode(&self, image: &str) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testnode/image");
        let output = Command::new(script)
            .arg(image)
            .env("DOCKER_HOST", self.host())
            .stdin(Stdio::null())
            .output()
            .expect("the script");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn order(&self, order: &str) {
        let mut supervisor = self.supervisor.lock().expect("no order panics");
        let orders = supervisor.orders.as_mut().expect("open until the drop");
        writeln!(orders, "{order}").expect("the supervisor reads");
        let mut done = String::new();
        supervisor
            .done
            .read_line(&mut done)
            .expect("the supervisor answers");
        assert_eq!(done.trim(), order, "the supervisor ended: is this root?");
    }

    fn await_answer(&self) {
        let started = Instant::now();
        while !self.try_docker(&["version"]).status.success() {
            assert!(
                started.elapsed() < START,
                "dockerd does not answer; its log:\n{}",
                std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn import_image(&self) {
        let root = self.directory.join("image");
        let bin = root.join("bin");
        std::fs::create_dir_all(&bin).expect("the image's directory");
        std::fs::copy("/bin/busybox", bin.join("busybox")).expect("Debian's busybox-static");
        let applets = Command::new("/bin/busybox").arg("--list").output();
        for applet in String::from_utf8_lossy(&applets.expect("busybox").stdout).lines() {
            if applet != "busybox" {
                std::os::unix::fs::symlink("busybox", bin.join(applet)).expect("a link");
            }
        }
        let archive = self.directory.join("image.tar");
        let tar = Command::new("tar")
            .arg("-C")
            .arg(&root)
            .arg("-cf")
            .arg(&archive)
            .arg(".")
            .status();
        assert!(tar.expect("tar").success());
        self.docker(&["import", &archive.to_string_lossy(), IMAGE]);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Ok(supervisor) = self.supervisor.get_mut() {
            drop(supervisor.orders.take());
            let _ = supervisor.process.wait();
        }
    }
}

/// Asks again and again until there is an answer; what never comes fails the test.
pub async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < EVENTUALLY, "it never came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
