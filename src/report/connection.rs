//! One connection to the broker, from the dialling to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use rumqttc::mqttbytes::v4::SubscribeReasonCode;
use rumqttc::{
    AckMode, AsyncClient, Broker, ClientError, Event, EventLoop, LastWill, MqttOptions,
    NetworkOptions, Packet, Publish, PublishOptions, QoS, SubscribeFilter, Transport,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use super::capped::LARGEST_PACKET;
use super::command::{Desk, Reader};
use super::credentials::Credentials;
use super::dial::{self, dial};
use super::explain::{Why, explain};
use super::message::Message;
use super::outbox::Entry;
use super::{Settings, appetite};

/// How many messages may be on their way without their PUBACK.
const WINDOW: usize = 16;

/// Requests to the client: never more than the window, the subscriptions and the acknowledgements of what was read.
const REQUESTS: usize = 128;

/// How many commands may wait to be read. Brokers send ten to thirty without a PUBACK.
const COMMANDS: usize = 32;

/// How long a command may wait for its place before the connection is given up: then the disk hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the broker may take over a farewell.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the event loop tells.
#[derive(Debug)]
pub(super) enum Happened {
    /// The broker has accepted the connection.
    Accepted,
    /// Something came on a topic that is not one of commands.
    Publish(Publish),
    /// The broker has answered a subscription; it refuses the topics at these places in it.
    Subscribed { refused: Vec<usize> },
    /// The broker has acknowledged a message.
    Acknowledged(Message),
    /// There is no connection any more.
    Ended(Why),
}

/// A client, its event loop in a task of its own, and what is on its way to the broker.
///
/// It serves for one connection: what it has not got rid of when that ends goes back to where it came from.
pub(super) struct Connection {
    client: AsyncClient,
    happened: mpsc::Receiver<Happened>,
    on_their_way: BTreeMap<u64, OnItsWay>,
    acks: FuturesUnordered<BoxFuture<'static, (u64, bool)>>,
    last: u64,
    /// Since when an answer to a subscription is waited for.
    subscribing: Option<Instant>,
    keep_alive: Duration,
    poller: AbortOnDropHandle<()>,
    _over: DropGuard,
}

struct OnItsWay {
    entry: Entry,
    since: Instant,
}

impl Connection {
    /// Begins to dial. `will` is what the broker says of the device when the connection breaks.
    pub fn open(settings: &Settings, credentials: Credentials, will: Message, desk: Desk) -> Self {
        let reader = desk.reader.clone();
        let options = options(settings, &credentials, will);
        let (client, mut event_loop) = AsyncClient::builder(options).capacity(REQUESTS).build();
        let mut network = NetworkOptions::new();
        network.set_connection_timeout(dial::DEADLINE.as_secs());
        event_loop.set_network_options(network);
        let (tell, happened) = mpsc::channel(COMMANDS);
        let (hand_over, commands) = mpsc::channel(COMMANDS);
        let over = CancellationToken::new();
        // Not to be aborted: what is being submitted must be submitted to its end.
        let work = desk.work(commands, client.clone(), over.clone());
        tokio::spawn(work.boxed());
        let poller = poll(event_loop, reader, hand_over, tell);
        Self {
            client,
            happened,
            on_their_way: BTreeMap::new(),
            acks: FuturesUnordered::new(),
            last: 0,
            subscribing: None,
            keep_alive: settings.keep_alive,
            poller: AbortOnDropHandle::new(tokio::spawn(poller.boxed())),
            _over: over.drop_guard(),
        }
    }

    /// What happens next.
    pub async fn happened(&mut self) -> Happened {
        loop {
            tokio::select! {
                happened = self.happened.recv() => {
                    if let Some(Happened::Subscribed { .. }) = happened {
                        self.subscribing = None;
                    }
                    return happened.unwrap_or_else(|| Happened::Ended(Why::new("the client stopped")));
                }
                Some((number, taken)) = self.acks.next() => {
                    // What was not taken stays here: the connection has ended, and will say so.
                    if taken && let Some(sent) = self.on_their_way.remove(&number) {
                        return Happened::Acknowledged(sent.entry.message);
                    }
                }
            }
        }
    }

    /// Whether another message may be sent.
    pub fn has_room(&self) -> bool {
        self.on_their_way.len() < WINDOW
    }

    /// Whether nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.on_their_way.is_empty()
    }

    /// Whether something for this topic is on its way.
    pub fn carries(&self, topic: &str) -> bool {
        let mut sent = self.on_their_way.values();
        sent.any(|sent| sent.entry.message.topic == topic)
    }

    /// Sends a message; it comes back from [`happened`](Self::happened) or [`lost`](Self::lost).
    pub fn send(&mut self, entry: Entry) -> Result<(), ClientError> {
        let options = PublishOptions::at_least_once().retain(entry.message.retain());
        let notice = self.client.try_publish_tracked(
            entry.message.topic.clone(),
            entry.message.payload.clone(),
            options,
        )?;
        self.last += 1;
        let number = self.last;
        let since = Instant::now();
        self.on_their_way.insert(number, OnItsWay { entry, since });
        self.acks.push(Box::pin(async move {
            (number, notice.wait_async().await.is_ok())
        }));
        Ok(())
    }

    /// When the broker has been silent for too long about something that was sent.
    pub fn patience(&self) -> Option<Instant> {
        let oldest = self.on_their_way.values().next().map(|sent| sent.since);
        let oldest = oldest.into_iter().chain(self.subscribing).min()?;
        Some(oldest + self.keep_alive)
    }

    /// What was sent and not acknowledged, the oldest first.
    pub fn lost(&mut self) -> impl DoubleEndedIterator<Item = Entry> + use<> {
        std::mem::take(&mut self.on_their_way)
            .into_values()
            .map(|sent| sent.entry)
    }

    /// Subscribes; the answer is waited for as that to a message.
    pub fn subscribe(&mut self, filters: Vec<String>, qos: QoS) -> Result<(), ClientError> {
        self.subscribing = Some(Instant::now());
        let filters = filters
            .into_iter()
            .map(|filter| SubscribeFilter::new(filter, qos));
        self.client.try_subscribe_many(filters)
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, filter: String) -> Result<(), ClientError> {
        self.client.try_unsubscribe(filter)
    }

    /// Acknowledges a publish that is no command.
    pub fn acknowledge(&self, publish: &Publish) {
        if let Err(error) = self.client.try_ack(publish) {
            tracing::debug!("a publish is not acknowledged: {error}");
        }
    }

    /// Says goodbye, so that the broker keeps the will to itself.
    pub async fn close(mut self) {
        if self.client.try_disconnect_with_timeout(FAREWELL).is_err() {
            return;
        }
        let ended = async { while !matches!(self.happened().await, Happened::Ended(_)) {} };
        if timeout(FAREWELL * 2, ended).await.is_err() {
            self.poller.abort();
        }
    }
}

