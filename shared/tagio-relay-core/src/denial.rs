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
        self.0[denial as usize].fetch_add(1, Ordering::Relaxed);
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
