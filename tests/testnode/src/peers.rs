//! The peer book, and what follows from it.

use crate::identity::Identity;
use crate::node::Facts;
use crate::table;

/// More sessions than this make a node connected.
const SESSIONS: usize = 5;

/// Whether the node has found its peers; one without blocks has not, nor one that has only just been started.
pub fn joined(facts: &Facts) -> bool {
    facts.height > 1 && facts.uptime >= facts.settings.join_delay
}

/// The kind of address translation that the node believes to be behind.
pub fn nat(facts: &Facts) -> &'static str {
    match (joined(facts), facts.settings.relayed) {
        (false, _) => "unknown",
        (true, true) => "symmetric",
        (true, false) => "none",
    }
}

/// `miner peer book -s`: the node itself, the addresses where it listens, its sessions.
pub fn book(facts: &Facts, identity: &Identity, starting: bool) -> String {
    let address = format!("/p2p/{}", identity.pubkey);
    let nat = if starting { "unknown" } else { nat(facts) };
    let listens = listen_addresses(facts, &address, starting);
    let sessions = match (starting, joined(facts)) {
        (true, _) => 0,
        (false, false) => 3,
        (false, true) => SESSIONS + 2,
    };
    let own = vec![
        address,
        identity.animal.clone(),
        listens.len().to_string(),
        sessions.to_string(),
        nat.to_owned(),
        format!("{:.3}s", facts.uptime),
    ];
    let headers = [
        "address",
        "name",
        "listen_addrs",
        "connections",
        "nat",
        "last_updated",
    ];
    let wide = facts.settings.wide;
    // The last column but one is a letter short of its content, as seen on devices.
    let narrow = [46, 14, 10, 9, nat.len().saturating_sub(1).max(3), 10];
    let mut text = table::draw(&headers, &[own], (!wide).then_some(&narrow[..])) + "\n";
    if !listens.is_empty() {
        let rows: Vec<Vec<String>> = listens.into_iter().map(|address| vec![address]).collect();
        text += &table::draw(&["listen_addrs (prioritized)"], &rows, None);
        text += "\n";
    }
    if sessions > 0 {
        let rows: Vec<Vec<String>> = (0..sessions).map(session).collect();
        let narrow = [18, 20, 40, 17];
        let headers = ["local", "remote", "p2p", "name"];
        text += &table::draw(&headers, &rows, (!wide).then_some(&narrow[..]));
        text += "\n";
    }
    text
}

/// A node with an open port listens at its public address; one without, at a relay's.
fn listen_addresses(facts: &Facts, own: &str, starting: bool) -> Vec<String> {
    if starting || !joined(facts) {
        return Vec::new();
    }
    if facts.settings.relayed {
        let relay = Identity::of(b"relay").pubkey;
        return vec![format!("/p2p/{relay}/p2p-circuit{own}")];
    }
    vec!["/ip4/203.0.113.57/tcp/44158".to_owned()]
}

fn session(number: usize) -> Vec<String> {
    let peer = Identity::of(format!("peer {number}").as_bytes());
    vec![
        "/ip4/172.17.0.2/tcp/44158".to_owned(),
        format!("/ip4/198.51.100.{}/tcp/44158", number + 10),
        format!("/p2p/{}", peer.pubkey),
        peer.animal,
    ]
}
