//! Commands: from a publish of the broker to a request of the engine, and the PUBACK after it.

use std::sync::Arc;

use async_trait::async_trait;
use rumqttc::{AsyncClient, Publish};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::signature::{SignedCommand, TrustedKeys};
use crate::feed::Update;
use crate::operation::{Answer, Engine};
use crate::protocol::{
    Command, Failure, MAX_COMMAND_BYTES, Name, Operation, OperationId, Origin, Reason, Request,
    Topics,
};

/// Where requests go: the engine. A test holds them up here.
#[async_trait]
pub trait Submit: Send + Sync {
    /// When this returns, an accepted request survives a power cut.
    async fn submit(&self, request: Request) -> Answer;
}

#[async_trait]
impl Submit for Engine {
    async fn submit(&self, request: Request) -> Answer {
        Engine::submit(self, request).await
    }
}

/// Whom commands are for, and whose are taken.
#[derive(Debug)]
pub(super) struct Reader {
    pub topics: Topics,
    pub device: Name,
    pub groups: Vec<Name>,
    pub keys: TrustedKeys,
}

/// What takes the commands of one connection.
pub(super) struct Desk {
    pub reader: Arc<Reader>,
    pub engine: Engine,
    pub submit: Arc<dyn Submit>,
}

impl Desk {
    /// Takes commands in their order until the connection is over.
    ///
    /// A command is acknowledged when its request is durable or its refusal is told, and not before: until
    /// then the broker keeps it and sends it again. What is being submitted as the connection ends is
    /// submitted to its end; the broker's second copy of it finds its id known.
    pub async fn work(
        self,
        mut commands: mpsc::Receiver<Publish>,
        client: AsyncClient,
        over: CancellationToken,
    ) {
        while let Some(publish) = commands.recv().await {
            if over.is_cancelled() {
                return;
            }
            if !self.handle(&publish).await {
                tracing::info!("a command stays with the broker: the agent is shutting down");
                continue;
            }
            if let Err(error) = client.try_ack(&publish) {
                tracing::debug!("a command is not acknowledged, it will come again: {error}");
            }
        }
    }

    /// Whether the broker may forget the command.
    async fn handle(&self, publish: &Publish) -> bool {
        let refused = match self.reader.read(publish) {
            Reading::Request(request) => return self.ask(request).await,
            Reading::Foreign => return true,
            Reading::Refused(refused) => refused,
        };
        tracing::debug!("a command is refused: {}", refused.failure.message);
        self.engine.refuse(
            refused.id,
            &refused.operation,
            Origin::Mqtt,
            refused.failure,
        );
        // Refusing takes no time, so that ten thousand in a row would keep everybody else from their turn.
        tokio::task::yield_now().await;
        true
    }

    async fn ask(&self, request: Request) -> bool {
        match self.submit.submit(request).await {
            Answer::Accepted(_) => true,
            Answer::Known(record) => {
                // Whoever asks again has perhaps not seen the answer.
                self.engine.feed().send(Update::Operation(record));
                true
            }
            Answer::Refused(refusal) => refusal.failure.reason != Reason::ShuttingDown,
        }
    }
}

/// What a publish on a command topic turned out to be.
enum Reading {
    Request(Request),
    Refused(Refused),
    /// A command to a group that this device does not belong to any more.
    Foreign,
}

/// A command of which no request can be made.
struct Refused {
    id: Option<OperationId>,
    operation: String,
    failure: Failure,
}

impl Reader {
    /// Whether a topic is one of commands.
    pub fn is_command(&self, topic: &[u8]) -> bool {
        std::str::from_utf8(topic).is_ok_and(|topic| self.topics.read_command(topic).is_some())
    }

