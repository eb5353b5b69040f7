//! What a server counts.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::pump::Meter;

/// Why something was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many clients, or the server stops.
    Clients,
    /// A wrong token, or none in time.
    Token,
    /// A target that the policy does not allow.
    Target,
    /// Too many streams.
    Streams,
    /// Too many UDP flows.
    Flows,
    /// Bytes that are no message.
    Malformed,
    /// A datagram that the system did not take, that waited among too many, or was too long for the way.
    Datagram,
}

impl Refusal {
    const ALL: [Self; 7] = [
        Self::Clients,
        Self::Token,
        Self::Target,
        Self::Streams,
        Self::Flows,
        Self::Malformed,
        Self::Datagram,
    ];

    /// As metrics spell it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Token => "token",
            Self::Target => "target",
            Self::Streams => "streams",
            Self::Flows => "flows",
            Self::Malformed => "malformed",
            Self::Datagram => "datagram",
        }
    }
}

/// Counters of all connections.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) connections: AtomicU64,
    pub(super) streams: AtomicU64,
    pub(super) datagrams_received: AtomicU64,
    pub(super) datagrams_sent: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Counters {
    pub(super) fn refuse(&self, why: Refusal) {
        self.refuse_many(why, 1);
    }

    pub(super) fn refuse_many(&self, why: Refusal, count: u64) {
        self.refused[why as usize].fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn totals(&self, connections: usize, streams: usize, flows: usize, meter: &Meter) -> Totals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            connections_total: read(&self.connections),
            connections_active: connections,
            bytes_received: read(&meter.received),
            bytes_sent: read(&meter.sent),
            streams_opened: read(&self.streams),
            streams_active: streams,
            flows_active: flows,
            datagrams_received: read(&self.datagrams_received),
            datagrams_sent: read(&self.datagrams_sent),
            refused: Refusal::ALL.map(|why| (why, read(&self.refused[why as usize]))).to_vec(),
        }
    }
}

/// Numbers of a server. Bytes are payload: of streams and of datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Totals {
    pub connections_total: u64,
    pub connections_active: usize,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub streams_opened: u64,
    pub streams_active: usize,
    pub flows_active: usize,
    pub datagrams_received: u64,
    pub datagrams_sent: u64,
    pub refused: Vec<(Refusal, u64)>,
}

/// One client that was let in.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionFacts {
    /// Counts up from 1.
    pub id: u64,
    /// Where it is now; it may move.
    pub addr: Option<SocketAddr>,
    /// Since it was let in.
    pub age: Duration,
    /// Round trip.
    pub rtt: Option<Duration>,
    /// Payload from it.
    pub bytes_received: u64,
    /// Payload to it.
    pub bytes_sent: u64,
}
