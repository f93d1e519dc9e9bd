//! TLS: whether there is any, whom it trusts, and who is not to be trusted.

use crate::causes::causes;
use reqwest::ClientBuilder;
use std::{any::TypeId, error::Error};

/// Whether reqwest was built with TLS, by this crate's feature `tls` or by a
/// feature of reqwest's that somebody else in the program asked for.
pub(crate) fn is_built_in() -> bool {
    // reqwest's own method comes before a trait's of the same name, where
    // reqwest has it: with TLS only. It gives a builder, and this nothing.
    #[allow(dead_code, reason = "with TLS nobody calls it")]
    trait Without: Sized {
        fn tls_info(self, _: bool) {}
    }
    impl Without for ClientBuilder {}
    fn given<T: 'static>(_: impl FnOnce(ClientBuilder, bool) -> T) -> TypeId {
        TypeId::of::<T>()
    }
    given(ClientBuilder::tls_info) == TypeId::of::<ClientBuilder>()
}

/// Whether an error says that the server's certificate is wrong, and not only
/// too early or late: that is mended while a program runs. Errors of rustls
/// are known with the feature `tls`; of other errors, and without it, the
/// answer is `false`.
#[must_use]
pub fn is_untrusted(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(is_wrong_certificate)
}

#[cfg(feature = "tls")]
fn is_wrong_certificate(error: &(dyn Error + 'static)) -> bool {
    use rustls::CertificateError::{
        Expired, ExpiredContext, NotValidYet, NotValidYetContext,
    };
    match error.downcast_ref() {
        Some(rustls::Error::InvalidCertificate(why)) => !matches!(
            why,
            Expired
                | ExpiredContext { .. }
                | NotValidYet
                | NotValidYetContext { .. }
        ),
        _ => false,
    }
}

#[cfg(not(feature = "tls"))]
fn is_wrong_certificate(_: &(dyn Error + 'static)) -> bool {
    false
}

// ANCHOR: tls
/// TLS for reqwest, async or blocking, as
/// [`ClientBuilder::tls_backend_preconfigured`] takes it: [`http`](crate::http)
/// has it already.
///
/// It trusts the certificates of the system, or of the file that the variable
/// `SSL_CERT_FILE` names; Mozilla's where there are none, as in many a
/// container. ring does the arithmetic: it builds in seconds, and needs no
/// more than a C compiler.
///
/// ```
/// let http = reqwest::Client::builder()
///     .tls_backend_preconfigured(event_client::tls::config())
///     .build()?;
/// # Ok::<_, reqwest::Error>(())
/// ```
#[cfg(feature = "tls")]
#[must_use]
pub fn config() -> rustls::ClientConfig {
    use rustls::{ClientConfig, RootCertStore, crypto::ring};

    let mut roots = RootCertStore::empty();
    // One that cannot be read is one that nobody is vouched for by.
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let provider = std::sync::Arc::new(ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap_or_else(|_| unreachable!("ring speaks TLS 1.2 and 1.3"))
        .with_root_certificates(roots)
        .with_no_client_auth()
}
// ANCHOR_END: tls
