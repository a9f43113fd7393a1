//! A registry of images on loopback: Debian's `docker-registry`. Engines take one there without TLS.

#![allow(dead_code, reason = "each suite uses its own part of this")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::engine::Engine;

/// A running registry; its images go with it.
pub struct Registry {
    directory: tempfile::TempDir,
    address: SocketAddr,
    process: Option<Child>,
}

impl Registry {
    pub fn start() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("ostler-registry-")
            .tempdir_in("/tmp")
            .unwrap();
        let mut registry = Self {
            directory,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            process: None,
        };
        // Somebody else may take the port in between: then it ends, and another one is tried.
        for _ in 0..5 {
            registry.address = TcpListener::bind("127.0.0.1:0")
                .and_then(|listener| listener.local_addr())
                .unwrap();
            if registry.try_start() {
                return registry;
            }
        }
        panic!("the registry does not stay up");
    }

    /// `127.0.0.1:PORT/NAME`.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Has an engine push an image that it has, under that name.
    pub fn push(&self, engine: &Engine, image: &str, name: &str) {
        let there = self.image(name);
        engine.docker(&["tag", image, &there]);
        engine.docker(&["push", &there]);
    }

    /// It is gone: nothing can be pulled.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// It is there again.
    pub fn revive(&mut self) {
        assert!(self.try_start(), "its port was taken meanwhile");
    }

    fn try_start(&mut self) -> bool {
        let config = self.directory.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {:?}}}}}\nhttp: {{addr: {:?}}}\n",
            self.directory.path().join("images"),
            self.address.to_string()
        );
        std::fs::File::create(&config)
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Debian's docker-registry");
        let process = self.process.insert(process);
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(self.address).is_err() {
            assert!(Instant::now() < deadline, "the registry does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        // Whoever answered: it, or somebody else, and then it is about to end.
        std::thread::sleep(Duration::from_millis(200));
        process.try_wait().unwrap().is_none()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
