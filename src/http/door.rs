//! Who may come in: the unix socket is trusted by its permissions, TCP is not.

use std::net::IpAddr;

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;

use super::reply::Problem;
use crate::protocol::Origin;

/// The shortest token that is taken: 16 random characters cannot be guessed over a network.
const SHORTEST_TOKEN: usize = 16;

/// Through which listener a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// The unix socket: whoever may open it may do everything.
    Unix,
    /// TCP, from this address.
    Tcp(IpAddr),
    /// TCP, to the Bobcat-compatible API, which has its own rules.
    Bobcat(IpAddr),
}

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Look.
    Read,
    /// Change the state of a workload or of the device.
    Change,
}

/// A shared secret. Only a hash of it is kept, so that it can be neither printed nor compared slowly.
#[derive(Clone)]
pub struct Token(blake3::Hash);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A token that would be no protection.
#[derive(Debug, thiserror::Error)]
#[error(
    "the token has {0} characters; at least {SHORTEST_TOKEN} printable ones without spaces are needed (openssl rand -hex 32)"
)]
pub struct BadToken(usize);

impl Token {
    /// Takes the content of a token file; white space around it does not count.
    pub fn new(text: &str) -> Result<Self, BadToken> {
        let text = text.trim();
        if text.len() < SHORTEST_TOKEN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadToken(text.chars().count()));
        }
        Ok(Self(blake3::hash(text.as_bytes())))
    }

    /// Compares in a time that does not depend on where the two differ: hashes of BLAKE3 compare so.
    fn matches(&self, shown: &[u8]) -> bool {
        blake3::hash(shown) == self.0
    }
}

impl Door {
    /// What the engine is told of where a command came from.
    pub fn origin(self) -> Origin {
        match self {
            Door::Unix => Origin::Local,
            Door::Tcp(_) | Door::Bobcat(_) => Origin::Http,
        }
    }

    /// Where the peer is; the unix socket's is this host.
    pub fn peer(self) -> IpAddr {
        match self {
            Door::Unix => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            Door::Tcp(peer) | Door::Bobcat(peer) => peer,
        }
    }

    /// Whether this request may come in through this door.
    pub fn admit(
        self,
        access: Access,
        head: &Parts,
        names: &[String],
        token: Option<&Token>,
    ) -> Result<(), Problem> {
        let peer = match self {
            Door::Unix => return Ok(()),
            Door::Tcp(peer) | Door::Bobcat(peer) => peer,
        };
        let host = check_host(head, names)?;
        check_origin(&head.headers, &host)?;
        // A web page and a reverse proxy on this host come from loopback too: changing needs the token there as well.
        if access == Access::Change || !peer.to_canonical().is_loopback() {
            check_token(&head.headers, token)?;
        }
        Ok(())
    }
}

/// A name that is not ours is another site's that was rebound to our address: its pages would be same-origin here.
/// An address cannot be rebound.
fn check_host(head: &Parts, names: &[String]) -> Result<Authority, Problem> {
    let bad = |message: &str| Problem::new(StatusCode::BAD_REQUEST, "malformed", message);
    let mut hosts = head.headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(bad("a request over TCP needs exactly one Host header"));
    };
    let host = Authority::try_from(host.as_bytes())
        .ok()
        .filter(|host| !host.as_str().contains('@'))
        .ok_or_else(|| bad("the Host header is not a host"))?;
    let asked = [Some(&host), head.uri.authority()];
    let ours = asked
        .into_iter()
        .flatten()
        .all(|host| is_ours(host.host(), names));
    if !ours {
        return Err(forbidden(
            "this host is not called so: use its address or localhost, or add the name to [http] names",
        ));
    }
    Ok(host)
}

/// Whether this host is called so: by an address, as `localhost`, or by one of its names.
pub(super) fn is_ours(host: &str, names: &[String]) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || names.iter().any(|name| name.eq_ignore_ascii_case(host))
}

/// A browser says from which site's page a request comes; only our own pages may ask.
pub(super) fn check_origin(headers: &HeaderMap, host: &Authority) -> Result<(), Problem> {
    let ours = |origin: &HeaderValue| {
        origin
            .to_str()
            .ok()
            .and_then(|origin| origin.split_once("://"))
            .is_some_and(|(scheme, authority)| {
                matches!(scheme, "http" | "https") && authority.eq_ignore_ascii_case(host.as_str())
            })
    };
    let same_site = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
    let foreign = !headers.get_all(ORIGIN).iter().all(ours)
        || !headers.get_all("sec-fetch-site").iter().all(same_site);
    match foreign {
        true => Err(forbidden("a page of another site may not ask this")),
        false => Ok(()),
    }
}

