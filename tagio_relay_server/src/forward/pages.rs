//! `/connections` and `/stats` on the metrics address: JSON, for people and scripts.

use serde::Serialize;

use super::Forward;

#[derive(Serialize)]
struct Connection {
    id: u64,
    /// Where the client is now.
    address: Option<String>,
    seconds: u64,
    rtt_ms: Option<f64>,
    bytes_received: u64,
    bytes_sent: u64,
}

#[derive(Serialize)]
struct Stats {
    connections_total: u64,
    connections_active: usize,
    bytes_received: u64,
    bytes_sent: u64,
    streams_opened: u64,
    streams_active: usize,
    flows_active: usize,
    datagrams_received: u64,
    datagrams_sent: u64,
    refused: std::collections::BTreeMap<&'static str, u64>,
}

impl Forward {
    /// The clients that are let in.
    pub(crate) fn connections_page(&self) -> String {
        let connections: Vec<_> = self
            .server
            .connections()
            .into_iter()
            .map(|facts| Connection {
                id: facts.id,
                address: facts.addr.map(|addr| addr.to_string()),
                seconds: facts.age.as_secs(),
                rtt_ms: facts.rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
                bytes_received: facts.bytes_received,
                bytes_sent: facts.bytes_sent,
            })
            .collect();
        json(&connections)
    }

    /// All clients together.
    pub(crate) fn stats_page(&self) -> String {
        let totals = self.totals();
        json(&Stats {
            connections_total: totals.connections_total,
            connections_active: totals.connections_active,
            bytes_received: totals.bytes_received,
            bytes_sent: totals.bytes_sent,
            streams_opened: totals.streams_opened,
            streams_active: totals.streams_active,
            flows_active: totals.flows_active,
            datagrams_received: totals.datagrams_received,
            datagrams_sent: totals.datagrams_sent,
            refused: totals.refused.iter().map(|(why, count)| (why.label(), *count)).collect(),
        })
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("numbers and strings always become JSON")
}
