//! Whether the miner's ports can be reached, from within and, as far as a router lets that be tried, from without.

use std::net::IpAddr;
use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What the stock device looks at: remote support, and the peers' port.
const PORTS: [u16; 2] = [22, 44158];

/// How long a connection may take.
const DEADLINE: Duration = Duration::from_secs(3);

/// The four, in order: those of the private address, those of the public one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ports {
    private: Option<IpAddr>,
    public: Option<IpAddr>,
    open: [bool; 4],
}

impl Ports {
    /// Tries all four at the same time.
    pub async fn look(private: Option<IpAddr>, public: Option<IpAddr>) -> Self {
        let [ssh, peers] = PORTS;
        let (a, b, c, d) = tokio::join!(
            opens(private, ssh),
            opens(private, peers),
            opens(public, ssh),
            opens(public, peers)
        );
        Self::seen(private, public, [a, b, c, d])
    }

    /// Whether they are those of these addresses.
    pub fn are_of(&self, private: Option<IpAddr>, public: Option<IpAddr>) -> bool {
        (self.private, self.public) == (private, public)
    }

    /// Which of them are open.
    pub fn seen(private: Option<IpAddr>, public: Option<IpAddr>, open: [bool; 4]) -> Self {
        Self {
            private,
            public,
            open,
        }
    }

    /// The same, and none of them open.
    pub fn closed(self) -> Self {
        Self {
            open: [false; 4],
            ..self
        }
    }

    /// The address within.
    pub fn private(&self) -> String {
        text(self.private)
    }

    /// The address without.
    pub fn public(&self) -> String {
        text(self.public)
    }
}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let addresses = [self.private, self.public];
        let keys = addresses
            .iter()
            .flat_map(|address| PORTS.map(|port| format!("{}:{port}", text(*address))));
        // A host with a public address of its own has two ports, not four.
        let shown = match self.private == self.public {
            true => PORTS.len(),
            false => self.open.len(),
        };
        for (key, open) in keys.zip(self.open).take(shown) {
            map.serialize_entry(&key, if open { "open" } else { "closed/timeout" })?;
        }
        map.end()
    }
}

fn text(address: Option<IpAddr>) -> String {
    address
        .map(|address| address.to_string())
        .unwrap_or_default()
}

async fn opens(address: Option<IpAddr>, port: u16) -> bool {
    let Some(address) = address else { return false };
    timeout(DEADLINE, TcpStream::connect((address, port)))
        .await
        .is_ok_and(|connected| connected.is_ok())
}
