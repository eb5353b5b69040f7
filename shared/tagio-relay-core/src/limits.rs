//! Every bound of the relay in one place, with its reason; all of them can be set in the configuration.

use std::time::Duration;

use serde::Deserialize;

/// Connections of all kinds. Each idle one costs about 20 kB with its kernel buffers, so this fits in 1 GB.
pub const CONNECTIONS_MAX: u32 = 40_000;
/// Connections from one address (IPv6: one /64). Whole offices and mobile carriers share an address.
pub const CONNECTIONS_PER_IP_MAX: u32 = 512;
/// Openings and handshakes under way from one address: honest clients are done in two round trips.
pub const HANDSHAKES_PER_IP_MAX: u32 = 64;
/// Handshakes that one address may start at once, after which [`HANDSHAKE_INTERVAL_MS`] holds. An office
/// comes back as a whole after a relay restarts.
pub const HANDSHAKE_BURST: u32 = 256;
/// One handshake costs about 0.3 ms of CPU: at this pace one address takes at most 3 % of a core.
pub const HANDSHAKE_INTERVAL_MS: u32 = 10;
/// Time for opening and handshake together: four round trips over a satellite with loss.
pub const OPENING_MS: u32 = 10_000;
/// Wrong relay secrets from one address before it must wait.
pub const WRONG_SECRET_BURST: u32 = 5;
/// Wait after that, per attempt: 8 640 guesses a day find no secret worth the name.
pub const WRONG_SECRET_INTERVAL_MS: u32 = 10_000;
/// New IDs that one address may take at once.
pub const NEW_ID_BURST: u32 = 64;
/// And one per this time later. Taking all 900 million IDs from one address would take centuries.
pub const NEW_ID_INTERVAL_MS: u32 = 30_000;
/// IDs in all: 5 % of the numbers, so that a guessed number is 19 times in 20 nobody's, and a store of 1 GB.
pub const IDS_MAX: u64 = 45_000_000;
/// Clients send a ping this often. NATs forget idle TCP connections after minutes, mobile ones sooner.
pub const KEEPALIVE_SECS: u16 = 15;
/// Control messages that a client may send at once: a whole address book is looked up in one go.
pub const MESSAGE_BURST: u32 = 256;
/// And one per this time later.
pub const MESSAGE_INTERVAL_MS: u32 = 50;
/// Calls that a key may make at once: a person redialling, or a client opening its last sessions.
pub const CALL_BURST: u32 = 10;
/// And one per this time later.
pub const CALL_INTERVAL_MS: u32 = 3_000;
/// Calls that one address may make at once.
pub const CALL_PER_IP_BURST: u32 = 60;
/// And one per this time later.
pub const CALL_PER_IP_INTERVAL_MS: u32 = 500;
/// Live legs that one key may have called into being.
pub const LEGS_PER_CALLER_MAX: u32 = 16;
/// Live legs that may lead to one key: a host with many viewers, yet not one that strangers can fill up.
pub const LEGS_PER_TARGET_MAX: u32 = 64;
/// Live legs from one neighbourhood (IPv4 /24, IPv6 /56) to one key whose ends have not both been bound:
/// honest ones meet within a second, and whoever makes keys by the dozen cannot fill a host's places alone.
pub const UNMET_LEGS_PER_NET_MAX: u32 = 8;
/// Live legs in all: about 300 bytes each, 3 kB more while first packets wait, and far more than one port's
/// bandwidth carries.
pub const LEGS_MAX: u32 = 20_000;
/// A leg whose ends are not both bound after this time is gone: both sides bind within a second or two.
pub const LEG_UNBOUND_SECS: u16 = 30;
/// A leg without traffic is gone after this time; sessions keep their paths alive every few seconds.
pub const LEG_IDLE_SECS: u16 = 90;
/// Bytes that may wait for a control client: some 300 messages; one that reads none of them is gone.
pub const CONTROL_QUEUE_BYTES_MAX: u32 = 64 * 1024;
/// Bytes that may wait for a TCP leg: 50 ms at 40 Mb/s. More would only be delay; QUIC repairs the loss.
pub const LEG_QUEUE_BYTES_MAX: u32 = 256 * 1024;
/// A connection that takes no byte of what is written for this long is dead.
pub const WRITE_STALL_MS: u32 = 10_000;
/// Keys or addresses that one rate table remembers: 64 bytes each. A full table refuses newcomers only.
pub const RATE_ENTRIES_MAX: u32 = 100_000;
/// A UDP cookie is good for this long to twice this long: one binding takes a second, re-binding renews it.
pub const COOKIE_ROTATION_SECS: u16 = 120;
/// STUN questions that one address may ask at once, each at least as long as its answer: an office of some hundred
/// clients that start together ask a few each.
pub const STUN_BURST: u32 = 1024;
/// And one per this time later.
pub const STUN_INTERVAL_MS: u32 = 5;
/// STUN questions shorter than their answer, as other programs ask them. Somebody who asks with another's address sends
/// that one this many answers at once, about 2 kB in all.
pub const STUN_SHORT_BURST: u32 = 32;
/// And one per this time later: about 100 bytes a second, whoever asks.
pub const STUN_SHORT_INTERVAL_MS: u32 = 500;
/// Longest TAGIO message, header included.
pub const TAGIO_MESSAGE_BYTES_MAX: u32 = 1024 * 1024;
/// Bytes that may wait for a client of TAGIO messages: one of the longest and as much again of short ones.
pub const TAGIO_QUEUE_BYTES_MAX: u32 = 2 * 1024 * 1024;
/// Bytes that may wait for all of them together: 128 clients that read nothing, and room on a server of 1 GB. As much
/// again for messages that have come in part.
pub const TAGIO_QUEUES_BYTES_MAX: u32 = 256 * 1024 * 1024;
/// Clients of TAGIO messages: as many as there are connections. Those that come by HTTP have none.
pub const TAGIO_CLIENTS_MAX: u32 = 40_000;
/// Of them from one address.
pub const TAGIO_CLIENTS_PER_IP_MAX: u32 = 512;
/// Clients of TAGIO messages that may come at once from one address: an office after the relay restarts.
pub const TAGIO_CLIENT_BURST: u32 = 512;
/// And one per this time later.
pub const TAGIO_CLIENT_INTERVAL_MS: u32 = 50;
/// TAGIO messages for IDs that nobody has, from one address: a client whose peers have all just left.
pub const TAGIO_MISS_BURST: u32 = 256;
/// And one per this time later: with 20 000 IDs in use one address finds one of them in six hours of guessing.
pub const TAGIO_MISS_INTERVAL_MS: u32 = 100;
/// Silence after which a client of TAGIO messages is gone; a WebSocket is pinged after half of it. Proxies cut
/// idle connections after 60 s and more.
pub const TAGIO_SILENCE_SECS: u16 = 100;
/// Longest that a `PING` by HTTP may wait for messages: proxies give up after 60 s.
pub const TAGIO_POLL_SECS_MAX: u16 = 55;
/// Names registered by the length-prefixed protocol: each is a connection and at most 1 kB.
pub const REGISTRATIONS_MAX: u32 = 20_000;
/// Names that one address may look up at once.
pub const REGISTRATION_LOOKUP_BURST: u32 = 64;
/// And one per this time later. Each that is found makes the relay write to somebody else.
pub const REGISTRATION_LOOKUP_INTERVAL_MS: u32 = 200;
/// Bytes that may wait for a registered client: some 60 answers with the longest names.
pub const REGISTRATION_QUEUE_BYTES_MAX: u32 = 64 * 1024;
/// Reverse tunnels in all: each has a control connection and up to 64 waiting data connections, about 20 kB each.
pub const TUNNELS_MAX: u32 = 1_000;
/// Reverse tunnels of one token, or from one address where no token is wanted.
pub const TUNNELS_PER_CLIENT_MAX: u32 = 64;
/// Visitors of all tunnels at once: two sockets each, so that 65 536 file descriptors are enough.
pub const TUNNEL_VISITS_MAX: u32 = 24_000;
/// Visitors of one tunnel at once.
pub const TUNNEL_VISITS_PER_CLIENT_MAX: u32 = 12_000;
/// Connections to tunnels from one address: browsers open a handful, an office or a load generator hundreds.
pub const TUNNEL_VISITS_PER_IP_MAX: u32 = 12_000;
/// Visitors of one tunnel that wait for a data connection: a burst as large as a server's usual backlog.
pub const TUNNEL_WAITING_MAX: u32 = 1_024;
/// How long they wait: a client that takes longer to dial is as good as gone.
pub const TUNNEL_WAIT_MS: u32 = 10_000;
/// Edge nodes: a WebSocket each, about 40 kB.
pub const EDGE_NODES_MAX: u32 = 10_000;
/// Of them from one address.
pub const EDGE_NODES_PER_IP_MAX: u32 = 64;
/// Tokens for edge nodes that one address may ask for at once: its nodes come back after a restart, twice.
pub const EDGE_TOKEN_BURST: u32 = 128;
/// And one per this time later.
pub const EDGE_TOKEN_INTERVAL_MS: u32 = 1_000;
/// How long such a token lets a node in: it is used at once, but clocks and queues differ.
pub const EDGE_TOKEN_SECS: u16 = 300;
/// How often an edge node is asked for a sign of life. After three that fail it is gone.
pub const EDGE_PING_SECS: u16 = 20;
/// Sessions through edge nodes, datagrams' flows included: a socket each.
pub const EDGE_SESSIONS_MAX: u32 = 16_000;
/// Of them through one node: a home's router keeps some thousand connections.
pub const EDGE_SESSIONS_PER_NODE_MAX: u32 = 2_048;
/// Of them of one user.
pub const EDGE_SESSIONS_PER_USER_MAX: u32 = 4_096;
/// Sessions that one user may open at once.
pub const EDGE_SESSION_BURST: u32 = 1_024;
/// And one per this time later.
pub const EDGE_SESSION_INTERVAL_MS: u32 = 5;
/// How long an edge node may take to reach a target; nodes give up after 3 s by default.
pub const EDGE_CREATE_MS: u32 = 10_000;
/// Bytes for one user that an edge node may send before some have gone to the user, if it knows of such windows: 84 Mb/s
/// over 100 ms.
pub const EDGE_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes that may wait for one user's connection. The session of a node that knows of no windows is cut off there.
pub const EDGE_QUEUE_BYTES_MAX: u32 = 8 * 1024 * 1024;
/// Bytes that may wait for all of them together; counts from the start of the relay.
pub const EDGE_QUEUES_BYTES_MAX: u32 = 256 * 1024 * 1024;
/// How long a user's session stays with its node while nothing is opened.
pub const EDGE_STICKY_SECS: u16 = 600;
/// How many such sessions are remembered, about 200 bytes each.
pub const EDGE_STICKIES_MAX: u32 = 100_000;
/// A flow of datagrams through an edge node ends after so much silence.
pub const EDGE_UDP_SECS: u16 = 60;
/// Bytes per second of one user of edge nodes, in each direction; 0 is no limit. Up to a second's worth goes at once.
pub const EDGE_USER_BYTES_PER_SEC: u32 = 0;
/// The same through one edge node, so that the rest of its owner's line stays free.
pub const EDGE_NODE_BYTES_PER_SEC: u32 = 0;
/// Clients of the forward tunnel: about 30 kB each without traffic.
pub const FORWARD_CLIENTS_MAX: u32 = 10_000;
/// Connections of one of them at once: a browser with many pages, or an office behind one client.
pub const FORWARD_STREAMS_PER_CLIENT_MAX: u32 = 1_000;
/// Connections of all of them: one socket each, beside the tunnels' and clients' own within 65 536 file descriptors.
pub const FORWARD_STREAMS_MAX: u32 = 16_000;
/// UDP targets of one of them at once.
pub const FORWARD_FLOWS_PER_CLIENT_MAX: u32 = 256;
/// UDP targets of all of them: one socket each.
pub const FORWARD_FLOWS_MAX: u32 = 8_000;
/// A UDP target that is silent for this long is forgotten: NATs do so after 30 s and more.
pub const FORWARD_FLOW_IDLE_SECS: u16 = 60;
/// Time for a target of the forward tunnel to be found and to answer.
pub const FORWARD_DIAL_MS: u32 = 10_000;

