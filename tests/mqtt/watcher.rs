//! Somebody else at the broker: sees what a device tells, and asks it for things.

use std::sync::{Arc, Mutex};

use ostler::protocol::Availability;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, Publish, PublishOptions, QoS};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::broker::Broker;
use super::inn::DEADLINE;

/// A client that has subscribed to everything.
pub struct Watcher {
    client: AsyncClient,
    seen: Arc<Mutex<Vec<Publish>>>,
    grown: watch::Receiver<usize>,
    poller: JoinHandle<()>,
}

impl Watcher {
    /// Connects and waits until it has subscribed.
    pub async fn at(broker: &Broker) -> Self {
        let mut options = MqttOptions::new("watcher", ("127.0.0.1", broker.port));
        options.set_max_packet_size(64 << 20, 64 << 20);
        let (client, mut events) = AsyncClient::builder(options).capacity(1000).build();
        client.subscribe("#", QoS::AtLeastOnce).await.unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (grow, mut grown) = watch::channel(0);
        let (subscribed, is_subscribed) = tokio::sync::oneshot::channel();
        let mut subscribed = Some(subscribed);
        let store = seen.clone();
        let poller = tokio::spawn(async move {
            while let Ok(event) = events.poll().await {
                match event {
                    Event::Incoming(Packet::Publish(publish)) => {
                        let mut store = store.lock().unwrap();
                        store.push(publish);
                        grow.send_replace(store.len());
                    }
                    Event::Incoming(Packet::SubAck(_)) => {
                        let _ = subscribed.take().unwrap().send(());
                    }
                    _ => {}
                }
            }
        });
        timeout(DEADLINE, is_subscribed).await.unwrap().unwrap();
        grown.mark_unchanged();
        Self {
            client,
            seen,
            grown,
            poller,
        }
    }

    /// Everything that came so far.
    pub fn all(&self) -> Vec<Publish> {
        self.seen.lock().unwrap().clone()
    }

    /// Forgets what came so far.
    pub fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }

    /// What came on a topic so far, as JSON.
    pub fn on(&self, topic: &str) -> Vec<Value> {
        self.all()
            .iter()
            .filter(|publish| publish.topic == topic)
            .map(|publish| serde_json::from_slice(&publish.payload).unwrap_or(Value::Null))
            .collect()
    }

    /// Waits until what came fulfils a condition.
    pub async fn until<T>(
        &mut self,
        what: &str,
        mut condition: impl FnMut(&Self) -> Option<T>,
    ) -> T {
        let fulfilled = async {
            loop {
                if let Some(fulfilled) = condition(self) {
                    return Some(fulfilled);
                }
                self.grown.changed().await.ok()?;
            }
        };
        let fulfilled = timeout(DEADLINE, fulfilled).await;
        let Ok(Some(fulfilled)) = fulfilled else {
            let topics: Vec<_> = self
                .all()
                .into_iter()
                .map(|seen| {
                    let text = String::from_utf8_lossy(&seen.payload)
                        .chars()
                        .take(200)
                        .collect::<String>();
                    format!("{} {text}", String::from_utf8_lossy(&seen.topic))
                })
                .collect();
            panic!("no {what}; there came:\n{}", topics.join("\n"));
        };
        fulfilled
    }

    /// Waits for a message on a topic that fulfils a condition.
    pub async fn message(&mut self, topic: &str, condition: impl Fn(&Value) -> bool) -> Value {
        self.until(topic, |seen| {
            seen.on(topic)
                .into_iter()
                .find(|message| condition(message))
        })
        .await
    }

    /// Waits until the device says so of itself.
    pub async fn availability(&mut self, wanted: Availability) {
        let wanted = serde_json::to_value(wanted).unwrap();
        self.message("ostler/attic/availability", |seen| *seen == wanted)
            .await;
    }

    /// Publishes, and waits until the broker has it.
    pub async fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>, retain: bool) {
        let options = PublishOptions::at_least_once().retain(retain);
        let notice = self
            .client
            .publish_tracked(topic, payload.into(), options)
            .await
            .unwrap();
        timeout(DEADLINE, notice.wait_async())
            .await
            .unwrap()
            .unwrap();
    }

    /// Publishes without waiting for anything.
    pub async fn publish_at_most_once(&self, topic: &str, payload: &str) {
        let options = PublishOptions::at_most_once();
        self.client.publish(topic, payload, options).await.unwrap();
    }

    /// Publishes and waits only until there is room for the next.
    pub async fn pour(&self, topic: &str, payload: &str) {
        let options = PublishOptions::at_least_once();
        self.client.publish(topic, payload, options).await.unwrap();
    }

    /// Asks the attic for an operation.
    pub async fn command(&self, operation: &str, payload: impl Into<Vec<u8>>) {
        let topic = format!("ostler/attic/command/{operation}");
        self.publish(&topic, payload, false).await;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.poller.abort();
    }
}
