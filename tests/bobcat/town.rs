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

/// A device in a network of its own.
pub struct Town {
    pub name: &'static str,
    namespace: Namespace,
    server: Child,
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
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.0])
            .status();
    }
}

/// Before the agent: what it asks to reboot is written down and refused, and nothing that runs this machine can be reached.
const CAGE: &str = "mount -t tmpfs none /run && PATH=$0:$PATH && export PATH && exec \"$@\"";

/// What stands in the place of `reboot` and of `systemctl`.
const NO_REBOOT: &str = "#!/bin/sh\necho reboot >>\"${0%/*}/asked\"\nexit 1\n";

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
        Self::found(name, environment, None)
    }

    /// The same with an engine of its own, that can be done harm.
    pub fn with_engine(name: &'static str, environment: &[&str]) -> Self {
        let engine = Engine::start();
        engine.import_testnode(MINER);
        Self::found(name, environment, Some(engine))
    }

    fn found(name: &'static str, environment: &[&str], own: Option<Engine>) -> Self {
        let namespace = Namespace::new(name);
        let mut agent = Agent::new("");
        let chain = agent.path("chain");
        std::fs::create_dir(&chain).unwrap();
        let data = agent.path("data");
        std::fs::create_dir(&data).unwrap();
        agent.configure(&config(
            name,
            &own.as_ref().unwrap_or_else(|| engine()).socket(),
            &data,
        ));
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
        let server = Command::new("ip")
            .args([
                "netns",
                "exec",
                &namespace.0,
                "python3",
                "-m",
                "http.server",
                "8000",
                "--bind",
                "127.0.0.1",
            ])
            .arg("--directory")
            .arg(&chain)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut town = Self {
            name,
            namespace,
            server,
            agent,
            own,
        };
        std::fs::File::create(town.agent.path("chain/4M"))
            .unwrap()
            .set_len(4 << 20)
            .unwrap();
        town.chain(1_187_280);
        let volume = format!("{}:/var/data", data.display());
        let mut arguments = vec![
            "--network",
            "none",
            "--restart",
            "unless-stopped",
            "--volume",
            &volume,
        ];
        for variable in environment {
            arguments.extend(["--env", variable]);
        }
        arguments.push(MINER);
        town.engine().run_container(name, &arguments);
        town.agent.start();
        town
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
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn config(container: &str, socket: &Path, data: &Path) -> String {
    format!(
        "[device]\nid = \"attic\"\n[bobcat]\nlisten = \"0.0.0.0:80\"\nstock-credentials = true\n\
         ota-version = \"1.0.2.75\"\nspeed-download = \"http://127.0.0.1:8000/4M\"\n\
         speed-upload = \"http://127.0.0.1:8000/4M\"\n\
         [[workload]]\nname = \"miner\"\nkind = \"helium\"\nready-timeout = 60\nprobe-interval = 5\ndata-dir = {data:?}\n\
         identity-files = [\"miner/swarm_key\"]\n\
         runtime = {{ docker = {{ container = \"{container}\", socket = {socket:?} }} }}\n\
         [workload.helium]\nchain-height-url = \"http://127.0.0.1:8000/height\"\nchain-height-interval = 5\n\
         [workload.snapshot]\nreserve-mib = 1\nprogress-within = 60\n"
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
