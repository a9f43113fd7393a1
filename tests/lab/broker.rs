//! A real broker (mosquitto) of its own, on a free port of loopback, in a directory of its own.

#![allow(dead_code, reason = "each suite uses its own part of this")]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(20);

/// How a broker is set up.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Whether it keeps retained messages and sessions across a restart.
    pub persistent: bool,
    /// The only user and the password; without it everybody is welcome.
    pub user: Option<(&'static str, &'static str)>,
    /// Whether it speaks TLS, and asks for a client certificate.
    pub tls: bool,
    /// Closes the connection of whoever sends a larger packet.
    pub max_packet_size: Option<usize>,
}

/// A broker that ends with this value.
pub struct Broker {
    /// Where it listens.
    pub port: u16,
    setup: Setup,
    directory: TempDir,
    process: Option<Child>,
}

impl Broker {
    /// Starts one for everybody, without persistence.
    pub fn start() -> Self {
        Self::start_with(Setup::default())
    }

    /// Starts one.
    pub fn start_with(setup: Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut broker = Self {
            port,
            setup,
            directory,
            process: None,
        };
        if broker.setup.tls {
            make_certificates(broker.directory.path());
        }
        broker.write_config();
        broker.resume_service();
        broker
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            process.wait().unwrap();
        }
    }

    /// Has it write what it keeps to its disk, as it does at an interval (SIGUSR1, mosquitto(8)), and waits until it has.
    pub fn save(&self) {
        // It writes another file and renames it: the file is whole when it is another one. Inodes are used again.
        let identity = || {
            let file = fs::metadata(self.path("mosquitto.db")).ok()?;
            Some((file.ino(), file.ctime(), file.ctime_nsec()))
        };
        let before = identity();
        self.signal(Signal::SIGUSR1);
        let begun = Instant::now();
        while identity() == before {
            assert!(
                begun.elapsed() < DEADLINE,
                "mosquitto does not save: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts it again on the same port, with what it has kept.
    pub fn resume_service(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        // It ends with the test, also where that is killed.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "mosquitto", "-c"])
            .arg(self.path("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("setpriv and mosquitto are installed");
        self.process = Some(process);
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "mosquitto ended: {}", self.log());
            assert!(begun.elapsed() < DEADLINE, "mosquitto does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lets it hang, or go on.
    pub fn signal(&self, signal: Signal) {
        let id = self.process.as_ref().unwrap().id();
        kill(Pid::from_raw(id.try_into().unwrap()), signal).unwrap();
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// How many lines of its log hold all of these.
    pub fn logged(&self, parts: &[&str]) -> usize {
        let holds = |line: &&str| parts.iter().all(|part| line.contains(part));
        self.log().lines().filter(holds).count()
    }

    /// Waits until so many lines of its log hold all of these.
    pub async fn has_logged(&self, times: usize, parts: &[&str]) {
        let begun = Instant::now();
        while self.logged(parts) != times {
            assert!(
                begun.elapsed() < DEADLINE,
                "not {times} of {parts:?}: {}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A file in its directory: `ca.pem`, `client.pem`, `client.key`, `other-ca.pem` …
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write_config(&self) {
        let path = |name| self.path(name).display().to_string();
        let mut config = format!(
            "user root\nlistener {} 127.0.0.1\nmax_queued_messages 0\nlog_type all\nlog_dest stderr\nconnection_messages true\n",
            self.port
        );
        let setup = &self.setup;
        writeln!(config, "allow_anonymous {}", setup.user.is_none()).unwrap();
        if let Some((user, password)) = setup.user {
            run(Command::new("mosquitto_passwd")
                .args(["-b", "-c"])
                .arg(self.path("passwords"))
                .args([user, password]));
            writeln!(config, "password_file {}", path("passwords")).unwrap();
        }
        if setup.persistent {
            // Written at each change: it is killed, not stopped.
            writeln!(
                config,
                "persistence true\npersistence_location {}/\nautosave_on_changes true\nautosave_interval 1",
                self.directory.path().display()
            )
            .unwrap();
        }
        if setup.tls {
            writeln!(
                config,
                "cafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true",
                path("ca.pem"),
                path("server.pem"),
                path("server.key")
            )
            .unwrap();
        }
        if let Some(bytes) = setup.max_packet_size {
            writeln!(config, "max_packet_size {bytes}").unwrap();
        }
        #[expect(clippy::disallowed_methods, reason = "a file of the lab")]
        fs::write(self.path("mosquitto.conf"), config).unwrap();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// An authority, what it vouches for, and another authority that vouches for nothing here.
fn make_certificates(directory: &Path) {
    let openssl = |arguments: &str| {
        run(Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(directory));
    };
    for (name, subject) in [("ca", "/CN=lab"), ("other-ca", "/CN=elsewhere")] {
        openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj {subject} -keyout {name}.key -out {name}.pem"
        ));
    }
    for (name, authority) in [
        ("server", "ca"),
        ("client", "ca"),
        ("foreign-client", "other-ca"),
    ] {
        openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -addext subjectAltName=DNS:localhost -keyout {name}.key -out {name}.csr"
        ));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days 2 -copy_extensions copy -out {name}.pem"
        ));
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("the program is installed");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
