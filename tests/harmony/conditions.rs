//! What speaks against a snapshot.

use ostler::clock::ClockSync;
use ostler::workload::Kind;
use ostler::workload::harmony::{Conditions, Harmony, Network, Role};
use serde_json::{Value, json};

use super::node::{Answer, Node, header, metadata_of_today, now, structure};
use super::{Nowhere, clock, expected, harmony};

async fn problems(node: &Node) -> Vec<String> {
    harmony(node).conditions(&Nowhere).await
}

#[tokio::test]
async fn a_node_as_expected_has_no_problems() {
    for node in [Node::of_today().await, Node::of_2020().await] {
        assert_eq!(problems(&node).await, [""; 0]);
    }
}

#[tokio::test]
async fn what_is_not_expected_can_be_anything() {
    let node = Node::of_today().await;
    let anything = Conditions {
        role: None,
        network: None,
        shard: None,
        is_archival: None,
        ..expected()
    };
    let harmony = Harmony::new(node.address, anything, clock());
    assert_eq!(harmony.problems().await, [""; 0]);
}

#[tokio::test]
async fn all_that_is_wrong_is_told_together() {
    let node = Node::of_today().await;
    node.answer("hmyv2_latestHeader", Answer::Result(header(1, now() - 200)));
    node.answer("hmyv2_inSync", Answer::Result(json!(false)));
    let mut metadata = metadata_of_today();
    metadata["is-leader"] = json!(true);
    metadata["shard-id"] = json!(9);
    node.answer("hmyv2_getNodeMetadata", Answer::Result(metadata));
    let other = Conditions {
        role: Some(Role::ExplorerNode),
        network: Some(Network::Testnet),
        is_archival: Some(true),
        ..expected()
    };
    let problems = Harmony::new(node.address, other, clock()).problems().await;
    let told = [
        "its role is Validator, not ExplorerNode",
        "its network is mainnet, not testnet",
        "its shard is 9, not 0",
        "it leads its shard just now, and would halt it",
        "it is not an archival node",
        "its last block is 20", // seconds that pass during the test
        "it is not in sync: wait until it has caught up",
        "its network knows no shard 9, of which it says to be",
    ];
    assert_eq!(problems.len(), told.len(), "{problems:#?}");
    for (problem, told) in problems.iter().zip(told) {
        assert!(problem.starts_with(told), "{problem}");
    }
}

#[tokio::test]
async fn a_leader_that_is_expected_must_lead() {
    let node = Node::of_today().await;
    let leader = Conditions {
        is_leader: true,
        ..expected()
    };
    let problems = Harmony::new(node.address, leader, clock()).problems().await;
    assert_eq!(problems, ["it does not lead its shard"]);
}

#[tokio::test]
async fn an_old_head_is_old_by_its_days_too_and_a_small_lead_is_none() {
    for (age, told) in [
        (86_400 + 20, Some("its last block is 864")),
        (-5, None),
        (-3600, Some("its last block is 3")),
    ] {
        for node in [Node::of_today().await, Node::of_2020().await] {
            let head = Answer::Result(header(1, now() - age));
            node.answer("hmyv2_latestHeader", head.clone());
            node.answer("hmy_latestHeader", head);
            let problems = problems(&node).await;
            assert_eq!(
                problems.len(),
                usize::from(told.is_some()),
                "{age}: {problems:?}"
            );
            assert!(
                problems
                    .iter()
                    .all(|problem| problem.starts_with(told.unwrap())),
                "{problems:?}"
            );
        }
    }
}

#[tokio::test]
async fn without_a_clock_there_is_no_snapshot() {
    let node = Node::of_today().await;
    let problems = Harmony::new(node.address, expected(), ClockSync::default())
        .problems()
        .await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].contains("clock is not synchronised"),
        "{problems:?}"
    );
}

#[tokio::test]
async fn a_dns_node_is_not_taken_offline() {
    let node = Node::of_today().await;
    node.answer(
        "hmyv2_getShardingStructure",
        Answer::Result(structure("https://api.localhost")),
    );
    assert_eq!(problems(&node).await, [""; 0]);

    let here = Conditions {
        public_address: "127.0.0.1".parse().ok(),
        ..expected()
    };
    let problems = Harmony::new(node.address, here, clock()).problems().await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("it is a DNS node"), "{problems:?}");
}

#[tokio::test]
async fn a_question_that_fails_is_a_problem_beside_the_others() {
    let node = Node::of_today().await;
    node.answer("hmyv2_getNodeMetadata", Answer::Error(-32000, "not now"));
    node.answer("hmyv2_latestHeader", Answer::Result(header(1, now() - 500)));
    node.answer(
        "hmyv2_getShardingStructure",
        Answer::Result(Value::from("none")),
    );
    let problems = problems(&node).await;
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(
        problems[0].contains("not now") && problems[1].contains("last block"),
        "{problems:?}"
    );
    assert!(problems[2].contains("getShardingStructure"), "{problems:?}");
}

#[tokio::test]
async fn a_node_that_is_not_there_is_one_problem() {
    let address = Node::silent().await.address;
    let problems = Harmony::new(address, expected(), clock()).problems().await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("nothing answers at"), "{problems:?}");
}
