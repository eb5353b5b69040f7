//! TLS towards a relay: what looks like any other HTTPS connection.

use std::sync::{Arc, LazyLock};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{BoxedStream, CarrierError};
use crate::any_certificate::AnyCertificate;

/// Inside may be a WebSocket or HTTP requests; what is neither does not mind.
const ALPN: &[u8] = b"http/1.1";

/// Shared, so that a second connection to a relay can resume the first one's secrets.
static CONFIG: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring has what TLS 1.2 and 1.3 need")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate::new(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Arc::new(config)
});

/// Wraps `stream`. No name is checked: who the relay is, Noise proves inside.
pub(super) async fn wrap(stream: BoxedStream, host: &str) -> Result<TlsStream<BoxedStream>, CarrierError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| CarrierError::Name(host.to_owned()))?;
    let connector = TlsConnector::from(Arc::clone(&CONFIG));
    connector.connect(name, stream).await.map_err(CarrierError::Tls)
}
