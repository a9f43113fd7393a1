//! In which state a running miner is, of what it answered: one rule after the other.

use super::chain::ChainHeight;
use super::height::{Heights, Reading, read};
use super::question::Answer;
use crate::protocol::{Health, SyncState};

/// Fewer blocks than this behind its chain, a miner is synced.
pub(super) const SYNCED: i64 = 10;

/// How much of an answer that is not understood is passed on, in bytes.
const TEXT: usize = 200;

/// What follows from an answer to the question for the height.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judgement {
    pub state: SyncState,
    pub heights: Option<Heights>,
    pub gap: Option<i64>,
    pub health: Health,
    pub reason: Option<String>,
}

impl Judgement {
    fn new(state: SyncState, health: Health, reason: impl Into<Option<String>>) -> Self {
        Self {
            state,
            heights: None,
            gap: None,
            health,
            reason: reason.into(),
        }
    }

    /// Judges the answer; `loads` says whether the miner's log speaks of a snapshot that is being loaded.
    pub fn of(height: &Answer, chain: &ChainHeight, loads: bool) -> Self {
        match height {
            Answer::Late(_) if loads => Self::new(
                SyncState::Loading,
                Health::Degraded,
                "it loads a snapshot, and answers when that is done".to_owned(),
            ),
            Answer::Late(why) => Self::new(
                SyncState::Silent,
                Health::Degraded,
                format!("context deadline exceeded: {why}"),
            ),
            Answer::Failed(why) => Self::new(SyncState::Down, Health::Degraded, why.clone()),
            Answer::Unasked => Self::new(SyncState::Down, Health::Unknown, None),
            Answer::Said(said) => match read(&said.text) {
                Reading::Heights(heights) => Self::of_heights(heights, chain),
                Reading::Gateway => Self::new(
                    SyncState::Synced,
                    Health::Healthy,
                    "this image has no heights".to_owned(),
                ),
                // The container is up before the node in it is.
                Reading::Words if said.status != 0 => {
                    Self::new(SyncState::Down, health_of(&said.text), shorten(&said.text))
                }
                Reading::Words => Self::new(
                    SyncState::Unclear,
                    health_of(&said.text),
                    shorten(&said.text),
                ),
            },
        }
    }

    fn of_heights(heights: Heights, chain: &ChainHeight) -> Self {
        let known = match chain {
            ChainHeight::Known(height) => Some(*height),
            // By its own word it has blocks that it has not absorbed.
            ChainHeight::NoSource | ChainHeight::Unavailable(_) => {
                heights.loaded.filter(|_| heights.absorbs())
            }
        };
        let gap = known.map(|known| known as i64 - heights.height as i64);
        let judged = match (gap, chain) {
            (Some(gap), _) if gap < SYNCED => Self::new(SyncState::Synced, Health::Healthy, None),
            (Some(gap), _) => Self::new(
                SyncState::Syncing,
                Health::Starting,
                format!("{gap} blocks behind"),
            ),
            (None, ChainHeight::Unavailable(why)) => Self::new(
                SyncState::NoChainHeight,
                Health::Healthy,
                format!("the height of its chain cannot be had: {why}"),
            ),
            (None, _) => Self::new(SyncState::Synced, Health::Healthy, None),
        };
        let judged = match heights.loaded.filter(|_| heights.absorbs()) {
            Some(loaded) => Self {
                health: Health::Starting,
                reason: Some(format!("blocks up to {loaded} are loaded, not absorbed")),
                ..judged
            },
            None => judged,
        };
        Self {
            heights: Some(heights),
            gap,
            ..judged
        }
    }
}

/// Whether the end of the miner's log speaks of a snapshot that is being loaded.
///
/// What it says while it does is in helium/blockchain-core, `blockchain_ledger_snapshot_v1.erl`: `loading snapshot into … ledger`.
pub(super) fn loads_snapshot(log: &str) -> bool {
    let speaks = |line: &&str| {
        ["loading snapshot", "snapshot loaded", "added block"]
            .iter()
            .any(|words| line.contains(words))
    };
    log.lines()
        .rev()
        .find(speaks)
        .is_some_and(|line| line.contains("loading snapshot"))
}

/// A node that does not respond yet is starting; one that says something else is not well.
fn health_of(text: &str) -> Health {
    match text.lines().next() {
        Some(line) if line.trim_end().ends_with("not responding to pings.") => Health::Starting,
        _ => Health::Degraded,
    }
}

