//! The one QUIC endpoint of a process.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::TryFutureExt;
use noq::{
    ClientConfig, EndpointConfig, FourTuple, NetworkChangeHint, PathId, ServerConfig, TransportConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{crypto::CryptoProvider, pki_types::PrivateKeyDer};
use tagio_wire::{
    leg::LegGrant,
    limits::{CANDIDATES_MAX, SESSION_ALPN},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    any_certificate::AnyCertificate,
    connection::Connection,
    error::{ConnectError, LegConnectError, LegError},
    leg::{LegOpening, RelayLeg},
    nat_watch::NatWatch,
    network_watch::{NetworkChanges, NetworkWatch},
    paths,
    port_mapping::{MappedAddr, PortMapping},
    relay::RelayRoute,
    socket::{Inbound, Socket, Switch, TCP_INBOUND_PACKETS, Udp, mapped, unmapped},
    stun::{self, NatReport},
};

/// Paths of one connection at a time: the relay's, the direct one, and room for those that are being
/// opened or are still draining.
const PATHS_MAX: u32 = 8;
/// A path that is silent for so long is given up. `paths` keeps live ones from being silent, and its watchdog
/// acts much earlier on the one in use.
const PATH_IDLE: Duration = Duration::from_secs(6);
/// A connection without any path is over after this.
const CONNECTION_IDLE: Duration = Duration::from_secs(10);
/// Unread bytes of one stream. Above about 2 MB one lost packet can end the connection (noq 1.4.0's
/// assembler refuses many gaps; see docs/ARCHITECTURE.md).
const STREAM_WINDOW_BYTES: u32 = 2_000_000;
/// Unread bytes of all streams of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// How long a peer may hold an acknowledgement back: short, for a quick failover.
const ACK_DELAY: Duration = Duration::from_millis(5);
/// Round trip that is assumed before the first one is measured. The first packet of a call may come to the
/// relay before the host's end of the leg is bound and be lost; with QUIC's usual third of a second it would
/// be sent again only after a whole one.
const INITIAL_RTT: Duration = Duration::from_millis(50);
/// What a new path may carry before anything was acknowledged: 32 packets, as browsers' QUIC has it. With the usual ten the
/// first picture of a screen takes two round trips more.
const INITIAL_WINDOW_BYTES: u64 = 32 * 1200;
/// Connections that knock at once; later ones are turned away until these are let in or not.
const INCOMING_MAX: usize = 64;
/// Name in the throw-away certificate; nothing checks it.
const TLS_NAME: &str = "tagio";

/// Sends and receives every session of this process.
#[derive(Clone, Debug)]
pub struct Endpoint {
    quic: noq::Endpoint,
    client: ClientConfig,
    switch: Arc<Switch>,
    network: NetworkWatch,
    nat: Arc<NatWatch>,
    /// Taken when the endpoint is closed.
    mapping: Arc<Mutex<Option<PortMapping>>>,
    mapped: watch::Receiver<Vec<MappedAddr>>,
    inbound: mpsc::Sender<Inbound>,
    local: SocketAddr,
    /// Renews what a change of the network makes stale.
    _renewing: Arc<JoinSet<()>>,
}

/// Somebody knocks.
#[derive(Debug)]
pub struct Incoming {
    incoming: noq::Incoming,
    switch: Arc<Switch>,
}

impl Endpoint {
    /// Binds UDP at `listen`, or at a port of the system's choice, for IPv4 and, where there is any, IPv6.
    pub fn bind(listen: Option<SocketAddr>) -> io::Result<Self> {
        let sockets: Vec<Arc<Udp>> = match listen {
            Some(addr) => vec![Arc::new(Udp::bind(addr)?)],
            None => {
                let v4 = Udp::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0));
                let v6 = Udp::bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0));
                if let (Err(error), Err(_)) = (&v4, &v6) {
                    return Err(io::Error::new(error.kind(), error.to_string()));
                }
                [v4, v6].into_iter().flatten().map(Arc::new).collect()
            }
        };
        let local = sockets[0].local_addr()?;
        let switch = Arc::new(Switch::new(sockets));
        let (inbound, tcp) = mpsc::channel(TCP_INBOUND_PACKETS);
        let socket = Socket::new(Arc::clone(&switch), tcp);
        let mut config = EndpointConfig::default();
        // The first byte of a QUIC packet tells it from a relay's datagrams, so it must not vary.
        config.grease_quic_bit(false);
        let transport = Arc::new(transport_config());
        let quic = noq::Endpoint::new_with_abstract_socket(
            config,
            Some(server_config(&transport)?),
            Box::new(socket),
            Arc::new(noq::TokioRuntime),
        )?;
        let network = NetworkWatch::spawn();
        let nat = Arc::new(NatWatch::spawn(Arc::clone(&switch), network.changes()));
        let bound = switch.sockets().iter().filter_map(|udp| udp.local_addr().ok());
        let mapping = PortMapping::spawn(bound.collect());
        let mapped = mapping.external();
        let mapping = Arc::new(Mutex::new(Some(mapping)));
        let client = client_config(&transport)?;
        let mut renewing = JoinSet::new();
        renewing.spawn(renew(network.changes(), quic.clone(), Arc::clone(&mapping)));
        let _renewing = Arc::new(renewing);
        Ok(Self { quic, client, switch, network, nat, mapping, mapped, inbound, local, _renewing })
    }

    /// Where the first real socket listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Addresses at which peers may reach this machine: those that its router maps to it, then its own, for peers on
    /// the same network.
    pub fn host_candidates(&self) -> Vec<SocketAddr> {
        let bound: Vec<_> = self.switch.sockets().iter().filter_map(|udp| udp.local_addr().ok()).collect();
        let mut found: Vec<_> = self.mapped.borrow().iter().map(|mapped| mapped.external).collect();
        let own = paths::host_candidates(&bound);
        found.extend(
            own.into_iter()
                .filter(|addr| !self.mapped.borrow().iter().any(|mapped| mapped.external == *addr)),
        );
        found.truncate(CANDIDATES_MAX);
        found
    }

    /// Addresses outside that routers lead to this machine.
    pub fn mapped(&self) -> Vec<MappedAddr> {
        self.mapped.borrow().clone()
    }

    /// Finds out, and keeps knowing, how the NAT in front of this machine maps, by asking this relay.
    pub fn learn_nat(&self, relay: SocketAddr) {
        self.nat.ask(relay);
    }

    /// What is known of the NAT in front of this machine.
    pub fn nat(&self) -> NatReport {
        self.nat.report()
    }

    /// Changes of this machine's network from now on, for who has something of their own to renew.
    pub fn network_changes(&self) -> NetworkChanges {
        self.network.changes()
    }

    pub(crate) fn nat_watch(&self) -> &NatWatch {
        &self.nat
    }

    /// Binds this side's end of a relay leg.
    ///
    /// # Errors
    /// The relay does not answer, or does not know the grant.
    pub async fn bind_leg(&self, relay: &RelayRoute, grant: LegGrant) -> Result<RelayLeg, LegError> {
        self.finish_leg(LegOpening::new(Arc::clone(&self.switch), relay, grant), relay).await
    }

    /// Binds this side's end of a relay leg and opens a connection over it, both at once.
    ///
    /// # Errors
    /// Those of [`Self::bind_leg`] and [`Self::connect`].
    pub async fn connect_by_leg(
        &self,
        relay: &RelayRoute,
        grant: LegGrant,
    ) -> Result<(RelayLeg, Connection), LegConnectError> {
        let opening = LegOpening::new(Arc::clone(&self.switch), relay, grant);
        let connecting = self.connect(opening.addr()).map_err(LegConnectError::from);
        let binding = self.finish_leg(opening, relay).map_err(LegConnectError::from);
        tokio::try_join!(binding, connecting)
    }

    async fn finish_leg(&self, opening: LegOpening, relay: &RelayRoute) -> Result<RelayLeg, LegError> {
        if let Some(addr) = relay.addr() {
            self.learn_nat(addr);
        }
        let silence = self.nat.silence();
        let leg = opening.bind(self.inbound.clone(), relay, silence, self.network.changes()).await?;
        if let Some(observed) = leg.observed() {
            self.nat.seen_at(observed);
        }
        Ok(leg)
    }

    /// Asks `relay` by STUN how the NAT in front of this endpoint's socket of that address family maps its port.
    /// Takes two round trips, or a second where an answer stays out.
    pub async fn probe_nat(&self, relay: SocketAddr) -> NatReport {
        stun::probe(&self.switch, relay, || {}).await
    }

    /// Where `relay` sees a socket of this machine come from that has never sent before: the NAT's newest mapping,
    /// after which the next one comes where [`NatReport::mapping`] is sequential. `None` if it does not answer.
    pub async fn newest_mapping(&self, relay: SocketAddr) -> Option<SocketAddr> {
        stun::newest(&self.switch, relay).await
    }

    /// Opens a connection to a real address or to a [`RelayLeg::addr`].
    ///
    /// # Errors
    /// Nobody answers, or somebody who speaks something else.
    pub async fn connect(&self, to: SocketAddr) -> Result<Connection, ConnectError> {
        let begun = Instant::now();
        let connecting = self
            .quic
            .connect_with(self.client.clone(), mapped(to), TLS_NAME)
            .map_err(|_| ConnectError::Address(to))?;
        let connection = connecting.await.map_err(|error| match error {
            noq::ConnectionError::TimedOut => ConnectError::TimedOut,
            other => ConnectError::Refused(other.to_string()),
        })?;
        Ok(Connection::new(connection, Arc::clone(&self.switch), begun))
    }

    /// Waits until somebody knocks; `None` once the endpoint is closed.
    pub async fn accept(&self) -> Option<Incoming> {
        let incoming = self.quic.accept().await?;
        Some(Incoming { incoming, switch: Arc::clone(&self.switch) })
    }

    /// Closes every connection and waits, at most a second, until the peers were told.
    pub async fn close(&self) {
        self.quic.close(0u32.into(), b"");
        let mapping = self.mapping.lock().expect("no thread panics while it holds the mapping").take();
        let give_back = async {
            if let Some(mapping) = mapping {
                mapping.close().await;
            }
        };
        let last_words = tokio::time::timeout(Duration::from_secs(1), self.quic.wait_idle());
        tokio::join!(last_words, give_back).0.ok();
    }
}

