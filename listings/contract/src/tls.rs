//! A TCP stream, plain or below TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;

#[cfg(feature = "tls")]
pub use with_tls::Trust;

/// Whose certificates are trusted. Nobody's: this was built without the
/// feature `tls`, so there is no value of this type.
#[cfg(not(feature = "tls"))]
#[derive(Clone, Debug)]
pub enum Trust {}

#[cfg(not(feature = "tls"))]
impl Trust {
    /// Those of the system.
    ///
    /// # Errors
    /// Always, without the feature `tls`.
    pub fn system() -> Result<Self, String> {
        Err("https needs the feature `tls`".into())
    }

    /// Those in a file in the form PEM.
    ///
    /// # Errors
    /// Always, without the feature `tls`.
    pub fn file(_: &std::path::Path) -> Result<Self, String> {
        Self::system()
    }

    pub(crate) fn over(&self, _: TcpStream, _: &str) -> io::Result<Stream> {
        match *self {}
    }
}

#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Secure(Box<with_tls::Secure>),
}

impl Stream {
    /// What carries it.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            #[cfg(feature = "tls")]
            Self::Secure(tls) => &tls.sock,
        }
    }

    pub(crate) fn is_secure(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    /// Goes on with the handshake, if there is one; whether it is done.
    #[cfg_attr(
        not(feature = "tls"),
        expect(clippy::unnecessary_wraps, reason = "TLS can fail")
    )]
    pub(crate) fn shake_hands(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            #[cfg(feature = "tls")]
            Self::Secure(tls) => {
                if tls.conn.is_handshaking() {
                    tls.conn.complete_io(&mut tls.sock)?;
                }
                Ok(!tls.conn.is_handshaking())
            }
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.shutdown(std::net::Shutdown::Write),
            #[cfg(feature = "tls")]
            Self::Secure(tls) => {
                tls.conn.send_close_notify();
                tls.flush()
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(into),
            #[cfg(feature = "tls")]
            Self::Secure(tls) => tls.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            #[cfg(feature = "tls")]
            Self::Secure(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            #[cfg(feature = "tls")]
            Self::Secure(tls) => tls.flush(),
        }
    }
}

#[cfg(feature = "tls")]
mod with_tls {
    use super::Stream;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
    use std::io;
    use std::net::TcpStream;
    use std::path::Path;
    use std::sync::Arc;

    pub(crate) type Secure = StreamOwned<ClientConnection, TcpStream>;

    /// Whose certificates are trusted.
    #[derive(Clone, Debug)]
    pub struct Trust(Arc<ClientConfig>);

    impl Trust {
        /// Those of the system, or of the file that `SSL_CERT_FILE` names.
        ///
        /// # Errors
        /// If none are found.
        pub fn system() -> Result<Self, String> {
            let found = rustls_native_certs::load_native_certs();
            let why = found.errors.iter().map(ToString::to_string);
            let why = why.collect::<Vec<_>>().join("; ");
            Self::new(found.certs, &format!("on this system; {why}"))
        }

        /// Those in a file in the form PEM, and no others.
        ///
        /// # Errors
        /// If it cannot be read or holds none.
        pub fn file(path: &Path) -> Result<Self, String> {
            let shown = path.display();
            let cannot = |error| format!("{shown}: {error}");
            let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect)
                .map_err(cannot)?;
            Self::new(certificates, &format!("in {shown}"))
        }

        fn new(
            certificates: Vec<CertificateDer<'static>>,
            place: &str,
        ) -> Result<Self, String> {
            let mut roots = RootCertStore::empty();
            let (added, _) = roots.add_parsable_certificates(certificates);
            if added == 0 {
                return Err(format!("no certificate of an authority {place}"));
            }
            let ring = Arc::new(rustls::crypto::ring::default_provider());
            let mut config = ClientConfig::builder_with_provider(ring)
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?
                .with_root_certificates(roots)
                .with_no_client_auth();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Ok(Self(Arc::new(config)))
        }

        pub(crate) fn over(
            &self,
            tcp: TcpStream,
            host: &str,
        ) -> io::Result<Stream> {
            let host = host.trim_matches(['[', ']']).to_owned();
            let host = ServerName::try_from(host).map_err(io::Error::other)?;
            let config = Arc::clone(&self.0);
            let tls = ClientConnection::new(config, host)
                .map_err(io::Error::other)?;
            Ok(Stream::Secure(Box::new(StreamOwned::new(tls, tcp))))
        }
    }
}
