//! The address of a broker.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `mqtt://host[:1883]`, or `mqtts://host[:8883]` with TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BrokerUrl {
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// A name or an address; IPv6 without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// The ports that IANA has registered for MQTT and for MQTT over TLS.
const PORT: u16 = 1883;
const PORT_TLS: u16 = 8883;

impl FromStr for BrokerUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let (tls, rest) = match url.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            // Not shown: a url that is refused may hold a password.
            _ => return Err("the url must start with `mqtt://` or `mqtts://`".to_owned()),
        };
        if rest.contains('@') {
            return Err(
                "the url must not hold a user or a password: use `username` and `password-file`"
                    .to_owned(),
            );
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = split_port(rest).ok_or("the IPv6 address lacks its `]`")?;
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        if host.is_empty() || host.len() > 253 || !host.bytes().all(is_part) {
            return Err(format!(
                "`{}` is no host: a name or an address (IPv6 in `[ ]`), then `:port`, and nothing else",
                host.escape_default()
            ));
        }
        let port =
            match port {
                None if tls => PORT_TLS,
                None => PORT,
                Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
                    format!("`{}` is no port from 1 to 65535", port.escape_default())
                })?,
            };
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
        })
    }
}

/// Splits `host:port`, `host`, `[v6]:port` and `[v6]`; `None` where a bracket is not closed.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return Some(match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => ("", None),
        });
    }
    Some(match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    })
}

impl TryFrom<String> for BrokerUrl {
    type Error = String;
    fn try_from(url: String) -> Result<Self, String> {
        url.parse()
    }
}

impl From<BrokerUrl> for String {
    fn from(url: BrokerUrl) -> String {
        url.to_string()
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_with_their_default_ports() {
        for (url, whole) in [
            ("mqtt://broker", "mqtt://broker:1883"),
            ("mqtts://broker.example/", "mqtts://broker.example:8883"),
            ("mqtt://10.0.0.1:18830", "mqtt://10.0.0.1:18830"),
            ("mqtts://[fe80::1]", "mqtts://[fe80::1]:8883"),
            ("mqtt://[::1]:1884", "mqtt://[::1]:1884"),
        ] {
            let read: BrokerUrl = url.parse().unwrap();
            assert_eq!(read.to_string(), whole);
            assert_eq!(whole.parse(), Ok(read));
        }
    }

    #[test]
    fn what_is_no_url_of_a_broker_is_refused() {
        for url in [
            "",
            "broker",
            "http://broker",
            "mqtt://",
            "mqtt://:1883",
            "mqtt://host:0",
            "mqtt://host:65536",
            "mqtt://host:",
            "mqtt://host/path",
            "mqtt://a b",
            "mqtt://[::1",
            "mqtt://[::1]x",
            "mqtt://::1",
            "mqtt://user:secret@host",
        ] {
            assert!(url.parse::<BrokerUrl>().is_err(), "{url}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_not_repeated_in_the_message() {
        for url in ["mqtt://user:secret@host", "http://user:secret@host"] {
            let message = url.parse::<BrokerUrl>().unwrap_err();
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
