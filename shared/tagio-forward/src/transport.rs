//! What both ends tell QUIC.

use std::{sync::Arc, time::Duration};

use noq::{AckFrequencyConfig, TransportConfig, VarInt};

/// Unread bytes of one stream. Above about 2 MB one lost packet can end the connection (noq 1.4.0's assembler refuses
/// many gaps; see docs/ARCHITECTURE.md).
const STREAM_WINDOW_BYTES: u32 = 2_000_000;
/// Unread bytes of all streams of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// Datagrams that wait, in each direction: 10 ms at 1 Gb/s. When it is full, the oldest is dropped.
const DATAGRAM_BUFFER_BYTES: usize = 1 << 20;
/// Packets that a peer takes without acknowledging them (draft-ietf-quic-ack-frequency), as each acknowledgement costs
/// both ends about as much as a packet.
const UNACKNOWLEDGED: VarInt = VarInt::from_u32(15);
/// But no longer than this: short, as a connection that starts waits for each of them. QUIC's own is 25 ms.
const ACK_DELAY: Duration = Duration::from_millis(2);
/// A peer that cannot be heard for this long is gone.
pub(crate) const IDLE: Duration = Duration::from_secs(30);

/// `streams_max` is how many the peer may have open at once.
pub(crate) fn config(streams_max: u32, keep_alive: Option<Duration>) -> Arc<TransportConfig> {
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(UNACKNOWLEDGED).max_ack_delay(Some(ACK_DELAY));
    let mut config = TransportConfig::default();
    config
        .ack_frequency_config(Some(acks))
        .max_idle_timeout(Some(IDLE.try_into().expect("half a minute fits a QUIC varint")))
        .keep_alive_interval(keep_alive)
        .max_concurrent_bidi_streams(VarInt::from_u32(streams_max))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(CONNECTION_WINDOW_BYTES.into())
        .send_window(CONNECTION_WINDOW_BYTES.into())
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER_BYTES))
        .datagram_send_buffer_size(DATAGRAM_BUFFER_BYTES)
        .congestion_controller_factory(Arc::new(noq::congestion::Bbr3Config::default()));
    Arc::new(config)
}