fn options(settings: &Settings, credentials: &Credentials, will: Message) -> MqttOptions {
    let broker = Broker::tcp(settings.broker.host.clone(), settings.broker.port);
    let mut options = MqttOptions::new(settings.client_id.clone(), broker);
    let will = LastWill::new(will.topic, will.payload, QoS::AtLeastOnce, true);
    let keep_alive = settings.keep_alive.as_secs().try_into().unwrap_or(u16::MAX);
    options
        .set_transport(Transport::tcp())
        .set_keep_alive(keep_alive)
        // The broker keeps the commands that come while the device is away.
        .set_clean_session(false)
        .set_ack_mode(AckMode::Manual)
        .set_last_will(will)
        .set_max_packet_size(LARGEST_PACKET, 2 * appetite::MOST)
        .set_read_batch_size(WINDOW)
        .set_inflight(2 * WINDOW as u16);
    match (&settings.username, &credentials.password) {
        (Some(user), Some(password)) => {
            options.set_credentials(user.clone(), password.expose().to_owned());
        }
        (Some(user), None) => {
            options.set_username(user.clone());
        }
        (None, _) => {}
    }
    let (address, tls) = (settings.broker.clone(), credentials.tls.clone());
    options.set_socket_connector(move |_, _| dial(address.clone(), tls.clone()));
    options
}

/// Drives the client until the connection ends.
async fn poll(
    mut event_loop: EventLoop,
    reader: Arc<Reader>,
    commands: mpsc::Sender<Publish>,
    tell: mpsc::Sender<Happened>,
) {
    let mut accepted = false;
    loop {
        let happened = match event_loop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                accepted = true;
                Happened::Accepted
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                if !reader.is_command(&publish.topic) {
                    Happened::Publish(publish)
                } else if timeout(PATIENCE, commands.send(publish)).await.is_ok() {
                    continue;
                } else {
                    Happened::Ended(Why::new(
                        "commands cannot be taken: the journal does not answer",
                    ))
                }
            }
            Ok(Event::Incoming(Packet::SubAck(ack))) => {
                let codes = ack.return_codes.iter().enumerate();
                let refused =
                    codes.filter(|(_, code)| matches!(code, SubscribeReasonCode::Failure));
                Happened::Subscribed {
                    refused: refused.map(|(place, _)| place).collect(),
                }
            }
            Ok(_) => continue,
            Err(error) => Happened::Ended(explain(&error, accepted)),
        };
        let ended = matches!(happened, Happened::Ended(_));
        if tell.send(happened).await.is_err() || ended {
            return;
        }
    }
}