fn check_token(headers: &HeaderMap, token: Option<&Token>) -> Result<(), Problem> {
    let unauthorised = |message: &str| {
        Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorised",
            message,
        ))
    };
    let Some(token) = token else {
        return unauthorised(
            "no token is configured, so this is not taken over TCP: set [http] token-file, or use the unix socket",
        );
    };
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let (Some(shown), None) = (shown.next(), shown.next()) else {
        return unauthorised(
            "this needs the header `Authorization: Bearer` with the token of [http] token-file",
        );
    };
    match bearer(shown.as_bytes()) {
        Some(shown) if token.matches(shown) => Ok(()),
        _ => unauthorised("the token is wrong"),
    }
}

/// The token of `Bearer TOKEN`; the scheme's case does not matter (RFC 9110, 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then_some(token.trim_ascii())
}

fn forbidden(message: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";
    const LOOPBACK: Door = Door::Tcp(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    const REMOTE: Door = Door::Tcp(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)));

    fn admit(door: Door, access: Access, headers: &[(&'static str, &str)]) -> u16 {
        let mut request = hyper::Request::builder().uri("/v1/device");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let token = Token::new(TOKEN).unwrap();
        let names = ["attic.local".to_owned()];
        match door.admit(access, &head, &names, Some(&token)) {
            Ok(()) => 200,
            Err(problem) => problem.status.as_u16(),
        }
    }

    #[test]
    fn the_unix_socket_is_open_to_whoever_may_open_it() {
        assert_eq!(admit(Door::Unix, Access::Change, &[]), 200);
    }

    #[test]
    fn only_a_host_that_cannot_be_rebound_or_is_configured_is_ours() {
        for (host, status) in [
            ("127.0.0.1:8080", 200),
            ("[::1]:8080", 200),
            ("192.0.2.1", 200),
            ("LOCALHOST:8080", 200),
            ("attic.local", 200),
            ("rebound.example:8080", 403),
            ("localhost.rebound.example", 403),
            ("localhost.", 403),
            ("user@localhost", 400),
            ("", 400),
            ("a b", 400),
        ] {
            assert_eq!(
                admit(LOOPBACK, Access::Read, &[("host", host)]),
                status,
                "{host}"
            );
        }
        assert_eq!(admit(LOOPBACK, Access::Read, &[]), 400);
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(admit(LOOPBACK, Access::Read, &twice), 400);
    }

    #[test]
    fn pages_of_other_sites_are_turned_away() {
        for (name, value, status) in [
            ("origin", "http://127.0.0.1:8080", 200),
            ("origin", "http://127.0.0.1:8081", 403),
            ("origin", "http://rebound.example", 403),
            ("origin", "null", 403),
            ("origin", "file://127.0.0.1:8080", 403),
            ("sec-fetch-site", "same-origin", 200),
            ("sec-fetch-site", "none", 200),
            ("sec-fetch-site", "same-site", 403),
            ("sec-fetch-site", "cross-site", 403),
        ] {
            let headers = [("host", "127.0.0.1:8080"), (name, value)];
            assert_eq!(
                admit(LOOPBACK, Access::Read, &headers),
                status,
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn a_change_needs_the_token_everywhere_and_a_look_beyond_loopback() {
        let right = format!("Bearer {TOKEN}");
        let lower = format!("bearer  {TOKEN} ");
        for (shown, status) in [
            (None, 401),
            (Some(right.as_str()), 200),
            (Some(lower.as_str()), 200),
            (Some("Bearer 0123456789abcdeg"), 401),
            (Some("Bearer "), 401),
            (Some("Bearer"), 401),
            (Some("Basic MDEyMzQ1Njc4OWFiY2RlZg=="), 401),
            (Some(TOKEN), 401),
        ] {
            let mut headers = vec![("host", "127.0.0.1")];
            headers.extend(shown.map(|shown| ("authorization", shown)));
            assert_eq!(
                admit(LOOPBACK, Access::Change, &headers),
                status,
                "{shown:?}"
            );
            assert_eq!(admit(REMOTE, Access::Read, &headers), status, "{shown:?}");
            assert_eq!(admit(LOOPBACK, Access::Read, &headers), 200);
        }
    }

    #[test]
    fn loopback_written_as_ipv6_is_loopback() {
        let mapped = Door::Tcp("::ffff:127.0.0.1".parse().unwrap());
        assert_eq!(admit(mapped, Access::Read, &[("host", "localhost")]), 200);
    }

    #[test]
    fn a_token_that_could_be_guessed_is_refused_and_a_good_one_is_not_printed() {
        for weak in [
            "",
            "short",
            "  0123456789  ",
            "0123456789 abcdef",
            "0123456789abcdeü",
        ] {
            assert!(Token::new(weak).is_err(), "{weak:?}");
        }
        let token = Token::new(&format!("{TOKEN}\n")).unwrap();
        assert!(token.matches(TOKEN.as_bytes()));
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}
