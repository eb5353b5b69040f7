//! QUIC and nothing else: one connection, one stream, chunks from memory and back into nothing. Congestion control and
//! MTU are the tunnel's.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use noq::{
    Connection, Endpoint, EndpointConfig, RecvStream, SendStream, TokioRuntime, TransportConfig,
    congestion::Bbr3Config, crypto::rustls::QuicClientConfig,
};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
};
use socket2::SockRef;
use tagio_forward::client::Trust;
use tokio::runtime::Builder;

/// Argument by which this program is the server instead.
pub(crate) const SERVER: &str = "bare-server";
/// What a client asks for first.
pub(crate) const SINK: u8 = 0;
pub(crate) const SOURCE: u8 = 1;
const NAME: &str = "localhost";
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const CHUNK: &[u8] = &[7; 64 * 1024];
/// Pieces that are read at once.
const PIECES: usize = 32;

fn transport() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config.congestion_controller_factory(Arc::new(Bbr3Config::default()));
    Arc::new(config)
}

/// Serves until the process is killed: says where, and its certificate.
pub(crate) fn run(threads: &str) {
    let runtime = Builder::new_multi_thread().worker_threads(threads.parse().unwrap()).enable_all().build();
    runtime.unwrap().block_on(async {
        let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let certificate = CertificateDer::from(made.cert);
        let shown = HEXLOWER.encode(&certificate);
        let mut config = noq::ServerConfig::with_single_cert(vec![certificate], key.into()).unwrap();
        config.transport_config(transport());
        let endpoint = Endpoint::server(config, ANY).unwrap();
        println!("bare {} {shown}", endpoint.local_addr().unwrap());
        while let Some(incoming) = endpoint.accept().await {
            let connection = incoming.await.unwrap();
            let (send, mut receive) = connection.accept_bi().await.unwrap();
            let mut wanted = [0];
            receive.read_exact(&mut wanted).await.unwrap();
            // Until the client is gone.
            match wanted {
                [SINK] => drain(&mut receive, |_| {}).await,
                _ => fill(send).await,
            }
        }
    });
}

/// Connects to a relay's tunnel that wants no token, and whose certificate has this fingerprint.
pub(crate) async fn connect_to(relay: SocketAddr, pin: [u8; 32]) -> (Endpoint, Connection) {
    let tls = Trust::Pinned(pin).tls().unwrap();
    let mut config = noq::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    config.transport_config(transport());
    // As large as the tunnel's own client has it.
    let socket = UdpSocket::bind(ANY).unwrap();
    SockRef::from(&socket).set_recv_buffer_size(4 << 20).unwrap();
    let endpoint = Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime)).unwrap();
    let connection = endpoint.connect_with(config, relay, NAME).unwrap().await.unwrap();
    (endpoint, connection)
}

/// Connects to a server that has said this line, and asks for something.
pub(crate) async fn connect(line: &str, wanted: u8) -> (Endpoint, Connection, SendStream, RecvStream) {
    let words: Vec<_> = line.split_whitespace().collect();
    let mut roots = RootCertStore::empty();
    roots.add(HEXLOWER.decode(words[2].as_bytes()).unwrap().into()).unwrap();
    let mut config = noq::ClientConfig::with_root_certificates(Arc::new(roots)).unwrap();
    config.transport_config(transport());
    let endpoint = Endpoint::client(ANY).unwrap();
    let connecting = endpoint.connect_with(config, words[1].parse().unwrap(), NAME).unwrap();
    let connection = connecting.await.unwrap();
    let (mut send, receive) = connection.open_bi().await.unwrap();
    send.write_all(&[wanted]).await.unwrap();
    (endpoint, connection, send, receive)
}

/// Sends until the other side is gone.
pub(crate) async fn fill(mut send: SendStream) {
    while send.write_chunk(Bytes::from_static(CHUNK)).await.is_ok() {}
}

/// Reads until the other side is gone.
pub(crate) async fn drain(receive: &mut RecvStream, mut count: impl FnMut(usize)) {
    loop {
        let mut pieces = [const { Bytes::new() }; PIECES];
        let Ok(Some(filled)) = receive.read_many_chunks(&mut pieces).await else { return };
        count(pieces[..filled].iter().map(Bytes::len).sum());
    }
}