impl Incoming {
    /// Where the knock comes from: a real address, or a leg's.
    pub fn from(&self) -> SocketAddr {
        unmapped(self.incoming.remote_address())
    }

    /// Lets it in; what it may do is for the session to decide.
    ///
    /// # Errors
    /// It went away or speaks something else.
    pub async fn accept(self) -> Result<Connection, ConnectError> {
        let begun = Instant::now();
        let connection = self.incoming.await.map_err(|error| ConnectError::Refused(error.to_string()))?;
        Ok(Connection::new(connection, self.switch, begun))
    }

    /// Turns it away.
    pub fn refuse(self) {
        self.incoming.refuse();
    }
}

/// Tells QUIC and the router of each change of the network. Sockets stay: those of an endpoint are bound to no address
/// of an interface, so the system sends by the new one.
async fn renew(mut changes: NetworkChanges, quic: noq::Endpoint, mapping: Arc<Mutex<Option<PortMapping>>>) {
    loop {
        changes.next().await;
        quic.handle_network_change(Some(Arc::new(MayRecover)));
        if let Some(mapping) = &*mapping.lock().expect("no thread panics while it holds the mapping") {
            mapping.look_again();
        }
    }
}

/// QUIC shall forget the addresses that its paths left from, and ask each path for a sign of life; whether one is dead
/// is for the watchdog to say.
#[derive(Debug)]
struct MayRecover;

