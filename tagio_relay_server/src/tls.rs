//! TLS at the front door: the certificate, where it comes from, and how it changes while the relay runs.
//!
//! It makes TagIO's connections look like others and keeps pages private; who the relay is, clients learn by Noise
//! inside.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use anyhow::{Context, Result, bail};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use zeroize::Zeroizing;

use crate::{carrier::Rewound, config::CertificateSource};

/// Names of the self-signed certificate's files in the data directory.
const CERT_FILE: &str = "tls-cert.pem";
const KEY_FILE: &str = "tls-key.pem";
/// The only name that the self-signed certificate has: nobody can check it anyway.
const SELF_SIGNED_NAME: &str = "tagio-relay";
/// What is spoken inside.
const ALPN: &[u8] = b"http/1.1";

/// The front door's TLS.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

impl Tls {
    /// With the certificate from `source`; a self-signed one is kept in `data_dir`.
    pub(crate) fn load(source: &CertificateSource, data_dir: &Path) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let key = load(source, data_dir, &provider)?;
        let certificate = Arc::new(Certificate(RwLock::new(Arc::new(key))));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("TLS cannot be set up")?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as _);
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate })
    }

    /// Shows what `source` gives now to everybody who comes from now on.
    pub(crate) fn reload(&self, source: &CertificateSource, data_dir: &Path) -> Result<()> {
        let key = load(source, data_dir, &ring::default_provider())?;
        *self.certificate.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
        Ok(())
    }

    /// The relay's side of the handshake.
    pub(crate) async fn accept(
        &self,
        stream: Rewound<TcpStream>,
    ) -> io::Result<TlsStream<Rewound<TcpStream>>> {
        self.acceptor.accept(stream).await
    }
}

/// What is shown to clients now, whatever name they ask for.
#[derive(Debug)]
struct Certificate(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn load(source: &CertificateSource, data_dir: &Path, provider: &CryptoProvider) -> Result<CertifiedKey> {
    match source {
        CertificateSource::Files { cert, key } => read(cert, key, provider),
        CertificateSource::SelfSigned => {
            let (cert, key) = (data_dir.join(CERT_FILE), data_dir.join(KEY_FILE));
            if !exists(&cert)? || !exists(&key)? {
                make_self_signed(&cert, &key)?;
            }
            read(&cert, &key, provider)
        }
    }
}

fn exists(path: &Path) -> Result<bool> {
    path.try_exists().with_context(|| format!("cannot read {}", path.display()))
}

/// The chain in `cert`, leaf first, and the key that belongs to it.
fn read(cert: &PathBuf, key: &PathBuf, provider: &CryptoProvider) -> Result<CertifiedKey> {
    let (cert_shown, key_shown) = (cert.display(), key.display());
    let pem = fs::read(cert).with_context(|| format!("cannot read the certificate {cert_shown}"))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .with_context(|| format!("{cert_shown} is no certificate in PEM form"))?;
    if chain.is_empty() {
        bail!("{cert_shown} has no certificate in PEM form");
    }
    let pem = fs::read(key).with_context(|| format!("cannot read the key {key_shown}"))?;
    let private = PrivateKeyDer::from_pem_slice(&Zeroizing::new(pem))
        .with_context(|| format!("{key_shown} has no private key in PEM form"))?;
    CertifiedKey::from_der(chain, private, provider)
        .with_context(|| format!("the key in {key_shown} does not go with the certificate in {cert_shown}"))
}

fn make_self_signed(cert: &Path, key: &Path) -> Result<()> {
    let made = rcgen::generate_simple_self_signed([SELF_SIGNED_NAME.to_owned()])
        .context("cannot make a certificate")?;
    let private = Zeroizing::new(made.signing_key.serialize_pem());
    for (path, text) in [(key, private.as_str()), (cert, &made.cert.pem())] {
        tagio_process::write_private(path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
