//! From a name to a connection that has been let in.

use std::{
    error::Error,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use noq::{
    Connection, ConnectionError, Endpoint, EndpointConfig, TokioRuntime, crypto::rustls::QuicClientConfig,
};
use rustls::CertificateError;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{UdpSocket, lookup_host},
    time::{sleep, timeout},
};
use tracing::info;
use zeroize::Zeroizing;

use super::{ClientConfig, TunnelError};
use crate::{
    transport,
    wire::{self, Answer},
};

/// One address of the server has this long to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Packets that wait in the system while a busy processor does something else: 16 ms at 1 Gb/s. The system counts about
/// twice a packet's length, and may give less.
const SOCKET_BYTES: usize = 4 << 20;
/// How often the client looks whether its packets would leave from another address.
const LOOK: Duration = Duration::from_secs(2);
/// How long the server has to hear that the client leaves.
const LAST_WORDS: Duration = Duration::from_millis(200);
const LEAVING: noq::VarInt = noq::VarInt::from_u32(0);

pub(super) struct Connector {
    endpoint: Endpoint,
    quic: noq::ClientConfig,
    host: String,
    port: u16,
    server_name: String,
    token: Option<Zeroizing<String>>,
}

impl Connector {
    pub(super) fn new(config: &ClientConfig) -> Result<Self, TunnelError> {
        let broken = |error: io::Error| TunnelError::Network(error.to_string());
        let endpoint = open(Ipv6Addr::UNSPECIFIED.into()).or_else(|_| open(Ipv4Addr::UNSPECIFIED.into()));
        let endpoint = endpoint.map_err(broken)?;
        let tls = config.trust.tls().map_err(|error| TunnelError::Certificate(error.to_string()))?;
        let crypto = QuicClientConfig::try_from(tls).expect("QUIC's suites are TLS 1.3's");
        let mut quic = noq::ClientConfig::new(Arc::new(crypto));
        // The server opens no streams.
        quic.transport_config(transport::config(0, Some(config.keep_alive)));
        Ok(Self {
            endpoint,
            quic,
            host: config.host.clone(),
            port: config.port,
            server_name: config.server_name.clone().unwrap_or_else(|| config.host.clone()),
            token: config.token.clone(),
        })
    }

    /// A connection that has shown its token.
    pub(super) async fn connect(&self) -> Result<Connection, TunnelError> {
        let found = timeout(PATIENCE, lookup_host((self.host.as_str(), self.port))).await;
        let addrs: Vec<_> = match found {
            Ok(Ok(addrs)) => addrs.collect(),
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        let mut failure = TunnelError::UnknownName(self.host.clone());
        for addr in addrs {
            match timeout(PATIENCE, self.connect_to(addr)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) if error.is_final() => return Err(error),
                Ok(Err(error)) => failure = error,
                Err(_) => failure = TunnelError::Silent,
            }
        }
        Err(failure)
    }

    async fn connect_to(&self, addr: SocketAddr) -> Result<Connection, TunnelError> {
        let addr = self.spelled(addr);
        let connecting = self.endpoint.connect_with(self.quic.clone(), addr, &self.server_name);
        let connecting = connecting.map_err(|error| TunnelError::Network(error.to_string()))?;
        match connecting.into_0rtt() {
            // Only the token goes by 0-RTT: it does nothing when it is shown again.
            Ok((connection, accepted)) => {
                let early = self.show_token(&connection).await;
                match accepted.await {
                    true => early.map(|()| connection),
                    false => {
                        connection.handshake_confirmed().await.map_err(lost)?;
                        self.show_token(&connection).await.map(|()| connection)
                    }
                }
            }
            Err(connecting) => {
                let connection = connecting.await.map_err(lost)?;
                self.show_token(&connection).await.map(|()| connection)
            }
        }
    }

    async fn show_token(&self, connection: &Connection) -> Result<(), TunnelError> {
        let Some(token) = &self.token else { return Ok(()) };
        let lost_stream = |error: noq::WriteError| TunnelError::Lost(error.to_string());
        let (mut send, mut receive) = connection.open_bi().await.map_err(lost)?;
        send.write_all(&wire::token_request(token.as_bytes())).await.map_err(lost_stream)?;
        let _ = send.finish();
        match wire::read_answer(&mut receive).await {
            Ok(Answer::Done) => Ok(()),
            Ok(Answer::Failed(_)) => Err(TunnelError::Token),
            Err(malformed) => {
                Err(connection.close_reason().map_or_else(|| TunnelError::Lost(malformed.to_string()), lost))
            }
        }
    }

    /// Tells QUIC each time that packets to the server would leave from another address. Ends when that fails.
    pub(super) async fn watch_network(&self, connection: &Connection) -> String {
        let mut last = None;
        loop {
            let path = connection.path(noq::PathId::ZERO);
            let server = path.and_then(|path| path.remote_address().ok());
            if let Some(local) = match server {
                Some(server) => local_ip(server).await,
                None => None,
            } {
                if last.is_some_and(|last| last != local) {
                    info!("another network");
                    self.endpoint.handle_network_change(None);
                }
                last = Some(local);
            }
            sleep(LOOK).await;
        }
    }

    pub(super) async fn close(&self, connection: &Connection) {
        connection.close(LEAVING, b"");
        let _ = timeout(LAST_WORDS, self.endpoint.wait_idle()).await;
    }

    /// As the endpoint's socket wants it.
    fn spelled(&self, addr: SocketAddr) -> SocketAddr {
        let is_v6 = self.endpoint.local_addr().is_ok_and(|local| local.is_ipv6());
        match addr.ip() {
            IpAddr::V4(v4) if is_v6 => SocketAddr::new(v4.to_ipv6_mapped().into(), addr.port()),
            IpAddr::V4(_) | IpAddr::V6(_) => addr,
        }
    }
}

/// An endpoint at a free port; an IPv6 one reaches IPv4 as well.
fn open(any: IpAddr) -> io::Result<Endpoint> {
    let addr = SocketAddr::new(any, 0);
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if any.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Whatever the system gives.
    let _ = socket.set_recv_buffer_size(SOCKET_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BYTES);
    socket.bind(&addr.into())?;
    Endpoint::new(EndpointConfig::default(), None, socket.into(), Arc::new(TokioRuntime))
}

fn lost(error: ConnectionError) -> TunnelError {
    match error {
        ConnectionError::TimedOut => TunnelError::Silent,
        ConnectionError::TransportError(error)
            if let Some(problem) = error.crypto.as_ref().and_then(|cause| bad_certificate(&**cause)) =>
        {
            TunnelError::Certificate(problem)
        }
        other => TunnelError::Lost(other.to_string()),
    }
}

/// What is wrong with the server's certificate, if that is what ended the handshake.
fn bad_certificate(cause: &(dyn Error + Send + Sync + 'static)) -> Option<String> {
    match cause.downcast_ref()? {
        rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
            Some("it has another fingerprint".to_owned())
        }
        rustls::Error::InvalidCertificate(problem) => Some(problem.to_string()),
        _ => None,
    }
}

/// Where packets to `server` would leave from; nothing is sent.
async fn local_ip(server: SocketAddr) -> Option<IpAddr> {
    let server = SocketAddr::new(server.ip().to_canonical(), server.port());
    let any: IpAddr =
        if server.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await.ok()?;
    socket.connect(server).await.ok()?;
    Some(socket.local_addr().ok()?.ip())
}
