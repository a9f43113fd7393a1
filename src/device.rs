//! Who this host is.

use std::net::IpAddr;
use std::path::Path;

use crate::protocol::Name;
use crate::sensor::files::{self, SHORT};
use crate::sensor::{ReadError, Root, address, network};

/// How many addresses are told: a host with many containers has one for each of their networks.
pub const MAX_ADDRESSES: usize = 16;

/// `/etc/os-release` has some 10 lines.
const OS_RELEASE: u64 = 16 * 1024;

/// What firmware says where nobody filled in the product's name.
const NO_MODEL: [&str; 4] = [
    "To Be Filled By O.E.M.",
    "Default string",
    "System Product Name",
    "None",
];

/// This host, as it was found when the agent started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The name that it gets where the configuration gives it none: its hostname.
    pub id: Name,
    /// What the hardware calls itself.
    pub model: Option<String>,
    /// The operating system.
    pub os: Option<String>,
    /// The kernel's release.
    pub kernel: String,
    /// `aarch64`, `x86_64` …
    pub architecture: String,
    /// Changes at every boot.
    pub boot_id: String,
    /// Its addresses, those of hardware interfaces first; loopback and link-local ones left out.
    pub addresses: Vec<IpAddr>,
}

impl Device {
    /// Looks at the host whose system files are under `root`.
    ///
    /// # Errors
    /// Where `/proc` is not there or hides `/proc/sys/kernel` (systemd's `ProcSubset=pid` does): without a boot id
    /// nobody can tell whether a reboot has happened.
    pub fn detect(root: &Root) -> Result<Self, ReadError> {
        Ok(Self {
            id: id(root),
            model: model(root),
            os: os(root),
            kernel: files::text(&root.path("proc/sys/kernel/osrelease"), SHORT)?,
            architecture: std::env::consts::ARCH.to_owned(),
            boot_id: boot_id(root)?,
            addresses: addresses(root),
        })
    }
}

/// The boot id, random(4): 36 characters that change at every boot.
pub fn boot_id(root: &Root) -> Result<String, ReadError> {
    let path = root.path("proc/sys/kernel/random/boot_id");
    let text = files::text(&path, SHORT)?;
    if text.is_empty() {
        return Err(ReadError::content(&path, &text, "a boot id"));
    }
    Ok(text)
}

/// The hostname, or where that says nothing, a name from the machine id, or from the first hardware address.
fn id(root: &Root) -> Name {
    let hostname = files::text(&root.path("proc/sys/kernel/hostname"), SHORT).unwrap_or_default();
    let text = sanitised(&hostname)
        .or_else(|| machine_id(&root.path("etc/machine-id")).map(|id| hashed(&id)))
        .or_else(|| hardware_address(root).map(|address| hashed(&address)))
        .unwrap_or_else(|| "ostler-unnamed".to_owned());
    Name::new(text).expect("sanitised and hashed give names only, which the tests hold")
}

/// A hostname in the alphabet `[a-z0-9][a-z0-9_-]{0,62}`; `None` where it names nobody.
fn sanitised(hostname: &str) -> Option<String> {
    let hostname = hostname.to_lowercase();
    if matches!(
        hostname.as_str(),
        "localhost" | "localhost.localdomain" | "(none)"
    ) {
        return None;
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let name: String = hostname
        .chars()
        .map(|c| if plain(c) || c == '_' { c } else { '-' })
        .skip_while(|c| !plain(*c))
        .take(63)
        .collect();
    let name = name.trim_end_matches(['-', '_']);
    (!name.is_empty()).then(|| name.to_owned())
}

/// The machine id, which machine-id(5) asks not to show around: it is only used [`hashed`].
fn machine_id(path: &Path) -> Option<String> {
    let text = files::text(path, SHORT).ok()?;
    // An image that was never booted says `uninitialized`, or nothing.
    (text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(text)
}

/// The address of the first hardware interface that has one.
fn hardware_address(root: &Root) -> Option<String> {
    let interfaces = network::interfaces(root).ok()?;
    interfaces
        .iter()
        .filter(|name| network::is_hardware(root, name))
        .filter_map(|name| {
            let path = root.path("sys/class/net").join(name).join("address");
            files::label(&path)
        })
        .find(|address| address.bytes().any(|byte| !matches!(byte, b'0' | b':')))
}

fn hashed(secret: &str) -> String {
    let hash = blake3::derive_key("ostler device id v1", secret.as_bytes());
    let [a, b, c, d, ..] = hash;
    format!("ostler-{a:02x}{b:02x}{c:02x}{d:02x}")
}

fn model(root: &Root) -> Option<String> {
    ["proc/device-tree/model", "sys/class/dmi/id/product_name"]
        .iter()
        .filter_map(|path| files::label(&root.path(path)))
        .find(|model| !NO_MODEL.contains(&model.as_str()))
}

/// The pretty name: os-release(5), which also says where to look.
fn os(root: &Root) -> Option<String> {
    let text = ["etc/os-release", "usr/lib/os-release"]
        .iter()
        .find_map(|path| files::text(&root.path(path), OS_RELEASE).ok())?;
    let quoted = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("PRETTY_NAME="))?;
    let name = unquoted(quoted);
    (!name.is_empty()).then_some(name)
}

/// A value of os-release(5) without its quotes and the backslashes before `"`, `$`, `\` and `` ` ``.
fn unquoted(value: &str) -> String {
    let value = value.trim();
    let inner = ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(value);
    let mut characters = inner.chars();
    let mut plain = String::new();
    while let Some(c) = characters.next() {
        let meant = if c == '\\' {
            characters.next()
        } else {
            Some(c)
        };
        plain.extend(meant.filter(|c| !c.is_control()));
    }
    plain
}

/// The addresses by which others may reach the host.
pub fn addresses(root: &Root) -> Vec<IpAddr> {
    let Ok(all) = address::addresses(root) else {
        // Addresses are a help to people; without them everything works.
        return Vec::new();
    };
    let is = |kind: fn(&Root, &str) -> bool, address: &address::Address| {
        let interface = address.interface.as_ref();
        interface.is_some_and(|interface| kind(root, interface))
    };
    let mut found: Vec<(bool, IpAddr)> = all
        .iter()
        .filter(|address| is_reachable(address.ip) && !is(network::is_loopback, address))
        .map(|address| (!is(network::is_hardware, address), address.ip))
        .collect();
    // Stable: within both groups the order stays.
    found.sort_by_key(|(virtual_one, _)| *virtual_one);
    found.truncate(MAX_ADDRESSES);
    found.into_iter().map(|(_, ip)| ip).collect()
}

/// Whether an address means something away from its own link.
fn is_reachable(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !ip.is_loopback() && !ip.is_unspecified() && !link_local
}

#[cfg(test)]
mod tests;