impl NetworkChangeHint for MayRecover {
    fn is_path_recoverable(&self, _: PathId, _: FourTuple) -> bool {
        true
    }
}

fn transport_config() -> TransportConfig {
    let mut congestion = noq::congestion::Bbr3Config::default();
    congestion.initial_window(INITIAL_WINDOW_BYTES);
    let mut config = TransportConfig::default();
    config
        .max_concurrent_multipath_paths(PATHS_MAX)
        .default_path_max_idle_timeout(Some(PATH_IDLE))
        .max_idle_timeout(Some(CONNECTION_IDLE.try_into().expect("10 s fits a QUIC varint")))
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(CONNECTION_WINDOW_BYTES.into())
        .send_window(u64::from(CONNECTION_WINDOW_BYTES))
        .initial_rtt(INITIAL_RTT)
        .max_concurrent_bidi_streams(8u32.into())
        .max_concurrent_uni_streams(64u32.into())
        .congestion_controller_factory(Arc::new(congestion));
    let mut acks = noq::AckFrequencyConfig::default();
    acks.max_ack_delay(Some(ACK_DELAY));
    config.ack_frequency_config(Some(acks));
    config
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn broken_tls(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("TLS set-up failed: {error}"))
}

/// TLS here only makes the channel private; who is at its other end is proven by Noise inside it, bound to
/// the channel by the TLS exporter. So the certificate is made for this process and means nothing.
fn server_config(transport: &Arc<TransportConfig>) -> io::Result<ServerConfig> {
    let made = rcgen::generate_simple_self_signed([TLS_NAME.to_owned()]).map_err(broken_tls)?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(broken_tls)?;
    let mut tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(broken_tls)?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .map_err(broken_tls)?;
    tls.alpn_protocols = vec![SESSION_ALPN.to_vec()];
    let crypto = QuicServerConfig::try_from(tls).map_err(broken_tls)?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::clone(transport)).max_incoming(INCOMING_MAX);
    Ok(config)
}

fn client_config(transport: &Arc<TransportConfig>) -> io::Result<ClientConfig> {
    let provider = provider();
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(broken_tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate::new(provider)))
        .with_no_client_auth();
    tls.alpn_protocols = vec![SESSION_ALPN.to_vec()];
    tls.enable_sni = false;
    let crypto = QuicClientConfig::try_from(tls).map_err(broken_tls)?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::clone(transport));
    Ok(config)
}
