//! Who this device is, as it tells the world.

use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::config::Config;
use crate::device::{self, Device};
use crate::operation::Engine;
use crate::protocol::{DeviceReport, Name};
use crate::sensor::Root;

/// How often the addresses are looked at.
const ADDRESSES: Duration = Duration::from_secs(60);

/// The report of this device: what the host says, and what the configuration says instead.
pub fn report(config: &Config, device: Device, session: u64, engine: &Engine) -> DeviceReport {
    DeviceReport {
        id: id(config, &device),
        groups: config.device.groups.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        session,
        model: device.model,
        os: device.os,
        kernel: device.kernel,
        architecture: device.architecture,
        boot_id: device.boot_id,
        addresses: told(&device.addresses),
        operations: engine.device_operations(),
        workloads: engine.capabilities(),
    }
}

/// Tells the addresses again when they have changed: at boot the agent may be earlier than they are.
pub async fn watch_addresses(device: watch::Sender<Option<DeviceReport>>) {
    loop {
        sleep(ADDRESSES).await;
        let now = told(&device::addresses(&Root::default()));
        device.send_if_modified(|device| {
            let changed = device
                .as_ref()
                .is_some_and(|device| device.addresses != now);
            if let (true, Some(device)) = (changed, device.as_mut()) {
                device.addresses = now;
            }
            changed
        });
    }
}

fn told(addresses: &[IpAddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

fn id(config: &Config, device: &Device) -> Name {
    config
        .device
        .id
        .clone()
        .unwrap_or_else(|| device.id.clone())
}
