//! Snapshots through the agent: taken, listed, verified, restored, pruned; on a real database.

use std::path::Path;

use serde_json::json;

use crate::chain::Engine;
use crate::inn::{Agent, RATE};
use crate::{ask, run};

/// A LevelDB chain, with tables.
fn chain(data: &Path) {
    Engine::LevelDb.fill(data, 50, &[]);
    Engine::LevelDb.compact(data, &[]);
}

/// A table in the data of a snapshot.
fn table_of(agent: &Agent, snapshot: &str) -> std::path::PathBuf {
    let store = ostler::data::Store::beside(&agent.data()).unwrap();
    let data = store.join(snapshot).join("data");
    let entries = std::fs::read_dir(data).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    paths
        .find(|path| path.extension().is_some_and(|ending| ending == "ldb"))
        .unwrap()
}

#[tokio::test]
async fn a_snapshot_is_taken_with_the_parts_of_its_downtime_and_is_listed() {
    let agent = Agent::start_with_data(chain).await;
    let none = ask(&agent, &["snapshots", "miner"]).await;
    assert_eq!(
        (none.status, none.stdout.as_str()),
        (
            0,
            "miner has no snapshot yet; take one (ostler snapshot miner)\n"
        )
    );
    let plan = ask(&agent, &["snapshot", "miner", "--name", "a", "--dry-run"]).await;
    assert!(
        plan.stdout.ends_with("\nit would be taken by copy, as a\n"),
        "{plan:?}"
    );

    let taken = ask(&agent, &["snapshot", "miner", "--name", "first"]).await;
    assert_eq!(taken.status, 0, "{taken:?}");
    let lines: Vec<_> = taken.stdout.lines().collect();
    assert!(
        lines[0].starts_with("snapshot miner: done in "),
        "{taken:?}"
    );
    assert!(
        lines[1].starts_with("first: ") && lines[1].contains(" by copy, height "),
        "{taken:?}"
    );
    let away = [
        "away for ",
        ": stop ",
        ", cut ",
        ", start ",
        "; first new block after ",
    ];
    assert!(away.iter().all(|part| lines[2].contains(part)), "{taken:?}");
    assert!(agent.animal.running());

    let by_link = ask(
        &agent,
        &["snapshot", "miner", "--way", "link", "--name", "b"],
    )
    .await;
    assert_eq!(by_link.status, 0, "{by_link:?}");
    let auto = &["snapshot", "miner", "--way", "auto", "--json", "--dry-run"];
    let way = ask(&agent, auto).await.json()["output"]["way"].take();
    assert!(way == "link" || way == "reflink", "{way}");

    let listed = ask(&agent, &["snapshots", "miner"]).await;
    assert_eq!(listed.status, 0, "{listed:?}");
    let rows: Vec<_> = listed.stdout.lines().collect();
    assert!(rows[0].starts_with("NAME   TAKEN "), "{listed:?}");
    assert!(rows[1].starts_with("b "), "{listed:?}");
    assert!(
        rows[2].starts_with("first ") && rows[2].ends_with("  good"),
        "{listed:?}"
    );
    let all = ask(&agent, &["snapshots", "miner", "--json"]).await.json();
    assert_eq!(all["workload"], "miner");
    assert_eq!(all["snapshots"][1]["name"], "first");
    assert_eq!(all["snapshots"][1]["verified"], "L3");
}

/// `script` of util-linux gives the program a terminal.
#[tokio::test]
async fn on_a_terminal_the_amount_the_rate_and_the_time_left_are_seen() {
    let size = usize::try_from(3 * RATE).unwrap();
    let agent = Agent::start_with_data(|data| {
        ostler::durable::write(&data.join("large"), &vec![7; size], 0o600).unwrap();
    })
    .await;
    let program = env!("CARGO_BIN_EXE_ostler");
    let socket = agent.socket.display();
    let mut command = tokio::process::Command::new("script");
    command.args(["--quiet", "--return", "--command"]);
    command.arg(format!("{program} snapshot miner --socket {socket}"));
    command.arg("/dev/null").kill_on_drop(true);
    let seen = run(command).await;
    assert_eq!(seen.status, 0, "{seen:?}");
    let line = seen
        .stdout
        .split('\r')
        .find(|line| line.contains("snapshot miner: seal ") && line.contains(" of 3.0 MB ("))
        .unwrap_or_else(|| panic!("{seen:?}"));
    assert!(
        line.contains("B/s, ") && line.contains(" s left ("),
        "{line}"
    );
    assert!(seen.stdout.contains("away for "), "{seen:?}");
}

