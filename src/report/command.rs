//! Commands: from a publish of the broker to a request of the engine, and the PUBACK after it.

use std::sync::Arc;

use async_trait::async_trait;
use rumqttc::{AsyncClient, Publish};
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
        match self.request(&topic, &addressee, command.operation, publish) {
            Ok(request) => Reading::Request(request),
            Err((id, failure)) => Reading::Refused(Refused {
                id,
                operation: command.operation.to_owned(),
                failure: Failure::new(failure.reason, bounded(&failure.message)),
            }),
        }
    }

    fn request(
        &self,
        topic: &str,
        addressee: &str,
        operation: &str,
        publish: &Publish,
    ) -> Result<Request, (Option<OperationId>, Failure)> {
        let payload = &publish.payload[..];
        let text = check_outside(topic, publish)
            .and_then(|()| self.keys.open(addressee, operation, payload))
            .map_err(|failure| (id_in(payload), failure))?;
        let operation = known(operation).map_err(|failure| (id_in(&text), failure))?;
        let command =
            Command::read(&text).map_err(|unreadable| (unreadable.id, unreadable.failure))?;
        let lacking = || {
            let message = "a command over MQTT needs an `id`, so that it is never run twice";
            (None, Failure::new(Reason::Malformed, message))
        };
        Ok(Request {
            id: command.id.ok_or_else(lacking)?,
            operation,
            workload: command.workload,
            args: command.args,
            origin: Origin::Mqtt,
            expires_at: command.expires_at,
            dry_run: command.dry_run,
        })
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

fn known(operation: &str) -> Result<Operation, Failure> {
    Operation::from_name(operation).ok_or_else(|| {
        let names = Operation::ALL.map(Operation::as_str).join(", ");
        let operation: String = operation.chars().take(64).collect();
        Failure::new(
            Reason::UnknownOperation,
            format!("there is no operation `{operation}`; there is: {names}"),
        )
    })
}

/// The id of a command that is refused, so that whoever waits for that id is answered.
fn id_in(payload: &[u8]) -> Option<OperationId> {
    let id = |text: &[u8]| match Command::read(text) {
        Ok(command) => command.id,
        Err(unreadable) => unreadable.id,
    };
    match serde_json::from_slice::<SignedCommand>(payload) {
        Ok(signed) => id(signed.command.as_bytes()),
        Err(_) => id(payload),
    }
}

/// Messages repeat what they were given, which may be anything: at most so much of it, and no control characters.
fn bounded(text: &str) -> String {
    const MOST: usize = 500;
    let harmless = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().take(MOST).map(harmless).collect()
}

#[cfg(test)]
mod tests;
