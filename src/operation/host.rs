//! The device itself: which boot of it this is, and the next one.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::process::Command;
use tokio::time::timeout;

/// Another one at each boot (`random(4)`).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Where systemd is process 1: the test that `sd_booted(3)` names.
const SYSTEMD: &str = "/run/systemd/system";

/// How long the system may take to say that it will.
const ANSWER: Duration = Duration::from_secs(30);

/// What an operation on the device asks of it.
#[async_trait]
pub trait Host: Send + Sync {
    /// Which boot this is.
    ///
    /// # Errors
    /// Where the system does not tell.
    fn boot_id(&self) -> Result<String, String>;

    /// Has the system boot anew, in order: everything is stopped, this program too. Returns when it has been told.
    ///
    /// # Errors
    /// Where it refuses, or cannot be told.
    async fn reboot(&self) -> Result<(), String>;
}

/// The host that this program runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThisHost;

#[async_trait]
impl Host for ThisHost {
    fn boot_id(&self) -> Result<String, String> {
        let read = std::fs::read_to_string(BOOT_ID);
        read.map(|id| id.trim().to_owned())
            .map_err(|error| format!("{BOOT_ID}: {error}"))
    }

    async fn reboot(&self) -> Result<(), String> {
        let (program, arguments): (PathBuf, &[&str]) = match Path::new(SYSTEMD).exists() {
            true => ("systemctl".into(), &["--no-block", "reboot"]),
            false => ("reboot".into(), &[]),
        };
        let shown = program.display();
        let ran = Command::new(&program)
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        match timeout(ANSWER, ran).await {
            Err(_) => Err(format!(
                "`{shown}` did not end within {} s",
                ANSWER.as_secs()
            )),
            Ok(Err(error)) => Err(format!("`{shown}` cannot be run: {error}")),
            Ok(Ok(output)) if output.status.success() => Ok(()),
            Ok(Ok(output)) => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(format!(
                    "`{shown}` ended with {}: {}",
                    output.status,
                    said.trim()
                ))
            }
        }
    }
}