    fn read(&self, publish: &Publish) -> Reading {
        let topic = String::from_utf8_lossy(&publish.topic);
        let Some(command) = self.topics.read_command(&topic) else {
            return Reading::Foreign;
        };
        let addressee = match command.group {
            None => self.device.to_string(),
            Some(group) if self.groups.iter().any(|own| own.as_str() == group) => {
                format!("group/{group}")
            }
            Some(_) => return Reading::Foreign,
        };
        let read = check_outside(&topic, publish)
            .and_then(|()| {
                self.keys
                    .open(&addressee, command.operation, &publish.payload)
            })
            .and_then(|text| request(command.operation, &text));
        read.map_or_else(
            |failure| {
                Reading::Refused(Refused {
                    id: readable_id(&publish.payload),
                    operation: command.operation.to_owned(),
                    failure: Failure::new(failure.reason, bounded(&failure.message)),
                })
            },
            Reading::Request,
        )
    }
}

/// What can be said against a command without reading it.
fn check_outside(topic: &str, publish: &Publish) -> Result<(), Failure> {
    if publish.retain {
        return Err(Failure::new(
            Reason::Retained,
            format!(
                "published with the retain flag: it would run again at every reconnect; publish an empty retained message on `{topic}` to remove it"
            ),
        ));
    }
    if publish.payload.len() > MAX_COMMAND_BYTES {
        return Err(Failure::new(
            Reason::TooLarge,
            format!(
                "larger than {} KiB, the most that a command may have",
                MAX_COMMAND_BYTES / 1024
            ),
        ));
    }
    Ok(())
}

fn request(operation: &str, text: &[u8]) -> Result<Request, Failure> {
    let known = Operation::from_name(operation).ok_or_else(|| {
        let names = Operation::ALL.map(Operation::as_str).join(", ");
        let operation = operation.chars().take(64).collect::<String>();
        Failure::new(
            Reason::UnknownOperation,
            format!("there is no operation `{operation}`; there is: {names}"),
        )
    })?;
    let command = parse(text)?;
    let id = command.id.ok_or_else(|| {
        malformed("a command over MQTT needs an `id`, so that it is never run twice")
    })?;
    Ok(Request {
        id,
        operation: known,
        workload: command.workload,
        args: command.args,
        origin: Origin::Mqtt,
        expires_at: command.expires_at,
        dry_run: command.dry_run,
    })
}

fn parse(payload: &[u8]) -> Result<Command, Failure> {
    // An array would be read as the fields in their order.
    if payload.trim_ascii_start().first() != Some(&b'{') {
        return Err(malformed("not a command: a JSON object is expected"));
    }
    let mut json = serde_json::Deserializer::from_slice(payload);
    let command = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let what = error.into_inner();
        if path == "." {
            malformed(&format!("not a command: {what}"))
        } else {
            malformed(&format!("`{path}`: {what}"))
        }
    })?;
    json.end()
        .map_err(|error| malformed(&format!("more than one JSON value: {error}")))?;
    Ok(command)
}

/// The id of a command that cannot be read otherwise, so that whoever waits for that id is answered.
fn readable_id(payload: &[u8]) -> Option<OperationId> {
    if payload.len() > MAX_COMMAND_BYTES {
        return None;
    }
    let object: Map<String, Value> = match serde_json::from_slice::<SignedCommand>(payload) {
        Ok(signed) => serde_json::from_str(&signed.command).ok()?,
        Err(_) => serde_json::from_slice(payload).ok()?,
    };
    OperationId::new(object.get("id")?.as_str()?).ok()
}

fn malformed(message: &str) -> Failure {
    Failure::new(Reason::Malformed, message)
}

/// Messages repeat what they were given, which may be anything: at most so much of it, and escaped.
fn bounded(text: &str) -> String {
    const MOST: usize = 400;
    text.chars()
        .take(MOST)
        .flat_map(|character| {
            let control = character.is_control();
            let plain = (!control).then_some(character);
            plain.into_iter().chain(
                control
                    .then(|| character.escape_default())
                    .into_iter()
                    .flatten(),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
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
                "more than one",
            ),
            ("stop", r#"{"id":7}"#, Reason::Malformed, None, "`id`"),
            ("stop", r#"{"id":"../x"}"#, Reason::Malformed, None, "`id`"),
            (
                "stop",
                r#"{"id":"1","dry_run":"yes"}"#,
                Reason::Malformed,
                Some("1"),
                "`dry_run`",
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
                "`args`",
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
}
