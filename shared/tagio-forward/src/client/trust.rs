//! Which certificates a client believes.

use std::{fmt, path::PathBuf, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::wire;

/// Which certificates are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those that the system trusts, for the right name.
    System,
    /// Those by the authorities in this file (PEM), for the right name.
    Authority(PathBuf),
    /// The one with this SHA-256, whatever its name.
    Pinned([u8; 32]),
    /// All: anybody on the way can read and change everything.
    Anybody,
}

/// There is nothing to check certificates with.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadTrust {
    /// The system has none.
    #[error("this system trusts no authority; give --ca FILE or --pin SHA256")]
    NoRoots,
    /// The file has none.
    #[error("{0} has no certificate in PEM form")]
    NoCertificate(PathBuf),
    /// It is no fingerprint.
    #[error("a fingerprint is 64 hexadecimal digits, with or without colons")]
    NoFingerprint,
}

impl Trust {
    /// From a fingerprint as `openssl x509 -fingerprint -sha256` prints it.
    ///
    /// # Errors
    /// It is none.
    pub fn pinned(text: &str) -> Result<Self, BadTrust> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        if digits.len() != 64 || !digits.is_ascii() {
            return Err(BadTrust::NoFingerprint);
        }
        let mut pin = [0; 32];
        for (byte, at) in pin.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| BadTrust::NoFingerprint)?;
        }
        Ok(Self::Pinned(pin))
    }

    /// TLS of a client that trusts these: the tunnel's ALPN, and early data.
    ///
    /// # Errors
    /// There is nothing to check certificates with.
    pub fn tls(&self) -> Result<ClientConfig, BadTrust> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = self.verifier(&provider)?;
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("ring has the suites of TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        tls.alpn_protocols = vec![wire::ALPN.to_vec()];
        tls.enable_early_data = true;
        Ok(tls)
    }

    /// What checks a server's certificate so.
    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, BadTrust> {
        let roots = match self {
            Self::System => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() { Err(BadTrust::NoRoots) } else { Ok(roots) }
            }
            Self::Authority(path) => authorities(path).ok_or_else(|| BadTrust::NoCertificate(path.clone())),
            Self::Pinned(pin) => {
                return Ok(Arc::new(Lenient { pin: Some(*pin), provider: Arc::clone(provider) }));
            }
            Self::Anybody => return Ok(Arc::new(Lenient { pin: None, provider: Arc::clone(provider) })),
        };
        let built =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots?), Arc::clone(provider)).build();
        Ok(built.expect("there are roots, and no revocation lists"))
    }
}

fn authorities(path: &PathBuf) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).ok()? {
        roots.add(certificate.ok()?).ok()?;
    }
    (!roots.is_empty()).then_some(roots)
}

/// Looks at nothing but a fingerprint. Signatures are still checked: the server owns the certificate's key.
struct Lenient {
    pin: Option<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Lenient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lenient({})", if self.pin.is_some() { "pinned" } else { "anybody" })
    }
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown: [u8; 32] = Sha256::digest(end_entity).into();
        if self.pin.is_some_and(|pin| pin != shown) {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
