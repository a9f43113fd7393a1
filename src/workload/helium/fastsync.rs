//! Snapshots of the chain, as the miner's own program loads them.

use std::time::Duration;

use async_trait::async_trait;

use super::super::{ChainSnapshots, Inside};
use super::Helium;
use super::question::no_such_program;
use crate::web::Url;

/// A node answers these at once, or not at all while it is busy.
const DEADLINE: Duration = Duration::from_secs(30);

/// Reading a snapshot to its end takes a board minutes.
const READ: Duration = Duration::from_secs(600);

#[async_trait]
impl ChainSnapshots for Helium {
    fn source(&self) -> Option<&Url> {
        self.snapshot_url.as_ref()
    }

    fn directory(&self) -> &'static str {
        "snap"
    }

    fn file_name(&self, height: u64) -> String {
        format!("snap-{height}")
    }

    fn height_by_name(&self, name: &str) -> Option<u64> {
        name.strip_prefix("snap-")?.parse().ok()
    }

    async fn height_of(&self, inside: &dyn Inside, file: &str) -> Result<u64, String> {
        let text = ask(inside, &["miner", "snapshot", "info", file], READ).await?;
        height_line(&text).ok_or_else(|| shown(&text))
    }

    async fn pause(&self, inside: &dyn Inside) -> Result<(), String> {
        ok(inside, &["miner", "repair", "sync_pause"], DEADLINE).await?;
        ok(inside, &["miner", "repair", "sync_cancel"], DEADLINE).await
    }

    async fn load(
        &self,
        inside: &dyn Inside,
        file: &str,
        deadline: Duration,
    ) -> Result<(), String> {
        // Without this the program gives up after a minute, and the node goes on loading.
        let patience = format!("RELX_RPC_TIMEOUT={}", deadline.as_secs());
        let load = ["env", &patience, "miner", "snapshot", "load", file];
        ok(inside, &load, deadline).await
    }

    async fn resume(&self, inside: &dyn Inside) -> Result<(), String> {
        ok(inside, &["miner", "repair", "sync_resume"], DEADLINE).await?;
        let state = ask(inside, &["miner", "repair", "sync_state"], DEADLINE).await?;
        match state.trim() {
            "sync active" => Ok(()),
            _ => Err(shown(&state)),
        }
    }
}

async fn ask(inside: &dyn Inside, command: &[&str], deadline: Duration) -> Result<String, String> {
    match inside.ask(command, deadline).await {
        Ok(said) if no_such_program(&said.text) => {
            Err("this image has no chain, and so no snapshots of it".to_owned())
        }
        Ok(said) => Ok(said.text),
        Err(unanswered) => Err(unanswered.why),
    }
}

/// A command that has `ok` for an answer. Its exit status is 0 for an error too.
async fn ok(inside: &dyn Inside, command: &[&str], deadline: Duration) -> Result<(), String> {
    let text = ask(inside, command, deadline).await?;
    match text.trim() {
        "ok" => Ok(()),
        _ => Err(format!("`{}` says: {}", command.join(" "), shown(&text))),
    }
}

/// `Height 1187282`, among other lines.
fn height_line(text: &str) -> Option<u64> {
    let mut lines = text.lines();
    lines.find_map(|line| line.trim().strip_prefix("Height ")?.trim().parse().ok())
}

/// An answer that is not understood, bounded, on one line.
fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.join(" ") {
        empty if empty.is_empty() => "the miner gave no answer".to_owned(),
        text => text.chars().take(LONGEST).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_height_is_read_and_nothing_else_is_taken_for_one() {
        let info = "Height 1187282\nNumBlocks 100\nHash <<1,2>> (<<\"0102\">>)\n";
        assert_eq!(height_line(info), Some(1_187_282));
        let refused = "RPC to 'miner@127.0.0.1' failed: {'EXIT',{{badmatch,{error,bad_hash}}}}\n";
        assert_eq!(height_line(refused), None);
        assert_eq!(height_line("Height of it: 5"), None);
        assert_eq!(shown("a\n  b\n"), "a b");
        assert_eq!(shown("\n"), "the miner gave no answer");
    }

    #[test]
    fn a_snapshot_is_called_by_its_height() {
        let miner = Helium::new(super::super::Settings::default());
        let name = miner.file_name(1_187_282);
        assert_eq!(miner.height_by_name(&name), Some(1_187_282));
        for other in ["snap-1187282.gz", "snap-", "1187282", "snap-a"] {
            assert_eq!(miner.height_by_name(other), None, "{other}");
        }
    }
}
