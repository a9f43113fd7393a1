//! Whom this host trusts on the web: its own store of certificate authorities.

use std::path::Path;
use std::sync::Arc;

use rumqttc::tokio_rustls::rustls::crypto::ring;
use rumqttc::tokio_rustls::rustls::pki_types::CertificateDer;
use rumqttc::tokio_rustls::rustls::pki_types::pem::PemObject;
use rumqttc::tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The certificate authorities that the system trusts.
///
/// # Errors
/// Where it trusts none, with what the system said of that.
pub fn system_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Of the many that a system holds, some old one that cannot be read is no reason to trust none.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(": {error}"));
        return Err(why.unwrap_or_default());
    }
    Ok(roots)
}

/// What a connection to the web is encrypted with, where whoever is asked is vouched for by the authority in this file (PEM),
/// or by one of the system's.
pub(super) fn config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let roots = match ca_file {
        Some(file) => roots_of(file).map_err(|why| format!("{}: {why}", file.display()))?,
        None => system_roots().map_err(|why| {
            format!("the system trusts no certificate authority (install `ca-certificates`){why}")
        })?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn roots_of(file: &Path) -> Result<RootCertStore, String> {
    let text = std::fs::read(file).map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        let added = roots.add(certificate);
        added.map_err(|error| error.to_string())?;
    }
    match roots.is_empty() {
        true => Err("holds no certificate in PEM".to_owned()),
        false => Ok(roots),
    }
}
