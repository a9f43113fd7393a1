//! What the host's sensors and the kernel say: temperatures, load, memory, disks, network.

/// stub
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Sample {}
