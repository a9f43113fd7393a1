//! A network namespace with a device on its port 80, and beside it somebody who knows the chain's height.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::agent::Agent;
use crate::engine::Engine;

pub const MINER: &str = "ostler/testnode:latest";

/// What the clients have built in: the stock credentials.
pub const STOCK: &str = "bobcat:miner";

/// What can be asked with them.
pub const ACTIONS: [&str; 4] = ["reboot", "reset", "resync", "fastsync"];

/// What the stock device says while a snapshot is being loaded.
pub const LOADS: &str = "Miner is loading a snapshot, please keep your hotspot online.";

/// More than anything that is well needs, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// One engine with the simulated miner for all tests here.
pub fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let engine = Engine::start();
        engine.import_testnode(MINER);
        engine
    })
}

/// What a town shall be like.
pub struct Plan<'a> {
    /// What the simulated miner is told.
    pub environment: &'a [&'a str],
    /// What it is made from.
    pub image: &'a str,
    /// Whether its engine is its own, and can be done harm.
    pub own_engine: bool,
    /// More keys of the workload, and of its table `[workload.snapshot]`.
    pub workload: &'a str,
    pub snapshot: &'a str,
}

impl Default for Plan<'_> {
    fn default() -> Self {
        Self {
            environment: &[],
            image: MINER,
            own_engine: false,
            workload: "",
            snapshot: "",
        }
    }
}

/// A device in a network of its own.
pub struct Town {
    pub name: &'static str,
    namespace: Namespace,
    /// Somebody who knows the chain and has files, and the open ports of the device.
    servers: [Child; 2],
    pub agent: Agent,
    own: Option<Engine>,
}

/// A network namespace; it goes with this.
struct Namespace(String);

impl Namespace {
    fn new(name: &str) -> Self {
        let namespace = Self(format!("ostler-{name}-{}", std::process::id()));
        let own = |arguments: &[&str]| run("ip", &[&["-n", &namespace.0], arguments].concat());
        run("ip", &["netns", "add", &namespace.0]);
        own(&["link", "set", "lo", "up"]);
        own(&[
            "link", "add", "eth0", "type", "veth", "peer", "name", "eth1",
        ]);
        own(&["address", "add", "198.51.100.8/24", "dev", "eth0"]);
        own(&["link", "set", "eth0", "up"]);
        own(&["link", "set", "eth1", "up"]);
        namespace
    }

    /// Runs Python in it.
    fn python(&self, arguments: &[&str]) -> Child {
        Command::new("ip")
            .args(["netns", "exec", &self.0, "python3"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.0])
            .status();
    }
}

/// Before the agent: what it asks to reboot is written down and refused, and nothing that runs this machine can be reached.
/// The number of this boot is what a test says it is.
const CAGE: &str = "mount -t tmpfs none /run && mount --bind $0/boot_id /proc/sys/kernel/random/boot_id && PATH=$0:$PATH && \
                    export PATH && exec \"$@\"";

/// What stands in the place of `reboot` and of `systemctl`.
const NO_REBOOT: &str = "#!/bin/sh\necho reboot >>\"${0%/*}/asked\"\ntest -e \"${0%/*}/obeys\"\n";

/// Who takes connections to the ports of a miner and of a shell.
const PORTS: &str = "import socket,time\nkept = []\nfor port in 22, 44158:\n    kept.append(socket.create_server(('198.51.100.8', port)))\n\
                     time.sleep(86400)";

/// A directory with programs that come before all others.
fn no_reboot(directory: &Path) {
    std::fs::create_dir(directory).unwrap();
    for program in ["reboot", "systemctl"] {
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .mode(0o755)
            .open(directory.join(program))
            .unwrap();
        file.write_all(NO_REBOOT.as_bytes()).unwrap();
    }
}

impl Town {
    /// A miner that runs with this environment, and its device.
    pub fn start(name: &'static str, environment: &[&str]) -> Self {
        Self::found(
            name,
            &Plan {
                environment,
                ..Plan::default()
            },
        )
    }