fn shorten(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    match text.floor_char_boundary(TEXT) {
        0 => "the miner gave no answer".to_owned(),
        end if end == text.len() => text,
        end => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Said;
    use super::*;

    fn said(text: &str, status: i64) -> Answer {
        Answer::Said(Said {
            status,
            text: text.to_owned(),
        })
    }

    #[track_caller]
    fn expect(
        answer: Answer,
        chain: ChainHeight,
        loads: bool,
        state: SyncState,
        gap: Option<i64>,
        health: Health,
    ) {
        let judged = Judgement::of(&answer, &chain, loads);
        assert_eq!(
            (judged.state, judged.gap, judged.health),
            (state, gap, health),
            "{judged:?}"
        );
    }

    #[test]
    fn numbers_are_synced_or_syncing_by_the_chain() {
        use ChainHeight::{Known, NoSource, Unavailable};
        let height = || said("31300\t\t1187280\n", 0);
        expect(
            height(),
            Known(1_187_280),
            false,
            SyncState::Synced,
            Some(0),
            Health::Healthy,
        );
        expect(
            height(),
            Known(1_187_279),
            false,
            SyncState::Synced,
            Some(-1),
            Health::Healthy,
        );
        expect(
            height(),
            Known(1_187_289),
            false,
            SyncState::Synced,
            Some(9),
            Health::Healthy,
        );
        expect(
            height(),
            Known(1_187_290),
            false,
            SyncState::Syncing,
            Some(10),
            Health::Starting,
        );
        expect(
            height(),
            NoSource,
            false,
            SyncState::Synced,
            None,
            Health::Healthy,
        );
        expect(
            height(),
            Unavailable("down".to_owned()),
            false,
            SyncState::NoChainHeight,
            None,
            Health::Healthy,
        );
        let loaded = || said("31300\t\t1148539\t\t1151657*\n", 0);
        expect(
            loaded(),
            NoSource,
            false,
            SyncState::Syncing,
            Some(3118),
            Health::Starting,
        );
        expect(
            loaded(),
            Known(1_148_540),
            false,
            SyncState::Synced,
            Some(1),
            Health::Starting,
        );
    }

    #[test]
    fn words_are_told_by_their_exit_status() {
        use ChainHeight::Known;
        let ping = "Node 'miner@127.0.0.1' not responding to pings.\n";
        expect(
            said(ping, 1),
            Known(7),
            false,
            SyncState::Down,
            None,
            Health::Starting,
        );
        let crash = "RPC to 'miner@127.0.0.1' failed: {'EXIT',\n  {badarg,";
        expect(
            said(crash, 1),
            Known(7),
            false,
            SyncState::Down,
            None,
            Health::Degraded,
        );
        let usage = "Error: Usage information not found for the given command\n\n\n";
        expect(
            said(usage, 0),
            Known(7),
            false,
            SyncState::Unclear,
            None,
            Health::Degraded,
        );
        expect(
            said("", 0),
            Known(7),
            false,
            SyncState::Unclear,
            None,
            Health::Degraded,
        );
        let gateway =
            "OCI runtime exec failed: exec: \"miner\": executable file not found in $PATH";
        expect(
            said(gateway, 126),
            Known(7),
            false,
            SyncState::Synced,
            None,
            Health::Healthy,
        );
    }

    #[test]
    fn silence_is_a_load_where_the_log_says_so() {
        let late = || Answer::Late("x".to_owned());
        let chain = || ChainHeight::NoSource;
        expect(
            late(),
            chain(),
            true,
            SyncState::Loading,
            None,
            Health::Degraded,
        );
        expect(
            late(),
            chain(),
            false,
            SyncState::Silent,
            None,
            Health::Degraded,
        );
        expect(
            Answer::Failed("x".to_owned()),
            chain(),
            true,
            SyncState::Down,
            None,
            Health::Degraded,
        );
    }

    #[test]
    fn a_log_is_read_from_its_end() {
        for (log, loads) in [
            ("", false),
            (
                "[info] started\n[info] loading snapshot into active ledger\n[info] x\n",
                true,
            ),
            (
                "loading snapshot of height 7\nsnapshot loaded, height 7\n",
                false,
            ),
            ("loading snapshot of height 7\nadded block 8\n", false),
            ("added block 8\nloading snapshot of height 7\n", true),
        ] {
            assert_eq!(loads_snapshot(log), loads, "{log:?}");
        }
    }

    #[test]
    fn a_long_answer_is_shortened() {
        let crash = format!(
            "RPC to 'miner@127.0.0.1' failed: {{'EXIT',\n{}",
            "x".repeat(999)
        );
        let reason = Judgement::of(&said(&crash, 1), &ChainHeight::NoSource, false)
            .reason
            .unwrap();
        assert!(reason.starts_with("RPC to 'miner@127.0.0.1' failed: {'EXIT', xx"));
        assert!(reason.len() <= TEXT + "…".len());
    }
}
