//! What the device shows to the broker and whom it trusts; read anew for each connection, so that a
//! certificate can be renewed without a restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rumqttc::tokio_rustls::rustls::crypto::ring;
use rumqttc::tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use rumqttc::tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rumqttc::tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::Settings;
use crate::config::secret::{self, Secret};
use crate::web::tls;

/// What a connection needs beside the address.
#[derive(Debug)]
pub(super) struct Credentials {
    pub password: Option<Secret>,
    /// Present where the connection is encrypted.
    pub tls: Option<Arc<ClientConfig>>,
}

/// Why they cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    File(#[from] secret::Error),
    #[error("{} holds no {what} in PEM: {source}", path.display())]
    Pem {
        path: PathBuf,
        what: &'static str,
        source: pem::Error,
    },
    #[error("{} holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    #[error(
        "the system trusts no certificate authority (install `ca-certificates`, or name the broker's with `ca-file`){0}"
    )]
    NoRoots(String),
    #[error("the client certificate {} cannot be used with its key: {source}", path.display())]
    Unfit {
        path: PathBuf,
        source: rustls::Error,
    },
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl Credentials {
    /// Reads the files that the settings name. It may block on them.
    pub fn load(settings: &Settings) -> Result<Self, Error> {
        let password = settings.password_file.as_deref().map(secret::read);
        let tls = settings.broker.tls.then(|| client_config(settings));
        Ok(Self {
            password: password.transpose()?,
            tls: tls.transpose()?.map(Arc::new),
        })
    }
}

/// Who may vouch for the broker.
pub(super) fn roots(settings: &Settings) -> Result<RootCertStore, Error> {
    match &settings.ca_file {
        Some(path) => roots_from(path),
        None => tls::system_roots().map_err(Error::NoRoots),
    }
}

/// How the connection is encrypted.
pub(super) fn client_config(settings: &Settings) -> Result<ClientConfig, Error> {
    let roots = roots(settings)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let (Some(cert_file), Some(key_file)) = (&settings.cert_file, &settings.key_file) else {
        return Ok(builder.with_no_client_auth());
    };
    let key = PrivateKeyDer::from_pem_slice(secret::read(key_file)?.expose().as_bytes()).map_err(
        |source| Error::Pem {
            path: key_file.clone(),
            what: "private key",
            source,
        },
    )?;
    builder
        .with_client_auth_cert(certificates(cert_file)?, key)
        .map_err(|source| Error::Unfit {
            path: cert_file.clone(),
            source,
        })
}

/// The certificates in a file, the owner's own first.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = secret::read_public(path)?;
    let certificates = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| Error::Pem {
            path: path.to_owned(),
            what: "certificate",
            source,
        })?;
    if certificates.is_empty() {
        return Err(Error::NoCertificate(path.to_owned()));
    }
    Ok(certificates)
}

fn roots_from(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}
