//! `/dig.json`: whether the network's seed nodes can be found and reached.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::resolver::{self, Record};

/// Where seed nodes listen.
const PORT: u16 = 2154;

/// How long a connection may take.
const DEADLINE: Duration = Duration::from_secs(3);

/// The body, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Dig {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(rename = "DNS")]
    dns: &'static str,
    records: Vec<Seed>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Seed {
    #[serde(rename = "A")]
    address: String,
    dial: &'static str,
    ttl: u32,
}

impl Dig {
    /// No address was found.
    pub fn nothing(name: &str) -> Self {
        Self {
            name: String::new(),
            message: Some(format!("{name} A records not found")),
            dns: "Local DNS",
            records: Vec::new(),
        }
    }
}

/// Looks the name up and calls each of its addresses.
pub(super) async fn look(name: &str) -> Dig {
    let found = resolver::addresses(name).await;
    if found.is_empty() {
        return Dig::nothing(name);
    }
    let mut calls = JoinSet::new();
    for record in found {
        calls.spawn(call(record));
    }
    let mut records = calls.join_all().await;
    records.sort_by(|one, other| one.address.cmp(&other.address));
    Dig {
        name: format!("{}.", name.trim_end_matches('.')),
        message: None,
        dns: "Local DNS",
        records,
    }
}

async fn call(record: Record) -> Seed {
    let address = SocketAddr::from((record.address, PORT));
    let connected = timeout(DEADLINE, TcpStream::connect(address)).await;
    Seed {
        address: record.address.to_string(),
        dial: match connected {
            Ok(Ok(_)) => "success",
            Ok(Err(_)) => "failed",
            Err(_) => "timeout",
        },
        ttl: record.ttl,
    }
}
