//! What becomes of good, bad and hostile publishes.

use super::*;
use proptest::prelude::*;
use rumqttc::QoS;

fn publish(operation: &str, payload: impl Into<Vec<u8>>) -> Publish {
    Publish::new(
        format!("ostler/attic/command/{operation}"),
        QoS::AtLeastOnce,
        payload,
    )
}

fn read_it(publish: &Publish) -> Reading {
    let device = Name::new("attic").unwrap();
    let reader = Reader {
        topics: Topics::new("ostler", device.clone()),
        device,
        groups: vec![Name::new("roof").unwrap()],
        keys: TrustedKeys::default(),
    };
    reader.read(publish)
}

fn refused(publish: &Publish) -> Refused {
    match read_it(publish) {
        Reading::Refused(refused) => refused,
        Reading::Request(request) => panic!("accepted: {request:?}"),
        Reading::Foreign => panic!("foreign"),
    }
}

#[test]
fn a_command_becomes_a_request() {
    let json = r#"{"id":"7","workload":"miner","args":{"grace_s":5},"dry_run":true,"expires_at":"2026-01-31T12:00:00Z"}"#;
    let Reading::Request(request) = read_it(&publish("stop", json)) else {
        panic!("refused")
    };
    assert_eq!(request.operation, Operation::Stop);
    assert_eq!(request.origin, Origin::Mqtt);
    assert_eq!((request.id.as_str(), request.dry_run), ("7", true));
    assert_eq!(request.args["grace_s"], 5);
    assert!(request.expires_at.is_some());
}

#[test]
fn each_kind_of_bad_command_has_its_reason_and_its_id_where_there_is_one() {
    for (operation, payload, reason, id, says) in [
        ("stop", "", Reason::Malformed, None, "object"),
        ("stop", "stop it", Reason::Malformed, None, "object"),
        ("stop", r#"["1"]"#, Reason::Malformed, None, "object"),
        ("stop", "{}", Reason::Malformed, None, "needs an `id`"),
        (
            "stop",
            r#"{"id":"1"}{"#,
            Reason::Malformed,
            None,
            "trailing",
        ),
        ("stop", r#"{"id":7}"#, Reason::Malformed, None, "id:"),
        ("stop", r#"{"id":"../x"}"#, Reason::Malformed, None, "id:"),
        (
            "stop",
            r#"{"id":"1","dry_run":"yes"}"#,
            Reason::Malformed,
            Some("1"),
            "dry_run:",
        ),
        (
            "stop",
            r#"{"id":"1","worklaod":"m"}"#,
            Reason::Malformed,
            Some("1"),
            "worklaod",
        ),
        (
            "stop",
            r#"{"id":"1","args":[]}"#,
            Reason::Malformed,
            Some("1"),
            "args:",
        ),
        (
            "format-disk",
            r#"{"id":"1"}"#,
            Reason::UnknownOperation,
            Some("1"),
            "restart",
        ),
    ] {
        let refused = refused(&publish(operation, payload));
        assert_eq!(refused.failure.reason, reason, "{payload}");
        assert_eq!(
            refused.id.as_ref().map(OperationId::as_str),
            id,
            "{payload}"
        );
        assert!(
            refused.failure.message.contains(says),
            "{}",
            refused.failure.message
        );
    }
}

#[test]
fn retained_and_oversized_commands_are_refused() {
    let mut retained = publish("stop", r#"{"id":"1"}"#);
    retained.retain = true;
    let refused_one = refused(&retained);
    assert_eq!(refused_one.failure.reason, Reason::Retained);
    assert_eq!(refused_one.id.unwrap().as_str(), "1");
    let large = refused(&publish("stop", vec![b' '; MAX_COMMAND_BYTES + 1]));
    assert_eq!(large.failure.reason, Reason::TooLarge);
}

#[test]
fn commands_to_a_group_are_taken_only_by_its_members() {
    let to = |group: &str| {
        let topic = format!("ostler/group/{group}/command/stop");
        read_it(&Publish::new(topic, QoS::AtLeastOnce, r#"{"id":"1"}"#))
    };
    assert!(matches!(to("roof"), Reading::Request(_)));
    assert!(matches!(to("cellar"), Reading::Foreign));
}

#[test]
fn what_a_refusal_repeats_is_bounded_and_has_no_control_characters() {
    let long = "x".repeat(60_000);
    for publish in [
        publish("stop", format!(r#"{{"id":"1","{long}":1}}"#)),
        publish(&long, r#"{"id":"1"}"#),
        publish("a\nb\x1b[2J", r#"{"id":"1"}"#),
    ] {
        let message = refused(&publish).failure.message;
        assert!(message.len() < 2000, "{}", message.len());
        assert!(!message.contains(char::is_control), "{message:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_payload_makes_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_it(&publish("stop", payload));
    }

    #[test]
    fn no_json_makes_it_panic(id in ".*", key in ".*", value in ".*") {
        let payload = serde_json::json!({"id": id, key: value, "args": {"a": value}}).to_string();
        read_it(&publish("restart", payload));
    }
}
