//! TLS of the server: rustls with ring, one certificate chain; clients may show a certificate of a
//! CA that is named, or none. One of another CA, or out of its time, fails the handshake. Where a
//! CA is named no session is resumed, so that each connection shows a certificate of today.
//!
//! Refuses: a certificate without its key or the other way round; files without PEM; plain text on
//! a TLS port. Versions are TLS 1.2 and 1.3, as rustls offers them.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use ledgerline_client::Misconfigured;
use ledgerline_client::secret_file::warn_of;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
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

/// The files of the settings.
#[derive(Debug, Clone, Copy, Default)]
pub struct Files<'f> {
    /// The certificate chain.
    pub cert: Option<&'f Path>,
    /// Its key.
    pub key: Option<&'f Path>,
    /// The CAs whose certificates clients may show.
    pub client_ca: Option<&'f Path>,
}

/// The acceptor for the configured files; `None` when none is named.
///
/// # Errors
/// When only one of chain and key is named, or a CA without them, or a file cannot be used.
pub fn acceptor(files: Files<'_>) -> anyhow::Result<Option<TlsAcceptor>> {
    match (files.cert, files.key) {
        (None, None) if files.client_ca.is_some() => {
            Err(Misconfigured::new("tls_client_ca needs tls_cert and tls_key").into())
        }
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => load(cert, key, files.client_ca).map(Some),
        _ => Err(Misconfigured::new("tls_cert and tls_key go together").into()),
    }
}

fn refuse(path: &Path, error: &dyn std::fmt::Display) -> Misconfigured {
    Misconfigured::new(format!("{}: {error}", path.display()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Misconfigured> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|error| refuse(path, &error))
}

/// Takes certificates of these CAs, and clients without one. Revocation lists are not looked at:
/// what is to end is ended at the ledger, by its key.
fn client_verifier(ca: &Path) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for one in certificates(ca)? {
        roots.add(one).map_err(|error| refuse(ca, &error))?;
    }
    if roots.is_empty() {
        return Err(refuse(ca, &"it holds no certificate").into());
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    Ok(verifier.allow_unauthenticated().build().map_err(|error| refuse(ca, &error))?)
}

fn load(cert: &Path, key: &Path, client_ca: Option<&Path>) -> anyhow::Result<TlsAcceptor> {
    let chain = certificates(cert)?;
    warn_of(key);
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| refuse(key, &error))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    let builder = match client_ca {
        Some(ca) => builder.with_client_cert_verifier(client_verifier(ca)?),
        None => builder.with_no_client_auth(),
    };
    let mut config =
        builder.with_single_cert(chain, private).map_err(|error| refuse(cert, &error))?;
    if client_ca.is_some() {
        // A resumed session shows no certificate: one that ended would live on.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
