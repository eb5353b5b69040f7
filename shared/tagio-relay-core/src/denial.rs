//! Everything that the relay turns away, each kind counted on its own.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! denials {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// One way to be turned away. The label is the one that metrics and logs show.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Denial {
            $($(#[$doc])* $variant,)+
        }

        impl Denial {
            /// All of them, in the order of their counters.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its label.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

denials! {
    /// First bytes that belong to no protocol of ours.
    BadPreface = "bad_preface",
    /// A PROXY protocol header from a stranger, or one that does not parse.
    BadProxy = "bad_proxy",
    /// Opening or handshake not done in time.
    OpeningDeadline = "opening_deadline",
    /// Closed by the client before it was let in.
    OpeningAborted = "opening_aborted",
    /// Noise failed, or its payload was no `Hello`.
    BadHandshake = "bad_handshake",
    /// QUIC packets of the forward tunnel, which did not keep up.
    ForwardQueueFull = "forward_queue_full",
    /// The relay's secret was missing or wrong.
    WrongSecret = "wrong_secret",
    /// Another protocol version.
    WrongVersion = "wrong_version",
    /// No room for another connection.
    Full = "full",
    /// Too many connections from one address.
    ConnectionsPerIp = "connections_per_ip",
    /// Too many openings under way from one address.
    HandshakesPerIp = "handshakes_per_ip",
    /// Handshakes too fast from one address.
    HandshakeRate = "handshake_rate",
    /// Too many wrong secrets from one address.
    WrongSecretRate = "wrong_secret_rate",
    /// New IDs too fast from one address.
    NewIdRate = "new_id_rate",
    /// All IDs that may be given are given.
    IdsFull = "ids_full",
    /// The ID store failed.
    Store = "store",
    /// Came while the relay drains.
    Draining = "draining",
    /// A control frame that is too long or too short to be one.
    FrameLength = "frame_length",
    /// A control frame that does not decrypt or decode.
    BadMessage = "bad_message",
    /// Control messages too fast.
    MessageRate = "message_rate",
    /// A client that went silent.
    Silent = "silent",
    /// Calls of one key too fast.
    CallRate = "call_rate",
    /// Calls from one address too fast.
    CallRatePerIp = "call_rate_per_ip",
    /// A caller with too many legs.
    LegsPerCaller = "legs_per_caller",
    /// A target with too many legs.
    LegsPerTarget = "legs_per_target",
    /// Too many legs from one neighbourhood to one target that nobody has met on yet.
    UnmetLegsPerNet = "unmet_legs_per_net",
    /// No room for another leg.
    LegsFull = "legs_full",
    /// No such channel, or no such token.
    LegUnknown = "leg_unknown",
    /// Data from an address that is bound to no end of its channel.
    LegWrongSource = "leg_wrong_source",
    /// Data for an end that is not bound, and none of the first packets, which wait for it.
    LegUnbound = "leg_unbound",
    /// A bind with a cookie that is not ours, or not any more.
    BadCookie = "bad_cookie",
    /// A datagram of the relay protocol that does not parse.
    MalformedUdp = "malformed_udp",
    /// A datagram of the relay protocol that no relay should get.
    UnexpectedUdp = "unexpected_udp",
    /// A datagram of another protocol.
    ForeignUdp = "foreign_udp",
    /// A STUN message that is no Binding request.
    BadStun = "bad_stun",
    /// STUN questions too fast from one address.
    StunRate = "stun_rate",
    /// STUN questions that are shorter than their answer, too fast from one address.
    StunShortRate = "stun_short_rate",
    /// A packet longer than the wire allows.
    Oversized = "oversized",
    /// A control client that does not read.
    ControlQueueFull = "control_queue_full",
    /// A TCP leg slower than what is sent to it: the packet is dropped.
    LegQueueFull = "leg_queue_full",
    /// A connection that takes no bytes.
    WriteStalled = "write_stalled",
    /// The system did not take a datagram: its buffer is full, or there is no way there.
    UdpSend = "udp_send",
    /// The system could not hand over a connection: most often too few file descriptors.
    Accept = "accept",
    /// Bytes that are no TAGIO message.
    TagioMalformed = "tagio_malformed",
    /// A TAGIO message longer than the limit.
    TagioTooLarge = "tagio_too_large",
    /// A WebSocket frame that may not be there: text, unmasked, fragments that never end.
    TagioBadFrame = "tagio_bad_frame",
    /// A TAGIO message that is not whole in time.
    TagioSlow = "tagio_slow",
    /// A TAGIO message for an ID that nobody has.
    TagioUnknownTarget = "tagio_unknown_target",
    /// Too many of those from one address.
    TagioMissRate = "tagio_miss_rate",
    /// A TAGIO message for a client that has too much waiting for it.
    TagioQueueFull = "tagio_queue_full",
    /// A TAGIO message while too much waits for all clients together.
    TagioQueuesFull = "tagio_queues_full",
    /// A client of TAGIO messages that does not read the answers to its own.
    TagioNotReading = "tagio_not_reading",
    /// No room for another client of TAGIO messages.
    TagioClientsFull = "tagio_clients_full",
    /// Too many clients of TAGIO messages from one address.
    TagioClientsPerIp = "tagio_clients_per_ip",
    /// New clients of TAGIO messages too fast from one address.
    TagioClientRate = "tagio_client_rate",
    /// A session token that nobody has.
    TagioUnknownSession = "tagio_unknown_session",
    /// A registration that makes no sense: a length out of bounds, a name that is no text, an unknown command.
    RegistrationMalformed = "registration_malformed",
    /// A name that is registered by somebody else.
    RegistrationTaken = "registration_taken",
    /// No room for another registration.
    RegistrationsFull = "registrations_full",
    /// Names looked up too fast from one address.
    RegistrationLookupRate = "registration_lookup_rate",
    /// A registered client that does not read.
    RegistrationQueueFull = "registration_queue_full",
    /// An HTTP request that failed or came too slowly.
    Http = "http",
    /// An HTTP client that left before it was answered.
    HttpAborted = "http_aborted",
    /// A request to a stream over HTTP that there is not, or not any more.
    StreamUnknown = "stream_unknown",
    /// A piece of a stream over HTTP at an offset where none is expected.
    StreamGap = "stream_gap",
    /// A WebSocket that broke its rules, or that sent text or too much at once.
    WebSocket = "websocket",
    /// A TLS handshake that failed.
    Tls = "tls",
    /// A tunnel's client with a wrong token, or none where one is wanted.
    TunnelToken = "tunnel_token",
    /// A tunnel whose name or port is somebody else's, is none, or is not given out.
    TunnelClaim = "tunnel_claim",
    /// No room for another tunnel.
    TunnelsFull = "tunnels_full",
    /// Too many tunnels of one token or address.
    TunnelsPerClient = "tunnels_per_client",
    /// A data connection or visitor for a tunnel that is not there.
    TunnelUnknown = "tunnel_unknown",
    /// Nonsense on a tunnel's control or data connection.
    TunnelMessage = "tunnel_message",
    /// A tunnel's client that went silent.
    TunnelSilent = "tunnel_silent",
    /// More waiting data connections than are wanted.
    TunnelPoolFull = "tunnel_pool_full",
    /// No room for another visitor of tunnels.
    TunnelVisitsFull = "tunnel_visits_full",
    /// Too many visitors of one tunnel.
    TunnelVisitsPerClient = "tunnel_visits_per_client",
    /// Too many visitors of one token's tunnels.
    TunnelVisitsPerToken = "tunnel_visits_per_token",
    /// Too many visitors from one address.
    TunnelVisitsPerIp = "tunnel_visits_per_ip",
    /// Too many visitors of one tunnel that wait for a data connection.
    TunnelWaitingFull = "tunnel_waiting_full",
    /// A visitor that waited in vain for a data connection.
    TunnelWait = "tunnel_wait",
    /// A datagram to a UDP port of a tunnel whose client is slower than what comes.
    TunnelDatagramDropped = "tunnel_datagram_dropped",
    /// A request to a tunnel whose service does not answer.
    TunnelService = "tunnel_service",
    /// A visitor who is not on the tunnel's list, or does not know its password.
    TunnelAccess = "tunnel_access",
    /// Tokens for edge nodes asked for too fast from one address.
    EdgeTokenRate = "edge_token_rate",
    /// An edge node without a token, or with one that is forged, expired or another's.
    EdgeToken = "edge_token",
    /// An edge node that the configuration does not name.
    EdgeStranger = "edge_stranger",
    /// No room for another edge node.
    EdgeNodesFull = "edge_nodes_full",
    /// Too many edge nodes from one address.
    EdgeNodesPerIp = "edge_nodes_per_ip",
    /// A session while no edge node is there, or not the one that was asked for.
    EdgeNoNode = "edge_no_node",
    /// A user of the edge nodes with a wrong password.
    EdgeUser = "edge_user",
    /// No room for another session through edge nodes.
    EdgeSessionsFull = "edge_sessions_full",
    /// Too many sessions of one user.
    EdgeSessionsPerUser = "edge_sessions_per_user",
    /// Too many sessions through one edge node.
    EdgeSessionsPerNode = "edge_sessions_per_node",
    /// Sessions of one user too fast.
    EdgeSessionRate = "edge_session_rate",
    /// A session whose target its edge node does not reach, or does not want to.
    EdgeRefused = "edge_refused",
    /// A session for which its edge node took too long.
    EdgeCreate = "edge_create",
    /// A session that was cut off because its user takes less than the edge node sends.
    EdgeOverflow = "edge_overflow",
    /// A datagram of a user or an edge node that already has as many bytes per second as it may.
    EdgeDatagramRate = "edge_datagram_rate",
    /// An edge node that sends what is no message.
    EdgeMessage = "edge_message",
    /// An edge node that went silent.
    EdgeSilent = "edge_silent",
}

/// One counter for each [`Denial`], shared by everything that turns something away.
#[derive(Debug)]
pub struct Denials([AtomicU64; Denial::ALL.len()]);

impl Default for Denials {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Denials {
    /// Counts one.
    pub fn count(&self, denial: Denial) {
        self.count_many(denial, 1);
    }

    /// Counts so many at once.
    pub fn count_many(&self, denial: Denial, count: u64) {
        self.0[denial as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn of(&self, denial: Denial) -> u64 {
        self.0[denial as usize].load(Ordering::Relaxed)
    }

    /// All of them with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (Denial, u64)> {
        Denial::ALL.iter().map(|denial| (*denial, self.of(*denial)))
    }
}
