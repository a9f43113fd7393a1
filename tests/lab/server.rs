//! A server of one file over real TLS: `server.py` says how it serves it.

#![allow(dead_code, reason = "each suite uses its own part of this")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::broker::{Broker, Setup};

/// It is known as `localhost`, by an authority of its own.
pub struct Server {
    child: Child,
    port: u16,
    /// Only good for its certificates.
    certificates: Broker,
}

impl Server {
    pub fn start(file: &Path) -> Self {
        let certificates = Broker::start_with(Setup {
            tls: true,
            ..Setup::default()
        });
        let mut child = Command::new("python3")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/server.py"))
            .arg(file)
            .args([
                certificates.path("server.pem"),
                certificates.path("server.key"),
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let said = child.stdout.take().unwrap();
        BufReader::new(said).read_line(&mut line).unwrap();
        Self {
            child,
            port: line.trim().parse().unwrap(),
            certificates,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Of the authority that vouches for it.
    pub fn ca_file(&self) -> PathBuf {
        self.certificates.path("ca.pem")
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}/{path}", self.port)
    }

    /// Ends it, and gives what it has served: each path, and from which byte.
    pub fn served(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        let said = BufReader::new(self.child.stderr.take().unwrap());
        let lines = said.lines().map_while(Result::ok);
        let served = lines.filter(|line| line.starts_with("served")).collect();
        self.child.wait().unwrap();
        served
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
