//! The address of something on the web.

use std::fmt;
use std::str::FromStr;

use hyper::http::uri::{Authority, Scheme, Uri};
use serde::{Deserialize, Serialize};

/// `http://host[:80]/path`, or `https://host[:443]/path`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Url(Uri);

impl Url {
    /// Whether the connection is encrypted.
    pub fn tls(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }

    /// A name or an address; IPv6 without its brackets.
    pub fn host(&self) -> &str {
        let host = self.0.host().unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    pub fn port(&self) -> u16 {
        let default = if self.tls() { 443 } else { 80 };
        self.0.port_u16().unwrap_or(default)
    }

    /// What the `Host` header of a request says.
    pub fn authority(&self) -> &str {
        self.0.authority().map_or("", Authority::as_str)
    }

    /// What is asked for there, with its query.
    pub fn path(&self) -> &str {
        self.0.path_and_query().map_or("/", |path| path.as_str())
    }

    /// Where a server leads that is asked for this: another path of its own, or another address.
    ///
    /// # Errors
    /// Where that is no address, or one without encryption while this has it.
    pub fn join(&self, location: &str) -> Result<Self, String> {
        let own = location.starts_with('/') && !location.starts_with("//");
        let joined: Self = match own {
            true => {
                let scheme = if self.tls() { "https" } else { "http" };
                format!("{scheme}://{}{location}", self.authority()).parse()?
            }
            false => location.parse()?,
        };
        match self.tls() && !joined.tls() {
            true => Err("only https is followed".to_owned()),
            false => Ok(joined),
        }
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = "an address on the web starts with `http://` or `https://`, and holds no user or password";
        if !text.starts_with("http://") && !text.starts_with("https://") {
            return Err(wrong.to_owned());
        }
        let uri: Uri = text
            .parse()
            .map_err(|error| format!("this is no address on the web: {error}"))?;
        // Not shown: an address that is refused may hold a password.
        if uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err(wrong.to_owned());
        }
        match uri.host() {
            Some(host) if !host.is_empty() && uri.port_u16() != Some(0) => Ok(Self(uri)),
            _ => Err("an address on the web names a host".to_owned()),
        }
    }
}

impl TryFrom<String> for Url {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Url> for String {
    fn from(url: Url) -> String {
        url.0.to_string()
    }
}

/// Without its query, which may hold a token.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.scheme_str().unwrap_or_default();
        write!(f, "{scheme}://{}{}", self.authority(), self.0.path())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_parts_and_their_defaults() {
        let url: Url = "http://chain.example/v1/height?x=1".parse().unwrap();
        let parts = (url.tls(), url.host(), url.port(), url.path());
        assert_eq!(parts, (false, "chain.example", 80, "/v1/height?x=1"));
        let url: Url = "https://[2001:db8::1]:8443".parse().unwrap();
        let parts = (url.tls(), url.host(), url.port(), url.path());
        assert_eq!(parts, (true, "2001:db8::1", 8443, "/"));
        assert_eq!(url.authority(), "[2001:db8::1]:8443");
    }

    #[test]
    fn a_query_is_kept_and_not_shown() {
        let url: Url = "https://chain.example/a?token=b".parse().unwrap();
        assert_eq!(url.to_string(), "https://chain.example/a");
        assert_eq!(format!("{url:?}"), "https://chain.example/a");
        assert_eq!(String::from(url), "https://chain.example/a?token=b");
    }

    #[test]
    fn encryption_is_not_led_away_from() {
        let url: Url = "https://[::1]:8443/a".parse().unwrap();
        assert_eq!(url.join("/c").unwrap().to_string(), "https://[::1]:8443/c");
        let elsewhere = url.join("https://a.example/c").unwrap();
        assert_eq!(elsewhere.to_string(), "https://a.example/c");
        for location in ["//elsewhere/c", "http://a.example/c", "c", ""] {
            assert!(url.join(location).is_err(), "{location}");
        }
        let plain: Url = "http://chain.example/a".parse().unwrap();
        assert!(plain.join("http://a.example/c").is_ok());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "chain.example",
            "ftp://chain.example",
            "http://",
            "http://user:secret@chain.example",
            "http://a b",
            "http://chain.example:0/",
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
