//! A machine with a real systemd as its process 1, in a container. Needs root and Debian's `debootstrap`,
//! `systemd-container` and `util-linux`.
//!
//! Its root file system is made once and kept in a cache; each machine sees it below an overlay in memory, so that no
//! test can dirty it. As with the engine, a small supervisor is process 1 of a process namespace and reads its standard
//! input: when the suite ends, in whatever way, that ends, and with the supervisor the kernel ends the whole machine.
//! (Killing `systemd-nspawn` alone does not.) Its cgroup is its own, so that machines can run side by side.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Part of the name of the cached root: a new one for every change of [`PACKAGES`].
const VERSION: u32 = 1;
const SUITE: &str = "bookworm";
const PACKAGES: &str = "systemd,systemd-sysv,dbus";

/// Set for the suite's own program inside a machine.
const INSIDE: &str = "OSTLER_LAB_INSIDE";

/// How long [`eventually`] waits: long, for a busy machine.
const EVENTUALLY: Duration = Duration::from_secs(60);

/// How long a machine may take to boot; 1 s is usual.
const BOOT: Duration = Duration::from_secs(60);

/// What a suite may be told by its environment, inside too, begins with this.
const TOLD: &str = "OSTLER_TEST_";

/// `$1` is the root, `$2` a temporary directory, `$3` the target directory, which is where it is inside too, `$4` the image of a
/// filesystem that is mounted at `/srv`, or nothing; all others are arguments of `systemd-nspawn`.
/// The outer part cleans up when all processes in the namespace are gone.
const SUPERVISOR: &str = r#"
name=${2##*/}
for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
    [ -e "$hierarchy/cgroup.procs" ] && mkdir -p "$hierarchy/$name" && echo $$ >"$hierarchy/$name/cgroup.procs"
done
unshare --pid --fork --mount-proc --propagation slave sh -c '
    export TMPDIR="$2"
    temporary=$2 root=$1 target=$3 image=$4
    shift 4
    if [ -n "$image" ]; then
        mkdir "$temporary/srv" && mount -o loop "$image" "$temporary/srv" || exit
        set -- --bind="$temporary/srv:/srv" "$@"
    fi
    # It ends with this status where the machine boots anew, which is up to its caller.
    { status=133
      while [ $status = 133 ]; do
        systemd-nspawn --quiet --register=no --keep-unit --volatile=overlay --private-network --console=pipe \
            --machine="${temporary##*/}" --directory="$root" --bind-ro="$target" "$@" --boot
        status=$?
      done; } >"$temporary/console" 2>&1 </dev/null &
    echo "$temporary"
    read -r _' supervisor "$@"
for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
    [ -e "$hierarchy/cgroup.procs" ] && echo $$ >"$hierarchy/cgroup.procs"
done
find /sys/fs/cgroup -depth -type d -path "*/$name*" -exec rmdir {} + 2>/dev/null
rm -rf --one-file-system "$2"
"#;

/// A running machine.
pub struct Machine {
    supervisor: Child,
    orders: Option<ChildStdin>,
    directory: PathBuf,
    /// Its process 1, as this host numbers it.
    leader: u32,
}

impl Machine {
    /// Boots one, and returns when its systemd says that it runs.
    pub fn boot() -> Self {
        Self::boot_with(Path::new(""), &[])
    }

    /// The same with the image of a filesystem at its `/srv`, and these files of the host (left) in it (right).
    pub fn boot_with(image: &Path, files: &[(&Path, &str)]) -> Self {
        let root = root();
        let directory = tempfile::Builder::new()
            .prefix("ostler-lab-")
            .tempdir_in("/tmp")
            .expect("a temporary directory")
            .keep();
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
        let mut supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "lab"])
            .arg(root)
            .arg(&directory)
            .arg(target.expect("it is in the target directory"))
            .arg(image)
            .args(
                files
                    .iter()
                    .map(|(here, there)| format!("--bind-ro={}:{there}", here.display())),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // An interrupt at the terminal ends the suite only; the rest follows.
            .process_group(0)
            .spawn()
            .expect("sh");
        let mut said = String::new();
        BufReader::new(supervisor.stdout.take().expect("piped"))
            .read_line(&mut said)
            .expect("the supervisor speaks");
        let mut machine = Self {
            orders: supervisor.stdin.take(),
            supervisor,
            directory,
            leader: 0,
        };
        machine.await_boot();
        machine
    }

    /// One for all tests of a suite that do it no harm.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Machine> = OnceLock::new();
        SHARED.get_or_init(Self::boot)
    }

    /// A program inside, as root.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.leader.to_string(), "--all", "--", program])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null());
        command
    }

    /// Where this host sees a path of the machine.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.leader))
    }

    /// Runs a test of this suite inside, by its name; `prefix` is a program that runs the rest of its arguments.
    #[track_caller]
    pub fn run_test(&self, test: &str, prefix: &[&str]) {
        let program = own_program();
        let arguments = ["--exact", test, "--include-ignored", "--nocapture"];
        let all = [prefix, &[program.as_str()], &arguments].concat();
        let ran = self
            .command(all[0])
            .args(&all[1..])
            .env(INSIDE, "yes")
            .envs(std::env::vars().filter(|(name, _)| name.starts_with(TOLD)))
            .output()
            .expect("nsenter");
        let stdout = String::from_utf8_lossy(&ran.stdout);
        assert!(
            ran.status.success() && stdout.contains("test result: ok. 1 passed"),
            "inside the machine: {stdout}\n{}",
            String::from_utf8_lossy(&ran.stderr)
        );
        print!("{stdout}");
    }

    /// Its systemd hangs: SIGSTOP, which process 1 obeys only from outside.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// It goes on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.leader.to_string()])
            .status();
        assert!(sent.expect("kill").success());
    }

    /// Waits until it has gone down by itself and is up again; what was not on its `/srv` is gone.
    pub fn await_reboot(&mut self) {
        let (before, started) = (self.leader, Instant::now());
        while self.find_leader().is_none_or(|leader| leader == before) {
            assert!(started.elapsed() < BOOT, "the machine does not go down");
            std::thread::sleep(Duration::from_millis(50));
        }
        self.await_boot();
    }

    fn await_boot(&mut self) {
        let started = Instant::now();
        while !self.has_booted() {
            assert!(
                started.elapsed() < BOOT,
                "the machine does not boot (is this root?); its console:\n{}",
                fs::read_to_string(self.directory.join("console")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn has_booted(&mut self) -> bool {
        let Some(leader) = self.find_leader() else {
            return false;
        };
        self.leader = leader;
        let state = self
            .command("systemctl")
            .arg("is-system-running")
            .output()
            .expect("nsenter");
        // `degraded` where a unit failed: of no concern to the tests, which bring their own.
        matches!(
            String::from_utf8_lossy(&state.stdout).trim(),
            "running" | "degraded"
        )
    }

    /// systemd moves itself, alone, to `init.scope`; before that there is nobody to talk to.
    fn find_leader(&self) -> Option<u32> {
        let name = self.directory.file_name()?;
        ["systemd", "unified", ""]
            .into_iter()
            .find_map(|hierarchy| {
                let scope = Path::new("/sys/fs/cgroup")
                    .join(hierarchy)
                    .join(name)
                    .join("payload/init.scope/cgroup.procs");
                fs::read_to_string(scope).ok()?.lines().next()?.parse().ok()
            })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.supervisor.wait();
    }
}

/// Runs the body of a test inside the shared machine: here the machine is told to run this very test, there the body
/// is run. Its type names the test.
#[track_caller]
pub fn inside<F: AsyncFnOnce()>(body: F) {
    if is_inside() {
        return run(body);
    }
    // `suite::module::test::{{closure}}`
    let path = std::any::type_name::<F>();
    let test = path
        .split_once("::")
        .and_then(|(_, rest)| rest.strip_suffix("::{{closure}}"));
    Machine::shared().run_test(test.expect("the path of a closure"), &[]);
}

/// Runs the body of a test that somebody calls inside a machine by [`Machine::run_test`]; outside it is nothing.
pub fn only_inside<F: AsyncFnOnce()>(body: F) {
    if is_inside() {
        run(body);
    }
}

fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

fn run<F: AsyncFnOnce()>(body: F) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(body());
}

/// The suite's own program, as it is called inside.
pub fn own_program() -> String {
    let program = std::env::current_exe().expect("the suite's own program");
    program.to_str().expect("a path in UTF-8").to_owned()
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

/// The root file system, made where it is not there yet: a minute or two, once.
fn root() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map_or("/var/cache".into(), PathBuf::from);
        let cache = cache.join("ostler-lab");
        fs::create_dir_all(&cache).expect("the cache's directory");
        let root = cache.join(format!("{SUITE}-{VERSION}"));
        // Two suites may need it at once.
        let lock = fs::File::create(cache.join("lock")).expect("the cache's lock");
        lock.lock().expect("the cache's lock");
        if !root.exists() {
            let partial = cache.join(format!("{SUITE}-{VERSION}.partial"));
            // One that was killed has left its mounts.
            let discarded = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/discard"))
                .arg(&partial)
                .status();
            assert!(discarded.expect("tests/lab/discard").success());
            let made = Command::new("debootstrap")
                .args(["--variant=minbase", &format!("--include={PACKAGES}"), SUITE])
                .arg(&partial)
                .output()
                .expect("debootstrap");
            assert!(
                made.status.success(),
                "debootstrap: {}{}",
                String::from_utf8_lossy(&made.stdout),
                String::from_utf8_lossy(&made.stderr)
            );
            fs::rename(&partial, &root).expect("the finished root");
        }
        root
    })
    .clone()
}
