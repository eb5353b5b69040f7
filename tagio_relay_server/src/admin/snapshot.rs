//! What the admin's page shows, as one JSON object.

use std::time::Instant;

use serde::Serialize;
use tagio_relay_core::{Route, legs::LegView, presence::ClientView};

use super::history::{History, SAMPLES_MAX};
use crate::{lock::lock, shared::Shared};

/// Rows of a table at most: more than anybody reads, and little enough to send every other second.
const ROWS_MAX: usize = 100;

#[derive(Debug, Serialize)]
struct Snapshot {
    draining: bool,
    uptime_secs: u64,
    bits_per_second: f64,
    callable: usize,
    refused_last_minute: u64,
    clients: Rows<ClientRow>,
    sessions: Rows<SessionRow>,
    refused: Vec<RefusedRow>,
    history: Series,
}

#[derive(Debug, Serialize)]
struct Rows<T> {
    total: usize,
    /// At most [`ROWS_MAX`].
    rows: Vec<T>,
}

#[derive(Debug, Serialize)]
struct ClientRow {
    id: String,
    from: String,
    callable: bool,
    calls: usize,
    age_secs: u64,
    silent_secs: u64,
}

/// A relay leg: each session has one, also when its packets go directly.
#[derive(Debug, Serialize)]
struct SessionRow {
    caller: String,
    target: String,
    caller_leg: &'static str,
    target_leg: &'static str,
    age_secs: u64,
    idle_secs: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct RefusedRow {
    reason: &'static str,
    last_minute: u64,
    total: u64,
}

/// Oldest first.
#[derive(Debug, Serialize)]
struct Series {
    length: usize,
    bits_per_second: Vec<f64>,
    clients: Vec<usize>,
    sessions: Vec<usize>,
}

/// The relay as it is now.
pub(super) fn json(shared: &Shared, history: &History, started: Instant, now: Instant) -> String {
    let (gauges, draining, clients, legs) = {
        let hub = lock(&shared.hub);
        (hub.gauges(), hub.is_draining(), hub.newest_clients(ROWS_MAX), hub.latest_legs(ROWS_MAX))
    };
    let counts = shared.denials.iter().enumerate().filter(|(_, (_, total))| *total > 0);
    let refused: Vec<_> = counts
        .map(|(reason, (denial, total))| RefusedRow {
            reason: denial.label(),
            last_minute: history.refused_last_minute(reason, total),
            total,
        })
        .collect();
    let snapshot = Snapshot {
        draining,
        uptime_secs: now.saturating_duration_since(started).as_secs(),
        bits_per_second: history.latest().map_or(0.0, |sample| sample.bits_per_second),
        callable: gauges.callable,
        refused_last_minute: refused.iter().map(|row| row.last_minute).sum(),
        clients: Rows { total: gauges.clients, rows: clients.iter().map(ClientRow::from).collect() },
        sessions: Rows { total: gauges.legs, rows: legs.iter().map(SessionRow::from).collect() },
        refused,
        history: Series {
            length: SAMPLES_MAX,
            bits_per_second: history.samples().map(|sample| sample.bits_per_second.round()).collect(),
            clients: history.samples().map(|sample| sample.clients).collect(),
            sessions: history.samples().map(|sample| sample.sessions).collect(),
        },
    };
    serde_json::to_string(&snapshot).expect("numbers and text have a form in JSON")
}

impl From<&ClientView> for ClientRow {
    fn from(view: &ClientView) -> Self {
        Self {
            id: view.client.id.to_string(),
            from: view.client.net.to_string(),
            callable: view.client.presence,
            calls: view.calls,
            age_secs: view.age.as_secs(),
            silent_secs: view.silence.as_secs(),
        }
    }
}

impl From<&LegView> for SessionRow {
    fn from(view: &LegView) -> Self {
        let [caller_leg, target_leg] = view.routes.map(way);
        Self {
            caller: view.parties.caller.to_string(),
            target: view.parties.target.to_string(),
            caller_leg,
            target_leg,
            age_secs: view.age.as_secs(),
            idle_secs: view.idle.as_secs(),
            bytes: view.bytes,
        }
    }
}

/// How an end is reached.
fn way(route: Option<Route>) -> &'static str {
    match route {
        Some(Route::Udp(_)) => "UDP",
        Some(Route::Tcp(_)) => "TCP",
        None => "none",
    }
}
