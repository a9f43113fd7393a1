//! How the miner stands to its network: `miner info p2p_status` and `miner peer book -s`.

use std::net::IpAddr;

use super::table::Table;

/// What the two say together, as far as they were answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// Whether it has sessions enough.
    pub connected: Option<bool>,
    /// Whether others can call it.
    pub dialable: Option<bool>,
    /// `none`, `static`, `restricted`, `symmetric` or `unknown`; as it was shown where it is none of these.
    pub nat: Option<String>,
    /// Where it listens.
    pub listens: Vec<String>,
    /// How many sessions its book shows.
    pub sessions: Option<usize>,
}

/// What a NAT can be, of which a cut table shows the beginning.
const NATS: [&str; 5] = ["none", "static", "restricted", "symmetric", "unknown"];

impl Peers {
    /// Reads the answers that there are.
    pub(super) fn read(p2p_status: Option<&str>, peer_book: Option<&str>) -> Self {
        let mut peers = Self::default();
        if let Some(table) = p2p_status.and_then(|text| Table::all(text).into_iter().next()) {
            let yes = |name| table.value(name).map(|value| value == "yes");
            peers.connected = yes("connected");
            peers.dialable = yes("dialable");
            peers.nat = table.value("nat_type").map(whole_nat);
        }
        for table in peer_book.map(Table::all).unwrap_or_default() {
            // The first table has a column of the same beginning, which is a number.
            if let Some(listens) = table.column("listen_addrs (prioritized)") {
                peers.listens.extend(
                    listens
                        .into_iter()
                        .filter(|address| address.starts_with('/'))
                        .map(str::to_owned),
                );
            }
            if let Some(sessions) = table.column("remote") {
                peers.sessions = Some(sessions.len());
            }
            if let (None, Some([nat])) = (&peers.nat, table.column("nat").as_deref()) {
                peers.nat = Some(whole_nat(nat));
            }
        }
        peers
    }

    /// Whether it is reached through another hotspot only; `None` where nobody knows.
    pub fn relayed(&self) -> Option<bool> {
        let first = self.listens.first()?;
        Some(first.contains("/p2p-circuit"))
    }

    /// The address at which the world reaches it.
    pub fn public_address(&self) -> Option<IpAddr> {
        self.listens.iter().find_map(|listen| {
            let (address, _) = listen.strip_prefix("/ip4/")?.split_once('/')?;
            address.parse().ok()
        })
    }
}

fn whole_nat(shown: &str) -> String {
    let whole = NATS
        .iter()
        .find(|nat| shown.len() >= 3 && nat.starts_with(shown));
    whole.map_or(shown, |nat| *nat).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOK: &str = "\
+-----------------------------------------------+--------------+----------+---------+---+----------+
|                    address                    |     name     |listen_add|connectio|nat|last_updat|
+-----------------------------------------------+--------------+----------+---------+---+----------+
|/p2p/112qB3YaH5bZkCnKA5uRH7tBtGNv2Y5B4smv1jsm4j|fancy-awesome-|    1     |    4    |sym| 262.557s |
+-----------------------------------------------+--------------+----------+---------+---+----------+

+---------------------------+
|listen_addrs (prioritized) |
+---------------------------+
|/ip4/203.0.113.57/tcp/44158|
+---------------------------+

+------------------+--------------------+----------------------------------------+-----------------+
|      local       |       remote       |                  p2p                   |      name       |
+------------------+--------------------+----------------------------------------+-----------------+
|/ip4/172.17.0.2/tc|/ip4/198.51.100.10/t|/p2p/112qB3YaH5bZkCnKA5uRH7tBtGNv2Y5B4sm|fancy-other-bobca|
|/ip4/172.17.0.2/tc|/ip4/198.51.100.11/t|/p2p/112qB3YaH5bZkCnKA5uRH7tBtGNv2Y5B4sm|fancy-other-bobca|
+------------------+--------------------+----------------------------------------+-----------------+


";

    #[test]
    fn a_book_that_is_cut_says_where_it_listens_and_what_the_nat_is() {
        let peers = Peers::read(None, Some(BOOK));
        assert_eq!(peers.nat.as_deref(), Some("symmetric"));
        assert_eq!(peers.sessions, Some(2));
        assert_eq!(peers.relayed(), Some(false));
        assert_eq!(peers.public_address(), "203.0.113.57".parse().ok());
        assert_eq!(peers.connected, None);
    }

    #[test]
    fn a_relay_is_told_by_the_first_address() {
        let relayed = BOOK.replace(
            "|/ip4/203.0.113.57/tcp/44158|",
            "|/p2p/112a/p2p-circuit/p2p/112b|",
        );
        let peers = Peers::read(
            Some("|name|result|\n|connected| yes |\n|dialable| no |\n"),
            Some(&relayed),
        );
        assert_eq!(peers.relayed(), Some(true));
        assert_eq!(peers.public_address(), None);
        assert_eq!((peers.connected, peers.dialable), (Some(true), Some(false)));
    }

    #[test]
    fn words_instead_of_tables_say_nothing() {
        let words = "Node 'miner@127.0.0.1' not responding to pings.\n";
        assert_eq!(Peers::read(Some(words), Some(words)), Peers::default());
    }
}
