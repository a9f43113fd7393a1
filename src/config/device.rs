//! `[device]` and `[telemetry]`: who this host is and how often it tells.

use super::seconds::Seconds;
use super::section::section;
use crate::protocol::Name;

section! {
    /// Who this device is.
    default Device {
        /// Names the device in topics. Left out, it is the host's name.
        id: Option<Name> = None, example = "attic";
        /// The groups whose commands the device takes, beside its own.
        groups: Vec<Name> = Vec::new(), example = ["roof"];
    }
}

section! {
    /// Samples of the host: temperatures, load, memory, disks, network.
    default Telemetry {
        /// Seconds between two samples, from 5 to 86400.
        interval: Seconds<5, 86_400> = Seconds::of(60), reload = true;
    }
}
