//! The device itself: which boot of it this is, and the next one.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::process::Command;
use tokio::time::timeout;

/// Another one at each boot of the kernel (`random(4)`).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What is known of process 1 (`proc_pid_stat(5)`).
const INIT: &str = "/proc/1/stat";

/// Of the fields of [`INIT`] behind the name, the one that says when it began.
const BEGAN: usize = 19;

/// Where systemd is process 1: the test that `sd_booted(3)` names.
const SYSTEMD: &str = "/run/systemd/system";

/// How long the system may take to say that it will.
const ANSWER: Duration = Duration::from_secs(30);

/// One boot of a device, as it can be told from another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The kernel's number of it.
    pub id: String,
    /// When process 1 began, in a clock that does not go back. A device that is a container keeps its host's kernel, and
    /// the number with it, when it boots.
    pub init: Option<String>,
}

impl Boot {
    /// Whether the device has booted between the two.
    pub fn is_another(&self, before: &Self) -> bool {
        let init = self.init.as_ref().zip(before.init.as_ref());
        self.id != before.id || init.is_some_and(|(now, before)| now != before)
    }
}

/// What an operation on the device asks of it.
#[async_trait]
pub trait Host: Send + Sync {
    /// Which boot this is.
    ///
    /// # Errors
    /// Where the system does not tell.
    async fn boot(&self) -> Result<Boot, String>;

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
    async fn boot(&self) -> Result<Boot, String> {
        let id = std::fs::read_to_string(BOOT_ID);
        let id = id.map_err(|error| format!("{BOOT_ID}: {error}"))?;
        Ok(Boot {
            id: id.trim().to_owned(),
            init: match has_systemd() {
                true => init_by_systemd().await,
                false => init_by_proc(),
            },
        })
    }

    async fn reboot(&self) -> Result<(), String> {
        let told = match has_systemd() {
            true => run("systemctl", &["--no-block", "reboot"]).await,
            false => run("reboot", &[]).await,
        };
        told.map(drop)
    }
}

fn has_systemd() -> bool {
    Path::new(SYSTEMD).exists()
}

/// What systemd says of itself: an agent in a sandbox sees no process but its own. It stays when systemd is updated.
async fn init_by_systemd() -> Option<String> {
    let asked = ["show", "--value", "--property=UserspaceTimestampMonotonic"];
    let said = run("systemctl", &asked).await;
    let said = said.inspect_err(|why| tracing::warn!("when the system has booted: {why}"));
    said.ok().filter(|began| !began.is_empty())
}

fn init_by_proc() -> Option<String> {
    let text = std::fs::read_to_string(INIT).ok()?;
    // The name may hold anything, parentheses too.
    let (_, fields) = text.rsplit_once(')')?;
    fields.split_whitespace().nth(BEGAN).map(str::to_owned)
}

/// Runs a program to its end, and gives what it wrote.
async fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let ran = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match timeout(ANSWER, ran).await {
        Err(_) => Err(format!(
            "`{program}` did not end within {} s",
            ANSWER.as_secs()
        )),
        Ok(Err(error)) => Err(format!("`{program}` cannot be run: {error}")),
        Ok(Ok(output)) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!(
                "`{program}` ended with {}: {}",
                output.status,
                said.trim()
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_is_told_from_another_by_the_kernel_s_number_or_by_process_1() {
        let boot = |id: &str, init: Option<&str>| Boot {
            id: id.to_owned(),
            init: init.map(str::to_owned),
        };
        let before = boot("a", Some("10"));
        assert!(!boot("a", Some("10")).is_another(&before));
        assert!(boot("b", Some("10")).is_another(&before));
        assert!(boot("a", Some("11")).is_another(&before));
        assert!(!boot("a", None).is_another(&before), "nobody can tell");
        assert!(!before.is_another(&boot("a", None)));
    }

    #[tokio::test]
    async fn this_host_has_booted_once() {
        let boot = ThisHost.boot().await.unwrap();
        assert_eq!(boot.id.len(), 36, "{boot:?}");
        assert!(init_by_proc().unwrap().parse::<u64>().is_ok());
        assert_eq!(ThisHost.boot().await.unwrap(), boot);
    }
}