macro_rules! limits {
    ($($(#[$doc:meta])* $field:ident: $kind:ty = $default:ident),+ $(,)?) => {
        /// The bounds as one relay has them. Missing fields of a configuration keep their default.
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        pub struct Limits {
            $($(#[$doc])* #[doc = concat!("Default: [`", stringify!($default), "`].")] pub $field: $kind,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl Limits {
            /// Each limit by the name of its field, for whoever shows or checks all of them.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), u64::from(self.$field)),)+].into_iter()
            }
        }
    };
}

limits! {
    connections_max: u32 = CONNECTIONS_MAX,
    connections_per_ip_max: u32 = CONNECTIONS_PER_IP_MAX,
    handshakes_per_ip_max: u32 = HANDSHAKES_PER_IP_MAX,
    handshake_burst: u32 = HANDSHAKE_BURST,
    handshake_interval_ms: u32 = HANDSHAKE_INTERVAL_MS,
    opening_ms: u32 = OPENING_MS,
    wrong_secret_burst: u32 = WRONG_SECRET_BURST,
    wrong_secret_interval_ms: u32 = WRONG_SECRET_INTERVAL_MS,
    new_id_burst: u32 = NEW_ID_BURST,
    new_id_interval_ms: u32 = NEW_ID_INTERVAL_MS,
    ids_max: u64 = IDS_MAX,
    keepalive_secs: u16 = KEEPALIVE_SECS,
    message_burst: u32 = MESSAGE_BURST,
    message_interval_ms: u32 = MESSAGE_INTERVAL_MS,
    call_burst: u32 = CALL_BURST,
    call_interval_ms: u32 = CALL_INTERVAL_MS,
    call_per_ip_burst: u32 = CALL_PER_IP_BURST,
    call_per_ip_interval_ms: u32 = CALL_PER_IP_INTERVAL_MS,
    legs_per_caller_max: u32 = LEGS_PER_CALLER_MAX,
    legs_per_target_max: u32 = LEGS_PER_TARGET_MAX,
    unmet_legs_per_net_max: u32 = UNMET_LEGS_PER_NET_MAX,
    legs_max: u32 = LEGS_MAX,
    leg_unbound_secs: u16 = LEG_UNBOUND_SECS,
    leg_idle_secs: u16 = LEG_IDLE_SECS,
    control_queue_bytes_max: u32 = CONTROL_QUEUE_BYTES_MAX,
    leg_queue_bytes_max: u32 = LEG_QUEUE_BYTES_MAX,
    write_stall_ms: u32 = WRITE_STALL_MS,
    rate_entries_max: u32 = RATE_ENTRIES_MAX,
    cookie_rotation_secs: u16 = COOKIE_ROTATION_SECS,
    stun_burst: u32 = STUN_BURST,
    stun_interval_ms: u32 = STUN_INTERVAL_MS,
    stun_short_burst: u32 = STUN_SHORT_BURST,
    stun_short_interval_ms: u32 = STUN_SHORT_INTERVAL_MS,
    tagio_message_bytes_max: u32 = TAGIO_MESSAGE_BYTES_MAX,
    tagio_queue_bytes_max: u32 = TAGIO_QUEUE_BYTES_MAX,
    tagio_queues_bytes_max: u32 = TAGIO_QUEUES_BYTES_MAX,
    tagio_clients_max: u32 = TAGIO_CLIENTS_MAX,
    tagio_clients_per_ip_max: u32 = TAGIO_CLIENTS_PER_IP_MAX,
    tagio_client_burst: u32 = TAGIO_CLIENT_BURST,
    tagio_client_interval_ms: u32 = TAGIO_CLIENT_INTERVAL_MS,
    tagio_miss_burst: u32 = TAGIO_MISS_BURST,
    tagio_miss_interval_ms: u32 = TAGIO_MISS_INTERVAL_MS,
    tagio_silence_secs: u16 = TAGIO_SILENCE_SECS,
    tagio_poll_secs_max: u16 = TAGIO_POLL_SECS_MAX,
    registrations_max: u32 = REGISTRATIONS_MAX,
    registration_lookup_burst: u32 = REGISTRATION_LOOKUP_BURST,
    registration_lookup_interval_ms: u32 = REGISTRATION_LOOKUP_INTERVAL_MS,
    registration_queue_bytes_max: u32 = REGISTRATION_QUEUE_BYTES_MAX,
    tunnels_max: u32 = TUNNELS_MAX,
    tunnels_per_client_max: u32 = TUNNELS_PER_CLIENT_MAX,
    tunnel_visits_max: u32 = TUNNEL_VISITS_MAX,
    tunnel_visits_per_client_max: u32 = TUNNEL_VISITS_PER_CLIENT_MAX,
    tunnel_visits_per_ip_max: u32 = TUNNEL_VISITS_PER_IP_MAX,
    tunnel_waiting_max: u32 = TUNNEL_WAITING_MAX,
    tunnel_wait_ms: u32 = TUNNEL_WAIT_MS,
    edge_nodes_max: u32 = EDGE_NODES_MAX,
    edge_nodes_per_ip_max: u32 = EDGE_NODES_PER_IP_MAX,
    edge_token_burst: u32 = EDGE_TOKEN_BURST,
    edge_token_interval_ms: u32 = EDGE_TOKEN_INTERVAL_MS,
    edge_token_secs: u16 = EDGE_TOKEN_SECS,
    edge_ping_secs: u16 = EDGE_PING_SECS,
    edge_sessions_max: u32 = EDGE_SESSIONS_MAX,
    edge_sessions_per_node_max: u32 = EDGE_SESSIONS_PER_NODE_MAX,
    edge_sessions_per_user_max: u32 = EDGE_SESSIONS_PER_USER_MAX,
    edge_session_burst: u32 = EDGE_SESSION_BURST,
    edge_session_interval_ms: u32 = EDGE_SESSION_INTERVAL_MS,
    edge_create_ms: u32 = EDGE_CREATE_MS,
    edge_window_bytes: u32 = EDGE_WINDOW_BYTES,
    edge_queue_bytes_max: u32 = EDGE_QUEUE_BYTES_MAX,
    edge_queues_bytes_max: u32 = EDGE_QUEUES_BYTES_MAX,
    edge_sticky_secs: u16 = EDGE_STICKY_SECS,
    edge_stickies_max: u32 = EDGE_STICKIES_MAX,
    edge_udp_secs: u16 = EDGE_UDP_SECS,
    edge_user_bytes_per_sec: u32 = EDGE_USER_BYTES_PER_SEC,
    edge_node_bytes_per_sec: u32 = EDGE_NODE_BYTES_PER_SEC,
    forward_clients_max: u32 = FORWARD_CLIENTS_MAX,
    forward_streams_per_client_max: u32 = FORWARD_STREAMS_PER_CLIENT_MAX,
    forward_streams_max: u32 = FORWARD_STREAMS_MAX,
    forward_flows_per_client_max: u32 = FORWARD_FLOWS_PER_CLIENT_MAX,
    forward_flows_max: u32 = FORWARD_FLOWS_MAX,
    forward_flow_idle_secs: u16 = FORWARD_FLOW_IDLE_SECS,
    forward_dial_ms: u32 = FORWARD_DIAL_MS,
}

/// How many keepalives may be missed before a client counts as gone.
const KEEPALIVES_MISSED_MAX: u32 = 3;

impl Limits {
    /// Silence after which a client counts as gone.
    pub fn presence_timeout(&self) -> Duration {
        Duration::from_secs(self.keepalive_secs.into()) * KEEPALIVES_MISSED_MAX
    }

    /// Time for opening and handshake together.
    pub fn opening(&self) -> Duration {
        Duration::from_millis(self.opening_ms.into())
    }

    /// Silence after which a client of TAGIO messages is gone.
    pub fn tagio_silence(&self) -> Duration {
        Duration::from_secs(self.tagio_silence_secs.into())
    }

    /// How long a tunnel's visitor waits for a data connection.
    pub fn tunnel_wait(&self) -> Duration {
        Duration::from_millis(self.tunnel_wait_ms.into())
    }

    /// How long a write may make no progress.
    pub fn write_stall(&self) -> Duration {
        Duration::from_millis(self.write_stall_ms.into())
    }
}
