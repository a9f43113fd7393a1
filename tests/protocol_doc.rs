//! `docs/protocol.md` and the program speak of the same messages.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;

use ostler::protocol::{
    Availability, Command, DeviceReport, Event, Operation, OperationRecord, Reason, Refusal, State,
    Telemetry, WorkloadReport,
};
use ostler::report::signature::SignedCommand;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

const PAGE: &str = include_str!("../docs/protocol.md");

/// Reads the example as the type and writes it again: what is not of the type would be lost.
fn read_and_write<T: DeserializeOwned + Serialize>(example: &str) -> Value {
    let message: T = serde_json::from_str(example).unwrap_or_else(|e| panic!("{e}: {example}"));
    serde_json::to_value(message).unwrap()
}

fn known(message: &str) -> fn(&str) -> Value {
    match message {
        "availability" => read_and_write::<Availability>,
        "command" => read_and_write::<Command>,
        "device" => read_and_write::<DeviceReport>,
        "event" => read_and_write::<Event>,
        "operation-record" => read_and_write::<OperationRecord>,
        "refusal" => read_and_write::<Refusal>,
        "signed-command" => read_and_write::<SignedCommand>,
        "telemetry" => read_and_write::<Telemetry>,
        "workload" => read_and_write::<WorkloadReport>,
        other => panic!("no type is known for `{other}`"),
    }
}

/// The JSON blocks that follow a marker, by message.
fn examples() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut examples: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for part in PAGE.split("<!-- message: ").skip(1) {
        // What HTTP alone answers is asked of the API itself, in its own suite.
        if part.starts_with("http-") {
            continue;
        }
        let (message, rest) = part.split_once(" -->\n```json\n").expect("a block follows");
        let (block, _) = rest.split_once("\n```").expect("the block ends");
        examples.entry(message).or_default().push(block);
    }
    examples
}

/// `false` flags and empty lists may be shown, though they are left out on the wire.
fn without_defaults(value: &mut Value) {
    if let Value::Object(object) = value {
        object.retain(|key, value| !(key == "dry_run" && *value == false));
        object.values_mut().for_each(without_defaults);
    }
}

#[test]
fn every_example_is_read_and_written_without_loss() {
    for (message, blocks) in examples() {
        for block in blocks {
            let mut shown: Value = serde_json::from_str(block).unwrap();
            without_defaults(&mut shown);
            assert_eq!(known(message)(block), shown, "{message}");
        }
    }
}

#[test]
fn every_message_has_an_example() {
    let shown: Vec<_> = examples().into_keys().collect();
    let all = [
        "availability",
        "command",
        "device",
        "event",
        "operation-record",
        "refusal",
        "signed-command",
        "telemetry",
        "workload",
    ];
    let missing: Vec<_> = all.iter().filter(|one| !shown.contains(one)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The first column of the table whose head names it.
fn column(head: &str) -> Vec<&'static str> {
    let (_, table) = PAGE
        .split_once(&format!("| {head} |"))
        .expect("the table is there");
    table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('`').nth(1).expect("a name in backquotes"))
        .collect()
}

/// All variants of an enum; one that is left out, here or there, does not compile.
macro_rules! all_of {
    ($Type:ident: $($Variant:ident),+) => {{
        let _complete = |one: $Type| match one { $($Type::$Variant => ()),+ };
        [$($Type::$Variant),+]
    }};
}

#[test]
fn the_tables_name_every_reason_state_and_operation() {
    for reason in column("`reason`") {
        let read: Result<Reason, _> = serde_json::from_value(reason.into());
        assert!(read.is_ok(), "there is no reason `{reason}`");
    }
    let all = all_of!(
        Reason: Malformed, TooLarge, Retained, Expired, UnknownOperation, UnknownWorkload,
        Unsupported, BadArguments, IdReused, QueueFull, Unauthorised, JournalFailed, ShuttingDown,
        RuntimeAbsent, RuntimeUnresponsive, WorkloadMissing, RuntimeFailed, NotReady, Cancelled,
        Interrupted, NotPossible, ConditionsNotMet, NoSpace, Damaged, Busy, UncleanStop, OutOfTime,
        DataFailed, BucketFailed, DownloadFailed, Unsound, TooManyTransitions
    );
    let named = |value: Value| value.as_str().unwrap().to_owned();
    let reasons = all.map(|reason| named(serde_json::to_value(reason).unwrap()));
    let mut shown = column("`reason`");
    shown.sort_unstable();
    let mut reasons: Vec<_> = reasons.iter().map(String::as_str).collect();
    reasons.sort_unstable();
    assert_eq!(shown, reasons);

    let states = all_of!(State: Accepted, Running, Succeeded, Failed, Cancelled, Expired);
    assert_eq!(column("`state`"), states.map(State::as_str));
    let operations: Vec<_> = column("operation")
        .into_iter()
        .map(Operation::from_name)
        .collect();
    assert_eq!(operations, Operation::ALL.map(Some));
}
