//! Who this device is, as it tells the world.

use crate::config::Config;
use crate::device::Device;
use crate::operation::Engine;
use crate::protocol::{DeviceReport, Name};

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
        addresses: device.addresses.iter().map(ToString::to_string).collect(),
        operations: engine.device_operations(),
        workloads: engine.capabilities(),
    }
}

fn id(config: &Config, device: &Device) -> Name {
    config
        .device
        .id
        .clone()
        .unwrap_or_else(|| device.id.clone())
}
