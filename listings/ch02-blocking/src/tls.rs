//! Whom the client trusts, and who does its arithmetic: as in chapter 3.

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::sync::Arc;

// ANCHOR: tls
/// TLS for reqwest: the certificates of the system, or
/// of the file that the variable `SSL_CERT_FILE` names; Mozilla's where there
/// are none, as in many a container. ring does the arithmetic: it builds in
/// seconds, and needs no more than a C compiler.
pub(crate) fn config() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    // One that cannot be read is one that nobody is vouched for by.
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let provider = Arc::new(ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap_or_else(|_| unreachable!("ring speaks TLS 1.2 and 1.3"))
        .with_root_certificates(roots)
        .with_no_client_auth()
}
// ANCHOR_END: tls
