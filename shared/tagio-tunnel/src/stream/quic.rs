//! One QUIC connection per tunnel: the client's first stream is the control stream, the relay opens one per visitor.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use hmac::{Hmac, Mac};
use noq::{
    ClientConfig, ConnectionId, ConnectionIdGenerator, EndpointConfig, Runtime, ServerConfig,
    TransportConfig, VarInt,
    crypto::{
        CryptoError, HmacKey,
        rustls::{QuicClientConfig, QuicServerConfig},
    },
    default_runtime,
};
use rustls::{crypto::ring, server::ResolvesServerCert, version::TLS13};
use sha2::Sha256;
use socket2::SockRef;
use tagio_wire::tunnel::{TUNNEL_ALPN, TUNNEL_EXPORTER};

use super::{Stream, tls};

pub use noq::{Connection, Endpoint, Incoming};

/// Code of streams and connections that were cut off.
pub(super) const ABORTED: VarInt = VarInt::from_u32(1);
/// Visitors of one tunnel at once: above the relay's own limit, which is the one that is told.
const STREAMS_MAX: u32 = 16_384;
/// Unread bytes of one stream. Above about 2 MB one lost packet can end the connection (noq 1.4.0's assembler refuses
/// many gaps; see docs/ARCHITECTURE.md).
const STREAM_WINDOW_BYTES: u32 = 2_000_000;
/// Unread bytes of all streams of a connection, and those that were sent and may have to be sent again.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// So often either end says something: short, because a relay that was restarted is found out by its answer to that.
const KEEP_ALIVE: Duration = Duration::from_millis(1500);
/// Silence after which the other end is gone.
const IDLE: Duration = Duration::from_secs(15);
/// Asked of the system: what comes in a burst while a core is busy elsewhere.
const UDP_BUFFER_BYTES: usize = 4 << 20;
/// Notes go before visitors' bytes, also when those fill the line.
const CONTROL_PRIORITY: i32 = 1;
/// Round trip that is assumed before the first one is measured.
const INITIAL_RTT: Duration = Duration::from_millis(100);
/// Clients that knock at once; later ones are turned away until these are let in or not.
const INCOMING_MAX: usize = 256;

/// A relay's endpoint on this socket. `secret` stays the same over restarts: from it come the reset tokens (RFC 9000,
/// 10.3) that tell clients of the last run at once that it is over.
pub fn server(
    socket: UdpSocket,
    certificates: Arc<dyn ResolvesServerCert>,
    secret: &[u8; 32],
) -> io::Result<Endpoint> {
    let provider = Arc::new(ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    tls.alpn_protocols = vec![TUNNEL_ALPN.to_vec()];
    let crypto = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport())).max_incoming(INCOMING_MAX);
    let key = ResetKey::new(secret);
    let mut endpoint = EndpointConfig::new(Arc::new(key));
    endpoint.cid_generator(Arc::new(|| Box::new(RandomIds)));
    Endpoint::new(endpoint, Some(config), socket, runtime()?)
}

fn runtime() -> io::Result<Arc<dyn Runtime>> {
    default_runtime().ok_or_else(|| io::Error::other("QUIC needs a runtime"))
}

/// A client's connection to a relay, and the endpoint that has to be kept with it.
pub async fn connect(to: SocketAddr, host: &str) -> io::Result<(Endpoint, Connection)> {
    let any: SocketAddr =
        if to.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any)?;
    let options = SockRef::from(&socket);
    // Best effort: systems differ in what they allow, and a small buffer only drops sooner.
    let _ = options.set_recv_buffer_size(UDP_BUFFER_BYTES);
    let _ = options.set_send_buffer_size(UDP_BUFFER_BYTES);
    let endpoint = Endpoint::new(EndpointConfig::default(), None, socket, runtime()?)?;
    let crypto = QuicClientConfig::try_from(tls::client_config(&[TUNNEL_ALPN])).map_err(io::Error::other)?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport()));
    let connecting = endpoint.connect_with(config, to, tls::name(host)).map_err(io::Error::other)?;
    Ok((endpoint, connecting.await?))
}

/// What a greeting in this connection is bound to (RFC 8446, 7.5).
pub fn binding(connection: &Connection) -> io::Result<[u8; 32]> {
    let mut value = [0; 32];
    let exported = connection.export_keying_material(&mut value, TUNNEL_EXPORTER, b"");
    exported.map_err(|_| io::Error::other("the channel has no exporter"))?;
    Ok(value)
}

/// The client's first stream.
pub async fn open(connection: &Connection) -> io::Result<Stream> {
    let (send, recv) = connection.open_bi().await?;
    Ok(Stream::Quic(send, recv))
}

/// The next stream that the other end opens.
pub async fn accept(connection: &Connection) -> io::Result<Stream> {
    let (send, recv) = connection.accept_bi().await?;
    Ok(Stream::Quic(send, recv))
}

/// Makes reset tokens.
struct ResetKey(Hmac<Sha256>);

impl ResetKey {
    /// A key of its own, so that tokens tell nothing of the secret.
    fn new(secret: &[u8; 32]) -> Self {
        let mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
        let key = mac.chain_update(b"tagio tunnel resets 1").finalize().into_bytes();
        Self(Hmac::new_from_slice(&key).expect("HMAC takes keys of any length"))
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(&self.0.clone().chain_update(data).finalize().into_bytes());
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        self.0.clone().chain_update(data).verify_slice(signature).map_err(|_| CryptoError)
    }
}

/// Connection IDs of which all are possible: the usual ones tell those of an earlier run from their own, and give no
/// answer to them.
struct RandomIds;

impl RandomIds {
    /// As many bytes as noq's own.
    const LEN: usize = 8;
}

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&rand::random::<[u8; Self::LEN]>())
    }

    fn cid_len(&self) -> usize {
        Self::LEN
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// Makes a stream the one that notes go by.
pub fn prioritise(stream: &Stream) {
    if let Stream::Quic(send, _) = stream {
        // One that is closed already has nothing to send.
        let _ = send.set_priority(CONTROL_PRIORITY);
    }
}

fn transport() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(STREAMS_MAX.into())
        .max_concurrent_uni_streams(0_u32.into())
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(CONNECTION_WINDOW_BYTES.into())
        .send_window(CONNECTION_WINDOW_BYTES.into())
        .initial_rtt(INITIAL_RTT)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IDLE.try_into().expect("15 s fits a QUIC varint")))
        .datagram_receive_buffer_size(None)
        .congestion_controller_factory(Arc::new(noq::congestion::CubicConfig::default()));
    config
}
