//! Whom the client trusts, and who does its arithmetic.

#[cfg(feature = "tls")]
use rustls::{ClientConfig, RootCertStore, crypto::ring};
#[cfg(feature = "tls")]
use std::{error::Error, io, sync::Arc};

// ANCHOR: tls
/// TLS for reqwest: the certificates of the system, or of the file that the
/// variable `SSL_CERT_FILE` names; Mozilla's where there are none, as in many
/// a container. ring does the arithmetic: it builds in seconds, and needs no
/// more than a C compiler.
///
/// For a client of your own:
/// `reqwest::Client::builder().tls_backend_preconfigured(config())`.
#[cfg(feature = "tls")]
#[must_use]
pub fn config() -> ClientConfig {
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

/// Whether the server's certificate is wrong, and not only too early or late:
/// that is mended while a program runs.
#[cfg(feature = "tls")]
#[must_use]
pub fn is_untrusted(error: &reqwest::Error) -> bool {
    use rustls::CertificateError::{
        Expired, ExpiredContext, NotValidYet, NotValidYetContext,
    };
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(why)) =
            error.downcast_ref()
        {
            return !matches!(
                why,
                Expired
                    | ExpiredContext { .. }
                    | NotValidYet
                    | NotValidYetContext { .. }
            );
        }
        // An I/O error leaves what it wraps out of its sources.
        let io = error.downcast_ref::<io::Error>();
        cause = match io.and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    false
}

/// Whether the server's certificate is wrong: never, without TLS.
#[cfg(not(feature = "tls"))]
#[must_use]
pub const fn is_untrusted(_: &reqwest::Error) -> bool {
    false
}
