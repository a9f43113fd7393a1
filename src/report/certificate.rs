//! How long a certificate is good for: the broker's, as it shows it to this host, and the device's own.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rumqttc::tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use rumqttc::tokio_rustls::rustls::client::{
    WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor,
};
use rumqttc::tokio_rustls::rustls::crypto::ring;
use rumqttc::tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rumqttc::tokio_rustls::rustls::server::ParsedCertificate;
use rumqttc::tokio_rustls::rustls::{
    self, CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use super::credentials::{certificates, client_config, roots};
use super::dial::dial;
use super::settings::Settings;
use crate::blocking::spawn_blocking;
use crate::clock::Timestamp;
use crate::config::Mqtt;
use crate::protocol::Name;

/// When a certificate is good: from its first second to its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Before this it is not good yet.
    pub from: Timestamp,
    /// After this it is good no more.
    pub until: Timestamp,
}

/// What a broker showed of itself.
#[derive(Debug)]
pub struct Shown {
    /// When its certificate is good; `None` without TLS, or where it showed none that can be read.
    pub validity: Option<Validity>,
    /// Whether this host could connect and trusts it; where not, why.
    pub result: Result<(), String>,
}

/// Connects to the broker as the agent does, up to and with TLS, and says nothing to it.
pub async fn of_broker(mqtt: &Mqtt) -> Shown {
    let seen = Arc::default();
    let result = shake_hands(mqtt, &seen).await;
    let shown = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    Shown {
        validity: shown.as_ref().and_then(validity),
        result,
    }
}

/// When each certificate of a file is good, the first of which is its owner's; `None` for one that cannot be read.
///
/// # Errors
/// Where the file cannot be used.
pub fn of_file(file: &Path) -> Result<Vec<Option<Validity>>, String> {
    let chain = certificates(file).map_err(|error| error.to_string())?;
    Ok(chain.iter().map(validity).collect())
}

type Seen = Mutex<Option<CertificateDer<'static>>>;

async fn shake_hands(mqtt: &Mqtt, seen: &Arc<Seen>) -> Result<(), String> {
    let nobody = Name::new("doctor").expect("a name");
    let settings = Settings::new(mqtt, nobody, Vec::new(), 0);
    let (broker, witness) = (settings.broker.clone(), seen.clone());
    let config = spawn_blocking(move || {
        if !settings.broker.tls {
            return Ok(None);
        }
        let mut config = client_config(&settings)?;
        let inner = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots(&settings)?),
            Arc::new(ring::default_provider()),
        );
        let inner = inner
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let watched = Arc::new(Witness { inner, witness });
        config.dangerous().set_certificate_verifier(watched);
        Ok::<_, super::credentials::Error>(Some(Arc::new(config)))
    });
    let config = config.await.map_err(|error| error.to_string())?;
    let config = config.map_err(|error| error.to_string())?;
    dial(broker, config)
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}

/// Judges as the agent does, and keeps what it was shown.
#[derive(Debug)]
struct Witness {
    inner: Arc<WebPkiServerVerifier>,
    witness: Arc<Seen>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let kept = end_entity.clone().into_owned();
        *self.witness.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        self.inner
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// The bounds of a certificate's time, which the library tells of one that is not within them: it is asked about the time before every
/// beginning, and about one past every end. It looks at the time before it looks at who signed.
fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    // The last second that a certificate can name: the year 9999 (RFC 5280, section 4.1.2.5).
    const LAST: u64 = 253_402_300_799;
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let complaint = |seconds: u64| {
        let when = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let nobody = RootCertStore::empty();
        match verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], when, &[]) {
            Err(rustls::Error::InvalidCertificate(complaint)) => Some(complaint),
            _ => None,
        }
    };
    let from = match complaint(0)? {
        CertificateError::NotValidYetContext { not_before, .. } => not_before,
        // It was good at the epoch.
        _ => UnixTime::since_unix_epoch(std::time::Duration::ZERO),
    };
    let CertificateError::ExpiredContext {
        not_after: until, ..
    } = complaint(LAST + 1)?
    else {
        return None;
    };
    let second = |time: UnixTime| Timestamp::from_unix_seconds(time.as_secs().try_into().ok()?);
    Some(Validity {
        from: second(from)?,
        until: second(until)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `openssl req -x509 -newkey ed25519 -days 36500 -set_serial 1 -subj /CN=attic -nodes`.
    const CERTIFICATE: &str = include_str!("certificate_test.pem");

    #[test]
    fn the_bounds_of_a_certificate_are_read() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, CERTIFICATE.as_bytes()).unwrap();
        let [Some(Validity { from, until })] = of_file(file.path()).unwrap()[..] else {
            panic!("one certificate, which can be read");
        };
        assert_eq!(from.to_string(), "2026-11-21T15:20:08.000Z");
        assert_eq!(until.to_string(), "2126-10-28T15:20:08.000Z");
    }
}
