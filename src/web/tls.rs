//! Whom this host trusts on the web: its own store of certificate authorities.

use std::io;
use std::sync::Arc;

use rumqttc::tokio_rustls::rustls::crypto::ring;
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

/// What a connection to the web is encrypted with.
pub(super) fn config() -> io::Result<Arc<ClientConfig>> {
    let roots = system_roots().map_err(|why| {
        io::Error::other(format!(
            "the system trusts no certificate authority (install `ca-certificates`){why}"
        ))
    })?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
