//! Reports to an MQTT broker, takes commands from it, and pumps the telemetry.
//!
//! The [`Reporter`] owns what waits to be sent; each connection to the broker is a new client with a task
//! of its own that polls it, so that nobody publishes from inside the event loop and nothing of a
//! connection that broke is left in the next. State (availability, device, workloads, records) is never
//! queued while the broker is away: it is asserted from the engine at each connect. Telemetry and events
//! wait in the outbox, in memory and bounded; what it drops is [counted](crate::protocol::Dropped). Nothing here
//! is ever written to flash.

mod appetite;
mod backoff;
mod capped;
pub mod certificate;
mod command;
mod connection;
mod contest;
mod credentials;
mod dial;
mod explain;
mod limiter;
mod link;
mod message;
mod outbox;
mod reporter;
mod settings;
mod shown;
pub mod signature;
mod telemetry;
mod waiting;

pub use command::Submit;
pub use link::Link;
pub use reporter::{Parts, Reporter};
pub use settings::Settings;
pub use telemetry::Pump;
