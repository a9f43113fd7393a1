//! Whether this host is one of those that the network's own name leads to: such a node must not go offline.

use std::net::IpAddr;
use std::time::Duration;

use tokio::net::lookup_host;

use crate::sensor::{ReadError, Root, address};

/// For one name.
const DEADLINE: Duration = Duration::from_secs(10);

/// What the entry points of the public networks begin with: `https://api.s0.t.hmny.io`.
const PREFIX: &str = "https://api.";

/// What speaks against stopping a node whose shard is reached by this address. A private network has other entry points
/// (`http://127.0.0.1:9500`), of which nothing follows.
///
/// A host behind a translating router does not know its own public address, so that has to be given.
pub(super) async fn problem(entry: &str, public: Option<IpAddr>) -> Option<String> {
    let name = entry.strip_prefix(PREFIX)?;
    let cannot_tell =
        |why: String| Some(format!("nobody can tell whether it is a DNS node: {why}"));
    if !is_host_name(name) {
        return cannot_tell("the name in its sharding structure is none".to_owned());
    }
    let found = match tokio::time::timeout(DEADLINE, lookup_host((name, 443))).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return cannot_tell(format!("{name} cannot be resolved: {error}")),
        Err(_) => {
            return cannot_tell(format!(
                "{name} was not resolved within {} s",
                DEADLINE.as_secs()
            ));
        }
    };
    let own = match own_addresses(&Root::default()) {
        Ok(own) => own,
        Err(error) => return cannot_tell(format!("the addresses of this host: {error}")),
    };
    let own: Vec<_> = own.into_iter().chain(public).collect();
    let shared = found
        .map(|address| address.ip())
        .find(|address| own.contains(address))?;
    Some(format!(
        "it is a DNS node, which must not go offline: {name} leads to {shared}, which is this host"
    ))
}

/// Letters, digits, `.` and `-`: nothing that could be anything else to a resolver.
fn is_host_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
}

/// The addresses of this host's interfaces, without those that every host has.
fn own_addresses(root: &Root) -> Result<Vec<IpAddr>, ReadError> {
    let all = address::addresses(root)?.into_iter();
    Ok(all
        .map(|address| address.ip)
        .filter(|ip| !ip.is_loopback())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_here_is_told() {
        let local = "127.0.0.1".parse().ok();
        let told = problem("https://api.localhost", local).await.unwrap();
        assert!(told.contains("leads to 127.0.0.1"), "{told}");
        // Loopback alone is no address of this host's own.
        assert_eq!(problem("https://api.localhost", None).await, None);
    }

    #[tokio::test]
    async fn what_cannot_be_known_is_told_and_what_says_nothing_is_not() {
        assert_eq!(problem("http://127.0.0.1:9500", None).await, None);
        for name in [
            "https://api.",
            "https://api.a b",
            "https://api.x.invalid",
            "https://api.a/../b",
        ] {
            let told = problem(name, None).await.unwrap();
            assert!(told.starts_with("nobody can tell"), "{told}");
        }
    }

    #[test]
    fn a_host_that_hides_its_addresses_is_not_taken_for_one_without() {
        let hidden = tempfile::tempdir().unwrap();
        assert!(own_addresses(&Root::at(hidden.path())).is_err());
        assert!(own_addresses(&Root::default()).is_ok());
    }
}
