//! TLS of the server: rustls with ring, one certificate chain.
//!
//! Refuses: a certificate without its key or the other way round; files without PEM; plain text on
//! a TLS port. Versions are TLS 1.2 and 1.3, as rustls offers them.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use ledgerline_client::Misconfigured;
use ledgerline_client::secret_file::warn_of;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// The acceptor of new connections; replaced whole.
#[derive(Clone, Default)]
pub struct Tls(Arc<RwLock<Option<TlsAcceptor>>>);

impl Tls {
    /// With an acceptor; plain text without.
    #[must_use]
    pub fn new(acceptor: Option<TlsAcceptor>) -> Self {
        Self(Arc::new(RwLock::new(acceptor)))
    }

    /// The one for the next connection.
    #[must_use]
    pub fn acceptor(&self) -> Option<TlsAcceptor> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether connections are encrypted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.acceptor().is_some()
    }

    /// Encrypts connections with this one from now on.
    pub fn replace(&self, acceptor: TlsAcceptor) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(acceptor);
    }
}

/// The acceptor for the configured files; `None` when neither is named.
///
/// # Errors
/// When only one is named, or a file cannot be used.
pub fn acceptor(cert: Option<&Path>, key: Option<&Path>) -> anyhow::Result<Option<TlsAcceptor>> {
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => load(cert, key).map(Some),
        _ => Err(Misconfigured::new("tls_cert and tls_key go together").into()),
    }
}

fn load(cert: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let refuse = |path: &Path, error: &dyn std::fmt::Display| {
        Misconfigured::new(format!("{}: {error}", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refuse(cert, &error))?;
    warn_of(key);
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| refuse(key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| refuse(cert, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