#[tokio::test]
async fn a_damaged_snapshot_fails_its_verification_and_is_listed_as_bad() {
    let agent = Agent::start_with_data(chain).await;
    ask(&agent, &["snapshot", "miner", "--name", "first"]).await;
    let good = ask(&agent, &["verify", "miner", "first"]).await;
    assert_eq!(good.status, 0, "{good:?}");
    assert!(good.stdout.contains("\nfirst: good (L3: "), "{good:?}");
    std::fs::remove_file(table_of(&agent, "first")).unwrap();

    let plan = ask(&agent, &["verify", "miner", "first", "--dry-run"]).await;
    assert!(
        plan.stdout.ends_with("first would be read again (L3)\n"),
        "{plan:?}"
    );
    let listed = ask(&agent, &["snapshots", "miner", "--json"]).await.json();
    assert!(listed["snapshots"][0]["bad"].is_null(), "{listed}");

    let bad = ask(&agent, &["verify", "miner", "first", "--level", "l1"]).await;
    assert_eq!(bad.status, 1, "{bad:?}");
    assert!(bad.stdout.contains("first: BAD (L1: "), "{bad:?}");
    assert!(bad.stderr.contains("is marked bad"), "{bad:?}");
    let listed = ask(&agent, &["snapshots", "miner"]).await;
    assert!(listed.stdout.contains("  bad: "), "{listed:?}");
    let restored = ask(&agent, &["restore", "miner"]).await;
    assert_eq!(restored.status, 1, "{restored:?}");
    assert!(restored.stderr.contains("no good snapshot"), "{restored:?}");
    assert_eq!(agent.animal.runs(), 2);
}

#[tokio::test]
async fn a_restore_brings_back_the_blocks_of_the_snapshot() {
    let agent = Agent::start_with_data(chain).await;
    let before = Engine::LevelDb.verify(&agent.data()).unwrap();
    ask(&agent, &["snapshot", "miner", "--name", "first"]).await;
    Engine::LevelDb.fill(&agent.data(), 10, &[]);
    assert_ne!(Engine::LevelDb.verify(&agent.data()).unwrap(), before);
    let restored = ask(&agent, &["restore", "miner", "first"]).await;
    assert_eq!(restored.status, 0, "{restored:?}");
    assert!(restored.stdout.contains("\nfirst: "), "{restored:?}");
    assert_eq!(Engine::LevelDb.verify(&agent.data()).unwrap(), before);
    assert!(agent.animal.running());
}

#[tokio::test]
async fn what_is_not_there_is_said_with_where_to_look() {
    let agent = Agent::start_with_data(chain).await;
    for asked in [
        &["verify", "miner", "nothing", "--json"][..],
        &["restore", "miner", "nothing", "--json"],
        &["restore", "miner", "nothing.partial", "--json"],
    ] {
        let ended = ask(&agent, asked).await;
        let failure = &ended.json()["failure"];
        assert_eq!(
            (ended.status, &failure["reason"]),
            (1, &json!("not-possible"))
        );
        let words = format!(
            "there is no snapshot {} of miner; `ostler snapshots miner` lists them",
            asked[2]
        );
        assert_eq!(failure["message"], words);
    }
    assert_eq!(agent.animal.runs(), 1);
}

#[tokio::test]
async fn a_node_that_does_not_come_back_after_a_snapshot_ends_with_eight() {
    let agent = Agent::start_with_data(chain).await;
    agent.animal.refuse_starts();
    let ended = ask(&agent, &["snapshot", "miner"]).await;
    assert_eq!(ended.status, 8, "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("miner ran before and is not back in service"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_node_that_runs_again_after_a_failed_snapshot_ends_with_one() {
    let agent = Agent::start_with_data(chain).await;
    agent.animal.kill_at_stop();
    let ended = ask(&agent, &["snapshot", "miner", "--json"]).await;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert_eq!(ended.json()["failure"]["reason"], "unclean-stop");
    assert!(agent.animal.running());
}

#[tokio::test]
async fn pruning_says_what_goes_and_why() {
    let agent = Agent::start_with_data(chain).await;
    // The rules keep two, and each snapshot prunes behind itself.
    for name in ["first", "second"] {
        ask(&agent, &["snapshot", "miner", "--name", name]).await;
    }
    let nothing = ask(&agent, &["prune", "miner"]).await;
    assert!(
        nothing.stdout.ends_with("nothing had to be changed\n"),
        "{nothing:?}"
    );
    let store = ostler::data::Store::beside(&agent.data()).unwrap();
    ostler::durable::write(&store.join("first/bad"), b"a test says so\n", 0o600).unwrap();
    let plan = ask(&agent, &["prune", "miner", "--dry-run"]).await;
    assert!(
        plan.stdout.ends_with("\nwould remove first (bad)\n"),
        "{plan:?}"
    );
    assert!(store.join("first").exists());
    let pruned = ask(&agent, &["prune", "miner"]).await;
    assert!(
        pruned.stdout.ends_with("\nremoved first (bad)\n"),
        "{pruned:?}"
    );
    assert!(!store.join("first").exists());
}

#[tokio::test]
async fn a_workload_without_data_says_what_to_configure() {
    let agent = Agent::start().await;
    let listed = ask(&agent, &["snapshots", "miner"]).await;
    assert_eq!(listed.status, 2, "{listed:?}");
    assert!(listed.stderr.contains("set `data-dir`"), "{listed:?}");
}
