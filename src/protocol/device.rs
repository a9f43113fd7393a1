//! What a device says of itself.

use serde::{Deserialize, Serialize};

use super::{Name, Operation};

/// Retained, at every connect: who the device is and what it can be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceReport {
    /// Its name in topics.
    pub id: Name,
    /// The groups whose commands it takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Name>,
    /// The agent's version.
    pub version: String,
    /// The session of the agent: the same number as in the birth and the will.
    pub session: u64,
    /// What the hardware calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// The kernel's release.
    pub kernel: String,
    /// `aarch64`, `x86_64` …
    pub architecture: String,
    /// Changes at every boot of the host.
    pub boot_id: String,
    /// Addresses, loopback left out.
    pub addresses: Vec<String>,
    /// What the device itself can be asked, without a workload.
    #[serde(default)]
    pub operations: Vec<Operation>,
    /// The workloads and what each can do.
    pub workloads: Vec<Capability>,
}

/// A workload and the operations that it can be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capability {
    /// The workload.
    pub name: Name,
    /// Its kind.
    pub kind: String,
    /// What runs it.
    pub runtime: String,
    /// What it can be asked.
    pub operations: Vec<Operation>,
}
