//! Asks this host's name server for the addresses of a name, with the time for which they are good.
//!
//! The system's own resolver does not tell that time. RFC 1035: one question over UDP, no compression sent.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long the name server may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// What a server may send without being asked for more (RFC 1035, 4.2.1).
const LONGEST: usize = 512;

/// The most addresses that are taken.
const MOST: usize = 16;

/// The head of a message: id, flags, four counts.
const HEAD: usize = 12;

/// An address of the name, and for how many seconds it is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub address: Ipv4Addr,
    pub ttl: u32,
}

/// The addresses; none where the name has none, or nobody answers.
pub(super) async fn addresses(name: &str) -> Vec<Record> {
    let asked = async {
        let file = tokio::fs::read_to_string("/etc/resolv.conf").await.ok()?;
        let server = SocketAddr::new(server(&file)?, 53);
        ask(server, name).await
    };
    timeout(DEADLINE, asked)
        .await
        .ok()
        .flatten()
        .unwrap_or_default()
}

/// The first name server that resolv.conf(5) names.
fn server(file: &str) -> Option<IpAddr> {
    file.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok())?
    })
}

async fn ask(server: SocketAddr, name: &str) -> Option<Vec<Record>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.ok()?;
    socket.connect(server).await.ok()?;
    let mut id = [0; 2];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut id).ok()?;
    socket.send(&question(id, name)?).await.ok()?;
    let mut answer = [0; LONGEST];
    loop {
        let length = socket.recv(&mut answer).await.ok()?;
        // An answer to somebody else's question, or a forged one.
        if let Some(records) = records(id, &answer[..length]) {
            return Some(records);
        }
    }
}

fn question(id: [u8; 2], name: &str) -> Option<Vec<u8>> {
    // Recursion desired, one question.
    let mut message = vec![id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|length| (1..=63).contains(length))?;
        message.push(length);
        message.extend_from_slice(label.as_bytes());
    }
    // The root, type A, class IN.
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    Some(message)
}

/// The addresses in an answer; `None` where it is no answer to this question.
fn records(id: [u8; 2], message: &[u8]) -> Option<Vec<Record>> {
    let number = |at: usize| {
        Some(u16::from_be_bytes([
            *message.get(at)?,
            *message.get(at + 1)?,
        ]))
    };
    let is_answer = message.get(2)? & 0x80 != 0;
    if message.get(..2)? != id || !is_answer {
        return None;
    }
    let mut at = HEAD;
    for _ in 0..number(4)? {
        at = after_name(message, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..number(6)? {
        at = after_name(message, at)?;
        let (kind, length) = (number(at)?, usize::from(number(at + 8)?));
        let ttl = message.get(at + 4..at + 8)?;
        let data = message.get(at + 10..at + 10 + length)?;
        if let (1, Ok(address), Ok(ttl)) =
            (kind, <[u8; 4]>::try_from(data), <[u8; 4]>::try_from(ttl))
            && found.len() < MOST
        {
            found.push(Record {
                address: address.into(),
                ttl: u32::from_be_bytes(ttl),
            });
        }
        at += 10 + length;
    }
    Some(found)
}

/// Where a name ends: at its root, or at a pointer to the rest of it.
fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length if length & 0xc0 == 0 => at += usize::from(length) + 1,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer with an alias and two addresses, the names as pointers to the question's.
    fn answer(id: [u8; 2]) -> Vec<u8> {
        let mut message = question(id, "seed.helium.io").unwrap();
        message[2..4].copy_from_slice(&[0x81, 0x80]);
        message[7] = 3;
        message.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 17]);
        message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 16, 0, 4, 54, 232, 171, 76]);
        message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 3, 248, 105, 103]);
        message
    }

    #[test]
    fn addresses_are_found_behind_an_alias_with_their_times() {
        let records = records([7, 9], &answer([7, 9])).unwrap();
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].address, Ipv4Addr::new(54, 232, 171, 76));
        assert_eq!((records[0].ttl, records[1].ttl), (16, 256));
    }

    #[test]
    fn what_is_no_answer_or_is_cut_off_is_none_and_never_a_panic() {
        let whole = answer([7, 9]);
        assert_eq!(records([7, 8], &whole), None);
        for length in 0..whole.len() {
            assert_eq!(records([7, 9], &whole[..length]), None, "{length}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] = 0xff;
            let _ = records([7, 9], &damaged);
        }
        assert_eq!(question([0, 0], "a..b"), None);
    }

    #[test]
    fn the_first_name_server_is_asked() {
        let file = "# comment\nsearch attic\nnameserver 192.0.2.53\nnameserver 192.0.2.54\n";
        assert_eq!(server(file), Some(IpAddr::from([192, 0, 2, 53])));
        assert_eq!(server("options edns0\n"), None);
    }
}
