//! TLS at the front door: the certificate that it shows, which may change while the relay runs.
//!
//! It makes TagIO's connections look like others and keeps pages private; who the relay is, clients learn by Noise
//! inside.

pub(crate) mod acme;
mod files;

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use anyhow::{Context, Result};
use rustls::{
    ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{carrier::Rewound, config::CertificateSource};

/// What is spoken inside, unless the client asks for [`ALPN_HTTP2`].
const ALPN: &[u8] = b"http/1.1";
/// HTTP/2 (RFC 9113, 3.2), and nothing else then.
const ALPN_HTTP2: &[u8] = b"h2";
/// What an authority speaks that looks whether a name leads here (RFC 8737).
const ALPN_CHALLENGE: &[u8] = b"acme-tls/1";

/// The front door's TLS.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    certificates: Arc<Certificates>,
}

impl Tls {
    /// With the certificate from `source`; what is made for it is kept in `data_dir`.
    pub(crate) fn load(source: &CertificateSource, data_dir: &Path) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let shown = Arc::new(files::load(source, data_dir)?);
        let certificates = Arc::new(Certificates(RwLock::new(Shown { shown, challenges: HashMap::new() })));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("TLS cannot be set up")?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificates) as _);
        // In the order of preference: a browser offers both.
        config.alpn_protocols = vec![ALPN_HTTP2.to_vec(), ALPN.to_vec()];
        if let CertificateSource::Acme(_) = source {
            config.alpn_protocols.push(ALPN_CHALLENGE.to_vec());
        }
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificates })
    }

    /// What is shown, for others who speak TLS for this relay.
    pub(crate) fn certificates(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::clone(&self.certificates) as _
    }

    /// SHA-256 of the certificate that is shown now.
    pub(crate) fn fingerprint(&self) -> Option<[u8; 32]> {
        self.certificates.read().shown.cert.first().map(|leaf| Sha256::digest(leaf).into())
    }

    /// Shows what `source` gives now to everybody who comes from now on.
    pub(crate) fn reload(&self, source: &CertificateSource, data_dir: &Path) -> Result<()> {
        self.show(files::load(source, data_dir)?);
        Ok(())
    }

    /// Shows this to everybody who comes from now on.
    fn show(&self, certificate: CertifiedKey) {
        self.certificates.write().shown = Arc::new(certificate);
    }

    /// Shows this to the authority that asks for `name`, or nothing any more.
    fn challenge(&self, name: &str, certificate: Option<CertifiedKey>) {
        let challenges = &mut self.certificates.write().challenges;
        match certificate {
            Some(certificate) => drop(challenges.insert(name.to_owned(), Arc::new(certificate))),
            None => drop(challenges.remove(name)),
        }
    }

    /// The relay's side of a handshake at another door, where no authority comes.
    pub(crate) async fn accept_plain<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.acceptor.accept(stream).await
    }

    /// The relay's side of the handshake.
    pub(crate) async fn accept(&self, stream: Rewound<TcpStream>) -> io::Result<Inside> {
        let stream = self.acceptor.accept(stream).await?;
        Ok(match stream.get_ref().1.alpn_protocol() {
            Some(ALPN_CHALLENGE) => Inside::Nothing,
            Some(ALPN_HTTP2) => Inside::Http2(Box::new(stream)),
            _ => Inside::Anything(Box::new(stream)),
        })
    }
}

/// What a client speaks inside TLS.
pub(crate) enum Inside {
    /// Its first bytes will tell.
    Anything(Box<TlsStream<Rewound<TcpStream>>>),
    /// It has chosen HTTP/2.
    Http2(Box<TlsStream<Rewound<TcpStream>>>),
    /// It is an authority, which has seen all that it wants to see.
    Nothing,
}

/// What is shown to clients now.
#[derive(Debug)]
struct Shown {
    /// Whatever name they ask for.
    shown: Arc<CertifiedKey>,
    /// By name, to an authority. Grows with the configured names only.
    challenges: HashMap<String, Arc<CertifiedKey>>,
}

#[derive(Debug)]
struct Certificates(RwLock<Shown>);

impl Certificates {
    fn read(&self) -> RwLockReadGuard<'_, Shown> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Shown> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let is_challenge = hello.alpn().is_some_and(|mut offers| offers.all(|offer| offer == ALPN_CHALLENGE));
        if is_challenge {
            return self.read().challenges.get(hello.server_name()?).cloned();
        }
        Some(Arc::clone(&self.read().shown))
    }
}
