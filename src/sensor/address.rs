//! The addresses of this host, from the kernel's tables in `/proc/net`: getifaddrs(3) asks over netlink, which the unit keeps from the agent.
//!
//! No table of IPv4 names both an address and its interface. The addresses are those that the routes call the host's own; the interface is
//! the one by which the network around an address is reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::files::{self, ReadError, Root, TABLE};

/// One address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Whose it is; `None` where no network is reached by it.
    pub interface: Option<String>,
}

/// All addresses, those of loopback too.
///
/// # Errors
/// Where a table cannot be read.
pub(crate) fn addresses(root: &Root) -> Result<Vec<Address>, ReadError> {
    let table = |name: &str| files::text(&root.path("proc/net").join(name), TABLE);
    let networks: Vec<Network> = table("route")?.lines().filter_map(Network::read).collect();
    let mut found: Vec<Address> = own_v4(&table("fib_trie")?)
        .into_iter()
        .map(|ip| Address {
            ip: ip.into(),
            interface: around(&networks, ip),
        })
        .collect();
    match table("if_inet6") {
        Ok(text) => found.extend(text.lines().filter_map(v6)),
        // A kernel without IPv6, or one that was told to do without.
        Err(ReadError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// The leaves of the tree of routes that are the host's own: `|-- 192.0.2.2`, and below it `/32 host LOCAL`.
fn own_v4(tree: &str) -> Vec<Ipv4Addr> {
    let (mut found, mut leaf) = (Vec::new(), None::<Ipv4Addr>);
    for line in tree.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if line.starts_with("/32 host LOCAL") {
            found.extend(leaf);
        }
    }
    // The tables `main` and `local` are one, shown twice, as long as nobody has rules of his own.
    found.sort_unstable();
    found.dedup();
    found
}

/// A network that is reached without a gateway.
struct Network {
    interface: String,
    address: u32,
    mask: u32,
}

impl Network {
    /// A line of `/proc/net/route`: interface, destination, gateway, flags, three numbers, mask. Addresses are in the order of the network.
    fn read(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let number = |index: usize| {
            let number = u32::from_str_radix(fields.get(index)?, 16).ok()?;
            Some(u32::from_be(number))
        };
        let (address, gateway, mask) = (number(1)?, number(2)?, number(7)?);
        // A default route leads everywhere, and so tells nothing.
        (gateway == 0 && mask != 0).then(|| Self {
            interface: fields[0].to_owned(),
            address,
            mask,
        })
    }
}

/// The interface of the smallest network around an address.
fn around(networks: &[Network], ip: Ipv4Addr) -> Option<String> {
    let ip = u32::from(ip);
    networks
        .iter()
        .filter(|network| ip & network.mask == network.address)
        .max_by_key(|network| network.mask)
        .map(|network| network.interface.clone())
}

/// A line of `/proc/net/if_inet6`: the address, four numbers, the interface.
fn v6(line: &str) -> Option<Address> {
    let mut fields = line.split_ascii_whitespace();
    let address = u128::from_str_radix(fields.next()?, 16).ok()?;
    Some(Address {
        ip: Ipv6Addr::from(address).into(),
        interface: fields.nth(4).map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn root(tables: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("proc/net")).unwrap();
        for (name, text) in tables {
            let path = directory.path().join("proc/net").join(name);
            crate::durable::write(&path, text.as_bytes(), 0o644).unwrap();
        }
        let root = Root::at(directory.path());
        (directory, root)
    }

    const TREE: &str = "\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        +-- 192.0.2.0/30 2 0 2
           |-- 192.0.2.0
              /24 link UNICAST
           |-- 192.0.2.2
              /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
     |-- 198.51.100.7
        /32 host LOCAL
Local:
  +-- 0.0.0.0/0 3 0 5
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
     |-- 192.0.2.2
        /32 host LOCAL
";

    fn route(interface: &str, [network, gateway, mask]: [[u8; 4]; 3]) -> String {
        let [network, gateway, mask] = [network, gateway, mask].map(u32::from_ne_bytes);
        format!("{interface}\t{network:08X}\t{gateway:08X}\t0001\t0\t0\t0\t{mask:08X}\t0\t0\t0\n")
    }

    #[test]
    fn own_addresses_have_the_interface_of_the_network_around_them() {
        let routes = [
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
                .to_owned(),
            route("ppp0", [[0; 4]; 3]),
            route("eth1", [[192, 0, 0, 0], [0; 4], [255, 0, 0, 0]]),
            route("eth0", [[192, 0, 2, 0], [0; 4], [255, 255, 255, 0]]),
            // Behind a router.
            route(
                "tun0",
                [[198, 51, 100, 0], [192, 0, 2, 1], [255, 255, 255, 0]],
            ),
        ]
        .concat();
        let (_directory, root) = root(&[
            ("fib_trie", TREE),
            ("route", &routes),
            (
                "if_inet6",
                "fd000000000000000000000000000002 04 40 00 82     eth0\n",
            ),
        ]);
        let found: Vec<(String, Option<String>)> = addresses(&root)
            .unwrap()
            .into_iter()
            .map(|address| (address.ip.to_string(), address.interface))
            .collect();
        let expected = [
            ("127.0.0.1", None),
            ("192.0.2.2", Some("eth0")),
            ("198.51.100.7", None),
            ("fd00::2", Some("eth0")),
        ];
        let expected =
            expected.map(|(ip, interface)| (ip.to_owned(), interface.map(str::to_owned)));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_kernel_without_ipv6_has_no_table_of_it_and_one_without_ipv4_cannot_be_asked() {
        let (_directory, without_six) = root(&[("fib_trie", TREE), ("route", "")]);
        assert_eq!(addresses(&without_six).unwrap().len(), 3);
        let (_directory, without_four) = root(&[("route", "")]);
        let error = addresses(&without_four).unwrap_err().to_string();
        assert!(error.contains("fib_trie"), "{error}");
    }

    #[test]
    fn another_program_finds_the_same_over_netlink() {
        // Of interfaces that are up: the kernel has no routes by others. `2: eth0    inet 192.0.2.2/24 brd … scope global eth0\ …`
        let asked = Command::new("ip")
            .args(["-o", "address", "show", "up"])
            .output()
            .unwrap();
        let said = String::from_utf8(asked.stdout).unwrap();
        let mut expected: Vec<IpAddr> = said
            .lines()
            .map(|line| line.split_ascii_whitespace().nth(3).unwrap())
            .map(|address| address.split('/').next().unwrap().parse().unwrap())
            .collect();
        let mut found: Vec<IpAddr> = addresses(&Root::default())
            .unwrap()
            .into_iter()
            .map(|address| address.ip)
            .collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{said}");
    }
}
