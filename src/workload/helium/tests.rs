//! The probe on a miner in memory that answers, is late or fails, question by question.

use std::collections::HashMap;

use super::super::{Said, Unanswered};
use super::*;
use crate::protocol::Health;

/// Answers by the words of the question; what it does not know is late, at its deadline.
struct Miner(HashMap<String, Result<Said, Unanswered>>);

const BOOK: &str = "|name|listen_add|\n|a-b|    1     |\n\n|listen_addrs (prioritized) |\n|/ip4/203.0.113.57/tcp/44158|\n\n";
const KEYS: &str = "{pubkey,\"112qB3\"}.\n{animal_name,\"fancy-awesome-bobcat\"}.\n";

impl Miner {
    fn saying(words: &[(&str, &str)]) -> Self {
        let said = |text: &str| {
            Ok(Said {
                status: 0,
                text: text.to_owned(),
            })
        };
        Self(
            words
                .iter()
                .map(|(question, text)| ((*question).to_owned(), said(text)))
                .collect(),
        )
    }

    fn well() -> Self {
        Self::saying(&[
            ("miner info height", "31300\t\t1187280\n"),
            (
                "miner info p2p_status",
                "|name|result|\n|connected|yes|\n|dialable|yes|\n|nat_type|none|\n",
            ),
            ("miner peer book -s", BOOK),
            ("miner info region", "region_us915\n"),
            ("miner print_keys", KEYS),
        ])
    }

    fn without(mut self, question: &str) -> Self {
        self.0.remove(question);
        self
    }
}

#[async_trait]
impl Inside for Miner {
    async fn ask(&self, command: &[&str], deadline: Duration) -> Result<Said, Unanswered> {
        match self.0.get(&command.join(" ")) {
            Some(answer) => answer.clone(),
            None => {
                tokio::time::sleep(deadline).await;
                Err(Unanswered {
                    late: true,
                    why: "no answer".to_owned(),
                })
            }
        }
    }
}

fn helium() -> Helium {
    Helium::new(Settings::default())
}

#[tokio::test(start_paused = true)]
async fn a_miner_that_is_well_is_known_in_full() {
    let helium = helium();
    let seen = helium.observe();
    let finding = helium.probe(&Miner::well()).await;
    assert_eq!(
        (finding.health, finding.height),
        (Health::Healthy, Some(1_187_280))
    );
    let facts: Vec<_> = finding
        .details
        .iter()
        .map(|(what, fact)| format!("{what}={fact}"))
        .collect();
    assert_eq!(
        facts,
        [
            "animal=fancy-awesome-bobcat",
            "connected=yes",
            "dialable=yes",
            "epoch=31300",
            "nat_type=none",
            "public_key=112qB3",
            "region=us915",
            "relayed=no",
        ]
    );
    let seen = seen.borrow();
    assert_eq!(seen.state, Some(SyncState::Synced));
    assert_eq!(seen.peers.public_address(), "203.0.113.57".parse().ok());
    assert!(!seen.is_incomplete());
}

#[tokio::test(start_paused = true)]
async fn one_call_that_hangs_does_not_blank_the_rest() {
    for question in [
        "miner info p2p_status",
        "miner peer book -s",
        "miner info region",
        "miner print_keys",
    ] {
        let helium = helium();
        let begun = Instant::now();
        let finding = helium.probe(&Miner::well().without(question)).await;
        assert!(begun.elapsed() < Duration::from_secs(60), "{question}");
        assert_eq!(
            (finding.health, finding.height),
            (Health::Healthy, Some(1_187_280)),
            "{question}"
        );
        let seen = helium.observe().borrow().clone();
        let late = [&seen.p2p_status, &seen.peer_book, &seen.region].map(Answer::is_late);
        assert_eq!(
            late.iter().filter(|late| **late).count(),
            usize::from(question != "miner print_keys")
        );
        assert_eq!(seen.identity.is_complete(), question != "miner print_keys");
    }
    let helium = helium();
    let finding = helium
        .probe(&Miner::well().without("miner info height"))
        .await;
    assert_eq!((finding.health, finding.height), (Health::Degraded, None));
    let reason = finding.reason.unwrap();
    assert_eq!(reason, "context deadline exceeded: no answer");
    assert_eq!(
        helium.observe().borrow().last_region.as_deref(),
        Some("us915")
    );
}

#[tokio::test(start_paused = true)]
async fn a_miner_that_hangs_altogether_is_judged_within_a_minute_and_its_name_stays_known() {
    let helium = helium();
    helium.probe(&Miner::well()).await;
    let begun = Instant::now();
    let finding = helium.probe(&Miner::saying(&[])).await;
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(finding.standing.unwrap().state, SyncState::Silent);
    assert_eq!(finding.details["animal"], "fancy-awesome-bobcat");

    let log = (
        "tail -n 200 /var/data/log/console.log",
        "[info] loading snapshot into active ledger\n",
    );
    let finding = helium.probe(&Miner::saying(&[log])).await;
    assert_eq!(finding.standing.unwrap().state, SyncState::Loading);
}

#[tokio::test(start_paused = true)]
async fn details_are_asked_for_once_a_minute_and_when_the_state_changes() {
    let helium = helium();
    helium.probe(&Miner::well()).await;
    // Only the height is there to be asked: the rest would be late.
    let only_height = Miner::saying(&[("miner info height", "31300\t\t1187281\n")]);
    helium.probe(&only_height).await;
    assert!(!helium.observe().borrow().is_incomplete());
    tokio::time::advance(DETAILS_AGE).await;
    helium.probe(&only_height).await;
    assert!(helium.observe().borrow().is_incomplete());
}

#[tokio::test(start_paused = true)]
async fn a_gateway_has_a_name_and_a_region_and_no_heights() {
    let no_miner =
        "OCI runtime exec failed: exec: \"miner\": executable file not found in $PATH: unknown\r\n";
    let gateway = Miner::saying(&[
        ("miner info height", no_miner),
        (
            "helium_gateway key info",
            "{\"key\":\"112qB3\",\"name\":\"fancy-awesome-bobcat\"}",
        ),
        ("helium_gateway info region", "US915\n"),
    ]);
    let helium = helium();
    let finding = helium.probe(&gateway).await;
    assert_eq!(
        (finding.health, finding.height, finding.gap),
        (Health::Healthy, None, None)
    );
    assert_eq!(finding.details["animal"], "fancy-awesome-bobcat");
    assert_eq!(finding.details["region"], "us915");
    assert!(helium.conditions(&gateway).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_needs_a_height() {
    let helium = helium();
    assert!(helium.conditions(&Miner::well()).await.is_empty());
    let absorbing = Miner::saying(&[("miner info height", "31300\t\t1148539\t\t1151657*\n")]);
    let problems = helium.conditions(&absorbing).await;
    assert_eq!(
        problems,
        ["it is loading: blocks up to 1151657 are loaded, not absorbed"]
    );
    let problems = helium.conditions(&Miner::saying(&[])).await;
    assert_eq!(
        problems,
        ["its height is not known: context deadline exceeded: no answer"]
    );
    let log = (
        "tail -n 200 /var/data/log/console.log",
        "loading snapshot of height 7\n",
    );
    let problems = helium.conditions(&Miner::saying(&[log])).await;
    assert_eq!(
        problems,
        ["its height is not known: it loads a snapshot, and answers when that is done"]
    );
}
