//! A Helium miner: it is asked for its height by its own command-line program.
//!
//! There are two eras of images. The miner with a blockchain answers `miner info height`; the gateway that came
//! after it has neither that program nor heights.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Finding, Inside, Kind};
use crate::protocol::Health;

/// `<epoch>\t\t<height>`, and `\t\t<sync height>*` where blocks are loaded that are not absorbed yet.
const HEIGHT: [&str; 3] = ["miner", "info", "height"];

/// A node that loads a snapshot does not answer for minutes; one that works, within a second or two.
const DEADLINE: Duration = Duration::from_secs(10);

/// How much of an answer that is not understood is passed on, in bytes.
const TEXT: usize = 200;

/// A hotspot's miner.
#[derive(Clone, Copy, Debug, Default)]
pub struct Helium;

#[async_trait]
impl Kind for Helium {
    fn name(&self) -> &'static str {
        "helium"
    }

    fn has_chain(&self) -> bool {
        true
    }

    async fn probe(&self, inside: &dyn Inside) -> Finding {
        let asked = Instant::now();
        match inside.ask(&HEIGHT, DEADLINE).await {
            Ok(answer) => read(&answer),
            Err(error) if asked.elapsed() >= DEADLINE => found(
                Health::Degraded,
                Some(format!("context deadline exceeded: {error}")),
            ),
            Err(error) => found(Health::Degraded, Some(error)),
        }
    }
}

/// What an answer means.
fn read(answer: &str) -> Finding {
    if no_such_program(answer) {
        return found(
            Health::Healthy,
            Some("this image has no heights".to_owned()),
        );
    }
    let line = answer.lines().next().unwrap_or_default();
    let columns: Vec<&str> = line.split_whitespace().collect();
    let numbers: Option<Vec<u64>> = columns
        .iter()
        .map(|column| column.trim_end_matches('*').parse().ok())
        .collect();
    match numbers.as_deref() {
        Some([_epoch, height]) => Finding {
            height: Some(*height),
            ..found(Health::Healthy, None)
        },
        Some([_epoch, height, loaded]) => Finding {
            height: Some(*height),
            ..found(
                Health::Starting,
                Some(format!("blocks up to {loaded} are loaded, not absorbed")),
            )
        },
        _ => found(health_of(line), Some(shorten(answer))),
    }
}

/// What the engine says, in the program's place, of a program that the image does not have.
fn no_such_program(answer: &str) -> bool {
    answer.contains("OCI runtime exec failed")
        && (answer.contains("executable file not found")
            || answer.contains("no such file or directory"))
}

/// The container is up before the node in it is.
fn health_of(line: &str) -> Health {
    if line.ends_with("not responding to pings.") {
        Health::Starting
    } else {
        Health::Degraded
    }
}

fn shorten(answer: &str) -> String {
    let words: Vec<&str> = answer.split_whitespace().collect();
    let text = words.join(" ");
    match text.floor_char_boundary(TEXT) {
        0 => "the miner gave no answer".to_owned(),
        end if end == text.len() => text,
        end => format!("{}…", &text[..end]),
    }
}

fn found(health: Health, reason: Option<String>) -> Finding {
    Finding {
        health,
        reason,
        height: None,
        gap: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expect(answer: &str, health: Health, height: Option<u64>, reason: &str) {
        let finding = read(answer);
        assert_eq!((finding.health, finding.height), (health, height));
        assert_eq!(finding.reason.as_deref().unwrap_or_default(), reason);
    }

    #[test]
    fn a_height_is_the_second_column() {
        expect("31300\t\t1187280\n", Health::Healthy, Some(1_187_280), "");
        expect("1\t\t1\n", Health::Healthy, Some(1), "");
        expect(
            "31300\t\t1148539\t\t1151657*\n",
            Health::Starting,
            Some(1_148_539),
            "blocks up to 1151657 are loaded, not absorbed",
        );
    }

    #[test]
    fn a_miner_without_a_height_says_why() {
        expect(
            "Node 'miner@127.0.0.1' not responding to pings.\n",
            Health::Starting,
            None,
            "Node 'miner@127.0.0.1' not responding to pings.",
        );
        expect(
            "Error: Usage information not found for the given command\n\n\n",
            Health::Degraded,
            None,
            "Error: Usage information not found for the given command",
        );
        expect("", Health::Degraded, None, "the miner gave no answer");
        expect("31300", Health::Degraded, None, "31300");
        let crash = format!(
            "RPC to 'miner@127.0.0.1' failed: {{'EXIT',\n{}",
            "x".repeat(999)
        );
        let finding = read(&crash);
        assert_eq!(finding.health, Health::Degraded);
        let reason = finding.reason.unwrap();
        assert!(reason.starts_with("RPC to 'miner@127.0.0.1' failed: {'EXIT', xx"));
        assert!(reason.len() <= TEXT + "…".len());
    }

    #[test]
    fn a_gateway_has_no_heights() {
        expect(
            "OCI runtime exec failed: exec failed: unable to start container process: exec: \"miner\": \
             executable file not found in $PATH: unknown\r\n",
            Health::Healthy,
            None,
            "this image has no heights",
        );
    }

    /// Gives an error after a time.
    struct Slow(Duration);

    #[async_trait]
    impl Inside for Slow {
        async fn ask(&self, _: &[&str], _: Duration) -> Result<String, String> {
            tokio::time::sleep(self.0).await;
            Err("no answer".to_owned())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_passed_deadline_is_told_from_another_error() {
        let late = Helium.probe(&Slow(DEADLINE)).await;
        assert_eq!(late.health, Health::Degraded);
        assert_eq!(
            late.reason.as_deref(),
            Some("context deadline exceeded: no answer")
        );
        let early = Helium.probe(&Slow(Duration::ZERO)).await;
        assert_eq!(early.reason.as_deref(), Some("no answer"));
    }
}
