//! The way out: MQTT, and the telemetry that goes there.

pub mod signature;