    /// A town by a plan.
    pub fn found(name: &'static str, plan: &Plan<'_>) -> Self {
        let own = plan.own_engine.then(|| {
            let engine = Engine::start();
            engine.import_testnode(MINER);
            engine
        });
        let namespace = Namespace::new(name);
        let mut agent = Agent::new("");
        let chain = agent.path("chain");
        std::fs::create_dir(&chain).unwrap();
        let data = agent.path("data");
        std::fs::create_dir(&data).unwrap();
        let socket = own.as_ref().unwrap_or_else(|| engine()).socket();
        agent.configure(&config(name, &socket, &data, plan));
        let fakes = agent.path("fakes");
        no_reboot(&fakes);
        agent.through(&[
            "ip",
            "netns",
            "exec",
            &namespace.0,
            "setpriv",
            "--bounding-set=-sys_boot",
            "sh",
            "-c",
            CAGE,
            fakes.to_str().unwrap(),
        ]);
        let chain = chain.to_str().unwrap();
        let serve = [
            "-m",
            "http.server",
            "8000",
            "--bind",
            "127.0.0.1",
            "--directory",
            chain,
        ];
        let servers = [namespace.python(&serve), namespace.python(&["-c", PORTS])];
        let mut town = Self {
            name,
            namespace,
            servers,
            agent,
            own,
        };
        std::fs::File::create(town.agent.path("chain/4M"))
            .unwrap()
            .set_len(4 << 20)
            .unwrap();
        town.chain(1_187_280);
        town.number_boot();
        let volume = format!("{}:/var/data", data.display());
        let mut arguments = vec![
            "--network",
            "none",
            "--restart",
            "unless-stopped",
            "--volume",
            &volume,
        ];
        for variable in plan.environment {
            arguments.extend(["--env", variable]);
        }
        arguments.push(plan.image);
        town.engine().run_container(name, &arguments);
        town.agent.start();
        town
    }

    /// Another number for the next boot.
    fn number_boot(&self) {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap();
        self.agent.put("fakes/boot_id", &id);
    }

    /// From now on the system goes down where it is asked to, or so it says.
    pub fn obey_reboots(&self) {
        self.agent.put("fakes/obeys", "");
    }

    /// What the system does when it boots: the agent ends, and is started in another boot.
    pub fn boot(&mut self) {
        assert!(self.agent.terminate().success(), "{}", self.agent.log());
        self.number_boot();
        self.agent.start();
    }

    /// Has the miner load a snapshot of its chain by itself, and waits until it has.
    pub fn load(&self, height: u64) {
        let text = height.to_string();
        let file = format!("/var/data/snap/own-{height}");
        let inside = |words: &[&str]| {
            self.engine()
                .docker(&[&["exec", self.name], words].concat())
        };
        inside(&["testnode", "mint", "--height", &text, &file]);
        assert_eq!(inside(&["miner", "snapshot", "load", &file]), "ok");
        inside(&["rm", &file]);
    }

    /// Has somebody else's snapshot of the chain, of this height, where the device looks for one.
    pub fn publish_snapshot(&self, height: u64) {
        let text = height.to_string();
        let file = format!("/var/data/snap/minted-{height}");
        let mint = [
            "exec", self.name, "testnode", "mint", "--height", &text, &file,
        ];
        self.engine().docker(&mint);
        let minted = self.agent.path(&format!("data/snap/minted-{height}"));
        let served = self.agent.path(&format!("chain/snap-{height}"));
        std::fs::copy(&minted, served).unwrap();
        std::fs::remove_file(minted).unwrap();
        self.agent.put(
            "chain/latest-snap.json",
            &serde_json::json!({"height": height, "hash": "AAAA"}).to_string(),
        );
    }

    /// Who serves files says nothing from now on, or goes on.
    pub fn hush_server(&self, hushed: bool) {
        let signal = if hushed { "-STOP" } else { "-CONT" };
        run("kill", &[signal, &self.servers[0].id().to_string()]);
    }

    pub fn engine(&self) -> &Engine {
        self.own.as_ref().unwrap_or_else(|| engine())
    }

