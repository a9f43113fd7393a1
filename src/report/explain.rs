//! Why there is no connection, in words that help.

use std::io;

use rumqttc::tokio_rustls::rustls::{self, AlertDescription, CertificateError};
use rumqttc::{ConnectReturnCode, ConnectionError, StateError};

use super::dial;
use crate::clock::Timestamp;

/// Why a connection could not be made or was lost.
#[derive(Debug)]
pub(super) struct Why {
    /// For people: what happened and what to do.
    pub text: String,
    /// Whether it was the broker that closed a connection that stood.
    pub closed_by_broker: bool,
}

impl Why {
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            closed_by_broker: false,
        }
    }
}

/// What an error of the client means; `accepted` says whether the broker had accepted the connection.
pub(super) fn explain(error: &ConnectionError, accepted: bool) -> Why {
    match error {
        ConnectionError::ConnectionRefused(code) => Why::new(refused(*code)),
        ConnectionError::Io(error) => Why::new(error.to_string()),
        ConnectionError::NetworkTimeout => Why::new(format!(
            "the broker did not answer within {} s; is it a broker?",
            dial::DEADLINE.as_secs()
        )),
        ConnectionError::FlushTimeout => Why::new("the broker takes nothing more"),
        ConnectionError::MqttState(StateError::AwaitPingResp) => {
            Why::new("the broker does not answer a ping")
        }
        ConnectionError::MqttState(error) => lost(error, accepted),
        other => Why::new(other.to_string()),
    }
}

fn lost(error: &StateError, accepted: bool) -> Why {
    let io = chain(error).find_map(|cause| cause.downcast_ref::<io::Error>());
    if let Some(error) = io.filter(|error| tls_error(error).is_some()) {
        return Why::new(tls(error).to_string());
    }
    let closed = matches!(error, StateError::ConnectionAborted) || io.is_some_and(is_closing);
    let text = match (closed, io) {
        (true, _) if accepted => "the broker closed the connection".to_owned(),
        (true, _) => {
            "the broker closed the connection before it said a word: is `url` right, `mqtts://` or `mqtt://`, and the port?".to_owned()
        }
        (false, Some(error)) => format!("the connection to the broker was lost: {error}"),
        (false, None) => format!("the broker breaks the protocol: {error}"),
    };
    Why {
        text,
        closed_by_broker: closed && accepted,
    }
}

fn is_closing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe
    )
}

fn refused(code: ConnectReturnCode) -> String {
    match code {
        ConnectReturnCode::BadUserNamePassword => {
            "the broker refuses the user name or the password (keys `username`, `password-file`)".to_owned()
        }
        ConnectReturnCode::NotAuthorized => {
            "the broker says that this device is not authorised: check `username`, `password-file` or the client certificate, and the broker's access list".to_owned()
        }
        ConnectReturnCode::BadClientId => {
            "the broker refuses the client identifier (key `client-id`)".to_owned()
        }
        ConnectReturnCode::ServiceUnavailable => "the broker is not available for now".to_owned(),
        ConnectReturnCode::RefusedProtocolVersion => {
            "the broker does not speak MQTT 3.1.1".to_owned()
        }
        ConnectReturnCode::Success => "the broker refused with the code of success".to_owned(),
    }
}

/// What an error of the TLS handshake means.
pub(super) fn tls(error: &io::Error) -> io::Error {
    let text = match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(certificate)) => broker_certificate(certificate),
        Some(rustls::Error::AlertReceived(alert)) => alert_text(*alert),
        Some(rustls::Error::InvalidMessage(_)) => {
            "the broker does not speak TLS on this port".to_owned()
        }
        _ => format!("TLS failed: {error}"),
    };
    io::Error::other(text)
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn broker_certificate(error: &CertificateError) -> String {
    let why = match error {
        CertificateError::UnknownIssuer => {
            "nobody whom the device trusts vouches for it (key `ca-file`)".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name than that in `url`".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!(
                "it is not valid yet: the device's clock says {}; is that right?",
                Timestamp::now()
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!(
                "it has expired: the device's clock says {}",
                Timestamp::now()
            )
        }
        other => other.to_string(),
    };
    format!("the broker's certificate is refused: {why}")
}

fn alert_text(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired
        | AlertDescription::HandshakeFailure
        | AlertDescription::BadCertificate
        | AlertDescription::UnknownCA
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::AccessDenied => format!(
            "the broker refuses the client certificate ({alert:?}); check `cert-file` and `key-file`"
        ),
        AlertDescription::ProtocolVersion => "the broker does not speak TLS 1.3".to_owned(),
        other => format!("the broker ended TLS: {other:?}"),
    }
}

fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}
