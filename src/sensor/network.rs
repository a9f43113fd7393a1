//! The network interfaces, from `/sys/class/net`.
//!
//! What the files mean is said in the kernel's `Documentation/ABI/testing/sysfs-class-net` and
//! `sysfs-class-net-statistics`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Problem;
use super::files::{self, ReadError, Root, SHORT};
use super::list::names;

/// How many interfaces one sample holds: a host with many containers has one for each.
pub const MAX_INTERFACES: usize = 32;

/// `ARPHRD_LOOPBACK` in the kernel's `include/uapi/linux/if_arp.h`.
const LOOPBACK: u32 = 772;

/// `IFF_UP` in the kernel's `include/uapi/linux/if.h`.
const IFF_UP: u32 = 1;

/// One network interface, loopback left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its name: `eth0`.
    pub name: String,
    /// Whether it can carry packets now.
    pub up: bool,
    /// Bytes received since it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rx_bytes: Option<u64>,
    /// Bytes sent since it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx_bytes: Option<u64>,
    /// Why a figure is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The interfaces: hardware first, then bridges, tunnels and the like.
pub(super) fn sample(root: &Root, problems: &mut Vec<Problem>) -> Vec<Network> {
    let mut names = interfaces(root).unwrap_or_else(|error| {
        problems.push(Problem::new("networks", error.to_string()));
        Vec::new()
    });
    if names.len() > MAX_INTERFACES {
        problems.push(Problem::new(
            "networks",
            format!(
                "{} interfaces more than {MAX_INTERFACES} are left out",
                names.len() - MAX_INTERFACES
            ),
        ));
        names.truncate(MAX_INTERFACES);
    }
    let class = root.path("sys/class/net");
    names
        .into_iter()
        .map(|name| read(&class.join(&name), name))
        .collect()
}

/// The names of the interfaces, without loopback, hardware first.
pub(crate) fn interfaces(root: &Root) -> Result<Vec<String>, ReadError> {
    let class = root.path("sys/class/net");
    let mut names = names(&class)?;
    names.retain(|name| {
        // The class holds files too, such as `bonding_masters`.
        class.join(name).is_dir() && !is_loopback(root, name)
    });
    names.sort_by_cached_key(|name| !is_hardware(root, name));
    Ok(names)
}

/// Whether an interface leads to this host itself.
pub(crate) fn is_loopback(root: &Root, name: &str) -> bool {
    let kind = root.path("sys/class/net").join(name).join("type");
    files::number::<u32>(&kind).is_ok_and(|kind| kind == LOOPBACK)
}

/// Whether there is a device behind an interface: a bridge, a tunnel or a container's end has none.
pub(crate) fn is_hardware(root: &Root, name: &str) -> bool {
    root.path("sys/class/net")
        .join(name)
        .join("device")
        .exists()
}

fn read(interface: &Path, name: String) -> Network {
    let rx_bytes = files::number(&interface.join("statistics/rx_bytes"));
    let tx_bytes = files::number(&interface.join("statistics/tx_bytes"));
    let up = is_up(interface);
    let error = [
        rx_bytes.as_ref().err(),
        tx_bytes.as_ref().err(),
        up.as_ref().err(),
    ]
    .into_iter()
    .flatten()
    .next()
    .map(ToString::to_string);
    Network {
        name,
        up: up.unwrap_or(false),
        rx_bytes: rx_bytes.ok(),
        tx_bytes: tx_bytes.ok(),
        error,
    }
}

/// By RFC 2863's operational state; drivers without one say `unknown`, and there what the owner set counts.
fn is_up(interface: &Path) -> Result<bool, ReadError> {
    match files::text(&interface.join("operstate"), SHORT)?.as_str() {
        "up" => Ok(true),
        "unknown" => {
            let path = interface.join("flags");
            let text = files::text(&path, SHORT)?;
            let flags = text
                .strip_prefix("0x")
                .and_then(|digits| u32::from_str_radix(digits, 16).ok())
                .ok_or_else(|| ReadError::content(&path, &text, "a number such as 0x1003"))?;
            Ok(flags & IFF_UP != 0)
        }
        _ => Ok(false),
    }
}