    /// Sets the height of the chain.
    pub fn chain(&self, height: u64) {
        let text = format!("{{\"data\":{{\"height\":{height}}}}}");
        let new = self.agent.path("chain/new");
        std::io::Write::write_all(&mut std::fs::File::create(&new).unwrap(), text.as_bytes())
            .unwrap();
        std::fs::rename(new, self.agent.path("chain/height")).unwrap();
    }

    /// Changes what the simulated miner does.
    pub fn set(&self, key: &str, value: &str) {
        self.engine()
            .docker(&["exec", self.name, "testnode", "set", key, value]);
    }

    /// Runs a program in this network.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespace.0, program])
            .stdin(Stdio::null());
        command
    }

    /// `curl` to the device: status, body and how long it took.
    pub fn curl(&self, path: &str, more: &[&str]) -> Reply {
        let begun = Instant::now();
        let output = self
            .command("curl")
            .args([
                "--silent",
                "--max-time",
                "600",
                "--write-out",
                "\n%{http_code}",
            ])
            .args(more)
            .arg(format!("http://127.0.0.1{path}"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap_or_default();
        Reply {
            status: status.parse().unwrap_or_default(),
            body: body.to_owned(),
            took: begun.elapsed(),
        }
    }

    pub fn get(&self, path: &str) -> Reply {
        self.curl(path, &[])
    }

    pub fn json(&self, path: &str) -> Value {
        let reply = self.get(path);
        serde_json::from_str(&reply.body)
            .unwrap_or_else(|error| panic!("{path}: {error}: {}", reply.body))
    }

    pub fn post(&self, action: &str) -> Reply {
        self.curl(
            &format!("/admin/{action}"),
            &["--request", "POST", "--user", STOCK],
        )
    }

    /// Waits until the status is this one, and gives its body.
    pub fn until_status(&self, status: &str) -> Value {
        self.until(status, |body| body["status"] == status)
    }

    /// Waits until the body of the status is so.
    pub fn until(&self, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let body = self.json("/status.json");
            if so(&body) {
                return body;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{what}: {body}\n{}",
                self.agent.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The operations that were accepted, newest first.
    pub fn operations(&self) -> Vec<Value> {
        let answer = self.agent.get("/v1/operations");
        answer["operations"].as_array().cloned().unwrap_or_default()
    }

    /// How often the system was asked to boot anew.
    pub fn reboots(&self) -> usize {
        let asked = std::fs::read_to_string(self.agent.path("fakes/asked"));
        asked.unwrap_or_default().lines().count()
    }

    /// How often the miner's process was started.
    pub fn starts(&self) -> usize {
        let starts = std::fs::read_to_string(self.agent.path("data/log/starts"));
        starts.unwrap_or_default().lines().count()
    }
}

pub struct Reply {
    pub status: u16,
    pub body: String,
    pub took: Duration,
}

impl Drop for Town {
    fn drop(&mut self) {
        self.engine().thaw();
        self.engine()
            .try_docker(&["rm", "--force", "--volumes", self.name]);
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn config(container: &str, socket: &Path, data: &Path, plan: &Plan<'_>) -> String {
    let Plan {
        workload, snapshot, ..
    } = plan;
    format!(
        "[device]\nid = \"attic\"\n[bobcat]\nlisten = \"0.0.0.0:80\"\nstock-credentials = true\n\
         frequency-plan = \"us915\"\nota-version = \"1.0.2.75\"\nspeed-download = \"http://127.0.0.1:8000/4M\"\n\
         speed-upload = \"http://127.0.0.1:8000/4M\"\n\
         [[workload]]\nname = \"miner\"\nkind = \"helium\"\nready-timeout = 60\nprobe-interval = 5\ndata-dir = {data:?}\n\
         identity-files = [\"miner/swarm_key\"]\n{workload}\n\
         runtime = {{ docker = {{ container = \"{container}\", socket = {socket:?} }} }}\n\
         [workload.helium]\nchain-height-url = \"http://127.0.0.1:8000/height\"\nchain-height-interval = 5\n\
         snapshot-url = \"http://127.0.0.1:8000/latest-snap.json\"\n\
         [workload.snapshot]\nreserve-mib = 1\nprogress-within = 60\n{snapshot}\n"
    )
}

#[track_caller]
fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
