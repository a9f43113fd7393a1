//! Who may change something: HTTP Basic authentication (RFC 7617), as the stock device has it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue};
use hyper::http::uri::Authority;
use tokio::time::sleep;

use super::super::door;

/// The stock device's user; the tools have it built in.
const USER: &str = "bobcat";

/// The stock device's password, which the whole world knows.
const STOCK_PASSWORD: &str = "miner";

/// The shortest password of an owner's own.
const SHORTEST: usize = 8;

/// How long a wrong password waits for its answer, so that guessing is slow.
const WRONG: Duration = Duration::from_secs(1);

/// A user and a password. Only a hash of them is kept.
#[derive(Clone)]
pub struct Credentials(blake3::Hash);

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// A password that would be no protection.
#[derive(Debug, thiserror::Error)]
#[error(
    "the password has {0} characters; at least {SHORTEST} are needed, without control characters"
)]
pub struct BadPassword(usize);

impl Credentials {
    /// The stock user with a password of the owner's own.
    ///
    /// # Errors
    /// Where it is too short, or cannot be sent in a header.
    pub fn new(password: &str) -> Result<Self, BadPassword> {
        let length = password.chars().count();
        if length < SHORTEST || password.chars().any(char::is_control) {
            return Err(BadPassword(length));
        }
        Ok(Self::of(password))
    }

    /// What every stock device takes.
    pub fn stock() -> Self {
        Self::of(STOCK_PASSWORD)
    }

    fn of(password: &str) -> Self {
        Self(blake3::hash(format!("{USER}:{password}").as_bytes()))
    }

    /// Compares in a time that does not depend on where the two differ: hashes of BLAKE3 compare so.
    fn match_header(&self, headers: &HeaderMap) -> bool {
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        let (Some(shown), None) = (shown.next(), shown.next()) else {
            return false;
        };
        let decoded = shown
            .as_bytes()
            .split_at_checked("Basic ".len())
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Basic "))
            .and_then(|(_, text)| STANDARD.decode(text.trim_ascii()).ok());
        decoded.is_some_and(|decoded| blake3::hash(&decoded) == self.0)
    }
}

/// Why somebody is turned away: a status, and a message in the stock device's form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused(pub StatusCode, pub &'static str);

/// Lets in who shows the credentials, and asks from no page of another site. `names` are those of this host.
pub(super) async fn admit(
    credentials: Option<&Credentials>,
    headers: &HeaderMap,
    names: &[String],
) -> Result<(), Refused> {
    if is_rebound(headers, names) {
        return Err(Refused(
            StatusCode::FORBIDDEN,
            "this host is not called so: use its address, or add the name to [http] names",
        ));
    }
    if is_foreign(headers) {
        return Err(Refused(
            StatusCode::FORBIDDEN,
            "a page of another site may not ask this",
        ));
    }
    let Some(credentials) = credentials else {
        return Err(Refused(
            StatusCode::FORBIDDEN,
            "nobody may change anything here: set [bobcat] password-file, or stock-credentials = true",
        ));
    };
    match credentials.match_header(headers) {
        true => Ok(()),
        false => {
            if headers.contains_key(AUTHORIZATION) {
                sleep(WRONG).await;
            }
            Err(Refused(StatusCode::UNAUTHORIZED, "Unauthorized"))
        }
    }
}

/// A name that is not ours may be another site's that leads here for the moment: its pages would be this host's own.
fn is_rebound(headers: &HeaderMap, names: &[String]) -> bool {
    let is_ours = |host: &HeaderValue| {
        let host = Authority::try_from(host.as_bytes());
        host.is_ok_and(|host| door::is_ours(host.host(), names))
    };
    !headers.get_all(HOST).iter().all(is_ours)
}

/// A browser says from which site's page a request comes; who says nothing is no browser.
fn is_foreign(headers: &HeaderMap) -> bool {
    let host = headers
        .get(HOST)
        .and_then(|host| Authority::try_from(host.as_bytes()).ok());
    match host {
        Some(host) => door::check_origin(headers, &host).is_err(),
        None => headers.contains_key("origin"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        all.iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    async fn status(credentials: Option<&Credentials>, all: &[(&'static str, &str)]) -> u16 {
        let admitted = admit(credentials, &headers(all), &["attic".to_owned()]).await;
        admitted
            .err()
            .map_or(200, |Refused(status, _)| status.as_u16())
    }

    #[tokio::test(start_paused = true)]
    async fn the_header_that_the_tools_have_built_in_is_that_of_the_stock_credentials() {
        let stock = Credentials::stock();
        let right = ("authorization", "Basic Ym9iY2F0Om1pbmVy");
        assert_eq!(status(Some(&stock), &[right]).await, 200);
        assert_eq!(status(None, &[right]).await, 403);
        for wrong in [
            "Basic Ym9iY2F0Om1pbmVyIQ==",
            "Bearer Ym9iY2F0Om1pbmVy",
            "Basic",
            "Basic %%%",
            "",
        ] {
            assert_eq!(
                status(Some(&stock), &[("authorization", wrong)]).await,
                401,
                "{wrong}"
            );
        }
        assert_eq!(status(Some(&stock), &[]).await, 401);
        let own = Credentials::new("a long password").unwrap();
        assert_eq!(status(Some(&own), &[right]).await, 401);
        let header = format!("basic {}", STANDARD.encode("bobcat:a long password"));
        assert_eq!(status(Some(&own), &[("authorization", &header)]).await, 200);
    }

    #[tokio::test]
    async fn a_page_of_another_site_is_turned_away_and_the_device_s_own_is_not() {
        let stock = Credentials::stock();
        let right = ("authorization", "Basic Ym9iY2F0Om1pbmVy");
        for (origin, expected) in [
            ("http://192.0.2.7", 200),
            ("http://evil.example", 403),
            ("null", 403),
        ] {
            let all = [right, ("host", "192.0.2.7"), ("origin", origin)];
            assert_eq!(status(Some(&stock), &all).await, expected, "{origin}");
        }
        assert_eq!(
            status(Some(&stock), &[right, ("origin", "http://192.0.2.7")]).await,
            403
        );
    }

    #[tokio::test]
    async fn a_name_of_another_site_that_leads_here_is_turned_away_and_the_own_names_are_not() {
        let stock = Credentials::stock();
        let right = ("authorization", "Basic Ym9iY2F0Om1pbmVy");
        for (host, expected) in [
            ("192.0.2.7", 200),
            ("192.0.2.7:80", 200),
            ("[2001:db8::7]:80", 200),
            ("localhost", 200),
            ("Attic", 200),
            ("evil.example", 403),
            ("attic.evil.example", 403),
            ("192.0.2.7@evil.example", 403),
        ] {
            // What a page of that name sends: its own name as the origin too.
            let origin = format!("http://{host}");
            let all = [right, ("host", host), ("origin", origin.as_str())];
            assert_eq!(status(Some(&stock), &all).await, expected, "{host}");
        }
    }

    #[test]
    fn a_password_that_could_be_guessed_is_refused_and_a_good_one_is_not_printed() {
        for weak in ["", "miner", "1234567", "with\ttabs and more"] {
            assert!(Credentials::new(weak).is_err(), "{weak:?}");
        }
        let own = Credentials::new("a long password").unwrap();
        assert_eq!(format!("{own:?}"), "Credentials(…)");
    }
}
