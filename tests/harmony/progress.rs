//! Waiting for a block.

use std::time::Duration;

use hyper::StatusCode;

use super::harmony;
use super::node::{Answer, Node, header, now};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_chain_that_grows_has_progressed() {
    let node = Node::of_today().await;
    assert_eq!(
        harmony(&node).progress(49_999_999, LONG).await,
        Ok(50_000_000)
    );
}

#[tokio::test]
async fn errors_count_for_nothing_while_there_is_time() {
    let node = Node::of_today().await;
    node.answer_in_turn(
        "hmyv2_latestHeader",
        [
            Answer::Error(-32000, "starting"),
            Answer::Raw(StatusCode::OK, "<html>"),
            Answer::Result(header(9, now())),
            Answer::Result(header(10, now())),
            Answer::Result(header(11, now())),
        ],
    );
    assert_eq!(harmony(&node).progress(10, LONG).await, Ok(11));
}

#[tokio::test]
async fn a_chain_that_stands_still_says_where() {
    let node = Node::of_today().await;
    let within = Duration::from_secs(2);
    let error = harmony(&node)
        .progress(50_000_000, within)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no block after 50000000 came within 2 s: its height is 50000000"
    );

    node.answer_all(&Answer::Hang);
    let error = harmony(&node).progress(1, within).await.unwrap_err();
    assert_eq!(error.last, "it did not answer");
}
