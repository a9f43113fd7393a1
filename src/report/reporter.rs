//! The reporter: keeps a connection to the broker and sends what is to be sent.

mod asserted;
mod intake;

use std::sync::Arc;
use std::time::Duration;

use rumqttc::QoS;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::appetite::Appetite;
use super::backoff::Backoff;
use super::command::{Desk, Reader, Submit};
use super::connection::{Connection, Happened};
use super::contest::Contest;
use super::credentials::Credentials;
use super::explain::Why;
use super::limiter::Limiter;
use super::link::Refused;
use super::message::{Kind, Message};
use super::outbox::{Entry, Outbox};
use super::shown::Shown;
use super::signature::TrustedKeys;
use super::waiting::Waiting;
use super::{Link, Settings};
use crate::blocking::spawn_blocking;
use crate::clock::{ClockSync, Timestamp};
use crate::feed::Update;
use crate::operation::Engine;
use crate::protocol::{DeviceReport, Level, Presence, Topics};

/// How long the files that the settings name may take to be read.
const FILES: Duration = Duration::from_secs(10);

/// How long a shutdown waits for what is still to be sent.
const FLUSH: Duration = Duration::from_secs(5);

/// How many refusals a second are told as events.
const REFUSALS: u32 = 10;

/// What a reporter is built from.
pub struct Parts {
    /// The broker, and who this device is to it.
    pub settings: Settings,
    /// Whose commands are taken; without any, everybody's.
    pub keys: TrustedKeys,
    /// Where commands go and records come from.
    pub engine: Engine,
    /// What this device says of itself, where that is known yet; it is told again when it changes.
    pub device: watch::Receiver<Option<DeviceReport>>,
    /// Whether the wall clock can be believed.
    pub clock: ClockSync,
}

/// Reports to the broker and takes commands from it.
pub struct Reporter {
    settings: Settings,
    topics: Topics,
    reader: Arc<Reader>,
    engine: Engine,
    submit: Arc<dyn Submit>,
    device: watch::Receiver<Option<DeviceReport>>,
    clock: ClockSync,
    updates: broadcast::Receiver<Update>,
    link: watch::Sender<Link>,
    /// Counts the attempts to connect; the number of the connection in birth and will.
    number: u64,
    /// Since when commands are taken over this connection.
    connected: Option<Instant>,
    /// What is to be said of the availability: `online` until the agent stops.
    presence: Presence,
    waiting: Waiting,
    outbox: Outbox,
    shown: Shown,
    refusals: Limiter,
    appetite: Appetite,
    takeovers: Contest,
    namesakes: Contest,
}

/// Why a connection is over.
enum End {
    Stopped,
    Lost(Why),
}

impl Reporter {
    /// From here on nothing of the feed is missed. The receiver tells how the connection is.
    pub fn new(parts: Parts) -> (Self, watch::Receiver<Link>) {
        let submit = Arc::new(parts.engine.clone());
        Self::through(parts, submit)
    }

    /// As [`Reporter::new`], with something between the broker and the engine.
    pub fn through(parts: Parts, submit: Arc<dyn Submit>) -> (Self, watch::Receiver<Link>) {
        let Parts {
            settings,
            keys,
            engine,
            device,
            clock,
        } = parts;
        let reader = Reader {
            topics: settings.topics(),
            device: settings.device.clone(),
            groups: settings.groups.clone(),
            keys,
        };
        let (link, watcher) = watch::channel(Link::new(settings.broker.to_string()));
        let reporter = Self {
            topics: settings.topics(),
            updates: engine.feed().subscribe(),
            settings,
            reader: Arc::new(reader),
            engine,
            submit,
            device,
            clock,
            link,
            number: 0,
            connected: None,
            presence: Presence::Online,
            waiting: Waiting::default(),
            outbox: Outbox::default(),
            shown: Shown::default(),
            refusals: Limiter::per_second(REFUSALS),
            appetite: Appetite::default(),
            takeovers: Contest::default(),
            namesakes: Contest::default(),
        };
        (reporter, watcher)
    }

