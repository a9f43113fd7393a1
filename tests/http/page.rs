//! `docs/protocol.md` shows what the API really answers.

use std::collections::BTreeMap;

use ostler::protocol::{OperationRecord, Refusal, SnapshotReport, State};
use serde_json::Value;

use crate::inn::Agent;
use crate::wire::{get, post};

/// The examples of the page, by the name in the comment before each.
fn examples() -> BTreeMap<String, Value> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/protocol.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut examples = BTreeMap::new();
    for part in page.split("<!-- message: ").skip(1) {
        let (name, rest) = part.split_once(" -->").unwrap();
        let json = rest
            .split("```json")
            .nth(1)
            .unwrap()
            .split("```")
            .next()
            .unwrap();
        examples.insert(name.to_owned(), serde_json::from_str(json).unwrap());
    }
    examples
}

/// Every key, with the keys that lead to it; of arrays, those of the first entry.
fn keys(value: &Value, path: &str, all: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let path = format!("{path}.{key}");
                keys(value, &path, all);
                all.push(path);
            }
        }
        Value::Array(entries) => {
            if let Some(first) = entries.first() {
                keys(first, &format!("{path}[]"), all);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn sorted_keys(value: &Value) -> Vec<String> {
    let mut all = Vec::new();
    keys(value, "", &mut all);
    all.sort();
    all
}

#[tokio::test]
async fn the_examples_have_the_keys_of_real_answers() {
    let agent = Agent::start().await;
    let examples = examples();
    for (name, path) in [
        ("http-error", "/v1/workloads/nobody"),
        ("http-log", "/v1/workloads/miner/logs"),
        ("http-health", "/v1/health"),
    ] {
        let answer = get(&agent, path).await.json();
        assert_eq!(sorted_keys(&examples[name]), sorted_keys(&answer), "{name}");
    }
}

#[tokio::test]
async fn the_listed_operations_are_records_and_refusals() {
    let agent = Agent::start().await;
    let example = examples().remove("http-operations").unwrap();
    let answer = get(&agent, "/v1/operations").await.json();
    let of = |value: &Value| Vec::from_iter(value.as_object().unwrap().keys().cloned());
    assert_eq!(of(&example), of(&answer));
    let record: OperationRecord = serde_json::from_value(example["operations"][0].clone()).unwrap();
    assert_eq!(
        serde_json::to_value(record).unwrap(),
        example["operations"][0]
    );
    let shown = &example["refusals"][0];
    let refusal: Refusal = serde_json::from_value(shown.clone()).unwrap();
    assert_eq!(serde_json::to_value(&refusal).unwrap(), *shown);
    let said = post(&agent, &refusal.operation, "{}").await.json();
    assert_eq!(said["failure"]["reason"], shown["failure"]["reason"]);
}

#[tokio::test]
async fn the_listed_snapshots_are_those_of_the_page() {
    let agent =
        Agent::start_with_data(|data| std::fs::create_dir(data.join("chain")).unwrap()).await;
    post(&agent, "snapshot", r#"{"id": "s-1"}"#).await;
    agent.until("s-1", State::Succeeded).await;
    let answer = get(&agent, "/v1/workloads/miner/snapshots").await.json();
    let example = &examples()["http-snapshots"];
    assert_eq!(sorted_keys(example), sorted_keys(&answer));
    let report: SnapshotReport = serde_json::from_value(example["snapshots"][0].clone()).unwrap();
    assert_eq!(
        serde_json::to_value(report).unwrap(),
        example["snapshots"][0]
    );
}
