//! TLS 1.3 between a client and a relay. Who the relay is, its greeting proves inside, bound to the channel by the
//! exporter; data connections then take the certificate of that channel and no other.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    version::TLS13,
};
use tagio_wire::tunnel::TUNNEL_EXPORTER;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};

/// Asked for where a relay has no name. The certificate's names prove nothing here.
const NO_NAME: &str = "tagio-relay";

/// The client's side for one session. The first connection takes any certificate, the later ones only that.
#[derive(Clone)]
pub struct SessionTls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl SessionTls {
    /// For a relay at this name or address.
    pub fn new(host: &str) -> Self {
        let name = ServerName::try_from(name(host).to_owned()).expect("what is no name was replaced by one");
        Self { connector: TlsConnector::from(Arc::new(client_config(&[]))), name }
    }

    /// Wraps a connection.
    pub async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await.map(TlsStream::Client)
    }
}

/// What TLS is told that the relay is called: it may have come by an odd address.
pub(super) fn name(host: &str) -> &str {
    if ServerName::try_from(host).is_ok() { host } else { NO_NAME }
}

/// Settings of one session, by TLS or QUIC: tickets and the certificate are kept for its further connections.
pub(super) fn client_config(alpn: &[&[u8]]) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let verifier = SameCertificate { provider: Arc::clone(&provider), first: OnceLock::new() };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("ring has what TLS 1.3 needs")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

/// What a greeting in this channel is bound to (RFC 8446, 7.5).
pub(super) fn binding(stream: &TlsStream<TcpStream>) -> io::Result<[u8; 32]> {
    let exported = match stream {
        TlsStream::Client(stream) => {
            stream.get_ref().1.export_keying_material([0; 32], TUNNEL_EXPORTER, Some(b""))
        }
        TlsStream::Server(stream) => {
            stream.get_ref().1.export_keying_material([0; 32], TUNNEL_EXPORTER, Some(b""))
        }
    };
    exported.map_err(io::Error::other)
}

/// Takes the first certificate that it sees, and that one for ever. Signatures are always checked.
#[derive(Debug)]
struct SameCertificate {
    provider: Arc<CryptoProvider>,
    first: OnceLock<CertificateDer<'static>>,
}

impl ServerCertVerifier for SameCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.first.get_or_init(|| end_entity.clone().into_owned()) == end_entity {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not offered".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