    /// Connects, and connects again, until it is stopped; then it sends what is left, for a few seconds at the
    /// most, and says goodbye. To be stopped after the engine, so that the last records are among that.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::up_to(self.settings.longest_pause);
        loop {
            let end = self.connect_and_serve(&stop).await;
            let stood = self.connected.take().map(|since| since.elapsed());
            let End::Lost(why) = end else { return };
            let pause = backoff.after(stood.unwrap_or_default());
            self.note_lost(why, stood);
            let next = Instant::now() + pause;
            if stop
                .run_until_cancelled(self.wait_until(next))
                .await
                .is_none()
            {
                return;
            }
        }
    }

    async fn wait_until(&mut self, then: Instant) {
        loop {
            tokio::select! {
                update = self.updates.recv() => self.take(update).await,
                () = sleep_until(then) => return,
            }
        }
    }

    async fn connect_and_serve(&mut self, stop: &CancellationToken) -> End {
        self.number += 1;
        self.link.send_modify(|link| link.connection = self.number);
        let settings = self.settings.clone();
        let files = spawn_blocking(move || Credentials::load(&settings));
        let credentials = match timeout(FILES, files).await {
            Ok(Ok(Ok(credentials))) => credentials,
            Ok(Ok(Err(error))) => return End::Lost(Why::new(error.to_string())),
            Ok(Err(error)) => return End::Lost(Why::new(error.to_string())),
            Err(_) => return End::Lost(Why::new("the files of `[mqtt]` cannot be read in time")),
        };
        let will = Message::availability(&self.topics, &self.availability(Presence::Offline));
        let desk = Desk {
            reader: self.reader.clone(),
            engine: self.engine.clone(),
            submit: self.submit.clone(),
        };
        let mut connection = Connection::open(&self.settings, credentials, will, desk);
        let end = self.serve(&mut connection, stop).await;
        let availability = self.topics.availability();
        let left = self.waiting.holds(&availability) || connection.carries(&availability);
        let largest = self.take_back(&mut connection);
        match &end {
            // Where the broker has not got the `offline`, its will says it: a farewell would discard that.
            End::Stopped if self.connected.is_some() && !left => connection.close().await,
            End::Lost(why) if why.closed_by_broker => self.suspect(largest),
            _ => {}
        }
        end
    }

    /// Sends and receives until the connection ends or the agent stops.
    async fn serve(&mut self, connection: &mut Connection, stop: &CancellationToken) -> End {
        let mut last_moment = None;
        loop {
            if self.connected.is_some()
                && let Err(why) = self.send(connection)
            {
                return End::Lost(why);
            }
            let nothing_left = self.connected.is_none() || connection.is_idle();
            if last_moment.is_some() && nothing_left {
                return End::Stopped;
            }
            let patience = connection.patience();
            tokio::select! {
                happened = connection.happened() => {
                    if let Err(why) = self.happened(happened, connection) {
                        return End::Lost(why);
                    }
                }
                update = self.updates.recv() => self.take(update).await,
                Ok(()) = self.device.changed(), if self.connected.is_some() => self.assert_device(),
                () = until(patience) => {
                    let text = format!("the broker did not acknowledge what it was sent within {} s", self.settings.keep_alive.as_secs());
                    return End::Lost(Why::new(text));
                }
                () = stop.cancelled(), if last_moment.is_none() => {
                    last_moment = Some(Instant::now() + FLUSH);
                    self.take_what_is_left().await;
                    self.presence = Presence::Offline;
                    self.put_availability(Presence::Offline);
                }
                () = until(last_moment) => return End::Stopped,
            }
        }
    }

    /// Fills the connection: state first, then what has waited in the outbox.
    fn send(&mut self, connection: &mut Connection) -> Result<(), Why> {
        while connection.has_room() {
            let state = self.waiting.next().map(|message| Entry {
                message,
                connection: self.number,
            });
            let Some(entry) = state.or_else(|| self.outbox.next(self.number)) else {
                break;
            };
            let Some(entry) = self.fit(entry) else {
                continue;
            };
            if let Kind::Record(id) = &entry.message.kind {
                // From here on the broker may retain it, whether it says so or not.
                self.shown.note(id);
            }
            connection
                .send(entry)
                .map_err(|error| Why::new(format!("the client takes nothing more: {error}")))?;
        }
        self.tell_link();
        Ok(())
    }

    /// The message, or a smaller one in its place, or nothing: what the broker would not take is not sent.
    fn fit(&mut self, entry: Entry) -> Option<Entry> {
        if self.appetite.takes(entry.message.payload.len()) {
            return Some(entry);
        }
        self.outbox.dropped.oversized += 1;
        let message = entry.message.without_output()?;
        self.appetite
            .takes(message.payload.len())
            .then_some(Entry { message, ..entry })
    }

    fn happened(&mut self, happened: Happened, connection: &mut Connection) -> Result<(), Why> {
        match happened {
            // First the commands: when the device says that it is online, it takes them.
            Happened::Accepted => {
                let filters = self.topics.command_filters(&self.settings.groups);
                self.subscribe(filters, QoS::AtLeastOnce, connection)
            }
            Happened::Subscribed { refused } if self.connected.is_none() => {
                self.note_refused(&refused);
                self.come_online(connection)
            }
            Happened::Subscribed { .. } => Ok(()),
            Happened::Acknowledged(message) => {
                self.acknowledged(&message, connection);
                Ok(())
            }
            Happened::Publish(publish) => {
                self.look_at(&publish);
                connection.acknowledge(&publish);
                Ok(())
            }
            Happened::Ended(why) => Err(why),
        }
    }

    /// Takes down which topics of commands the broker keeps from the device.
    fn note_refused(&mut self, places: &[usize]) {
        let filters = self.topics.command_filters(&self.settings.groups);
        let refused: Vec<_> = places
            .iter()
            .filter_map(|place| filters.get(*place).cloned())
            .collect();
        if !refused.is_empty() {
            let text = Refused(&refused).to_string();
            self.event(Level::Error, "subscription-refused", &text);
        }
        self.link.send_modify(|link| link.refused = refused);
    }

    fn subscribe(
        &self,
        filters: Vec<String>,
        qos: QoS,
        connection: &mut Connection,
    ) -> Result<(), Why> {
        connection
            .subscribe(filters, qos)
            .map_err(|error| Why::new(format!("cannot subscribe: {error}")))
    }

    /// What was on its way goes back to the outbox; state is asserted anew anyway. Gives the largest size.
    fn take_back(&mut self, connection: &mut Connection) -> Option<usize> {
        let mut largest = None;
        for entry in connection.lost().rev() {
            largest = largest.max(Some(entry.message.payload.len()));
            if !entry.message.retain() {
                self.outbox.put_back(entry);
            }
        }
        self.waiting.clear();
        largest
    }

    fn suspect(&mut self, largest: Option<usize>) {
        if self.appetite.lost(largest) {
            let text = format!(
                "the broker seems not to take messages of {} bytes: from now on they are left out",
                largest.unwrap_or_default()
            );
            self.event(Level::Warning, "message-too-large", &text);
        }
    }

    fn note_lost(&mut self, why: Why, stood: Option<Duration>) {
        let new = self.link.borrow().last_error.as_deref() != Some(&why.text);
        if new || stood.is_some() {
            tracing::warn!("not connected to {}: {}", self.settings.broker, why.text);
        }
        if stood.is_some()
            && why.closed_by_broker
            && self.takeovers.too_many()
            && self.takeovers.tell()
        {
            let text = format!(
                "the broker closes one connection after the other: does another client use the identifier `{}` (key `client-id`), or does the broker keep failing?",
                self.settings.client_id
            );
            self.event(Level::Error, "client-id-contested", &text);
        }
        self.link.send_modify(|link| {
            if link.connected {
                link.since = Timestamp::now();
                link.lost += 1;
            }
            link.connected = false;
            link.last_error = Some(why.text);
        });
    }

    fn tell_link(&self) {
        self.link.send_if_modified(|link| {
            let now = (self.outbox.len(), self.outbox.dropped);
            let changed = (link.waiting, link.dropped) != now;
            (link.waiting, link.dropped) = now;
            changed
        });
    }
}

async fn until(then: Option<Instant>) {
    match then {
        Some(then) => sleep_until(then).await,
        None => std::future::pending().await,
    }
}
