//! The metrics page: Prometheus text, made anew for each request.

use std::fmt::Write;

use tagio_forward::server::Totals;

use crate::{lock::lock, shared::Shared};

/// All metrics.
pub(crate) fn text(shared: &Shared) -> String {
    let gauges = lock(&shared.hub).gauges();
    let messages = shared.messages.gauges();
    let registrations = shared.registrations.len();
    let connections = lock(&shared.admission).connections();
    let mut out = String::with_capacity(8 * 1024);
    let mut metric = |name: &str, kind: &str, help: &str, value: u64| {
        head(&mut out, name, kind, help);
        line(&mut out, format_args!("{name} {value}"));
    };
    metric("tagio_relay_connections", "gauge", "TCP connections of all kinds", connections.into());
    metric("tagio_relay_clients", "gauge", "Control connections that were let in", gauges.clients as u64);
    metric("tagio_relay_callable", "gauge", "IDs that can be called now", gauges.callable as u64);
    metric("tagio_relay_legs", "gauge", "Relay legs", gauges.legs as u64);
    metric("tagio_relay_packets_total", "counter", "Packets forwarded", gauges.traffic.packets);
    metric("tagio_relay_bytes_total", "counter", "Bytes in forwarded packets", gauges.traffic.bytes);
    let help = "Packets that waited for an end of their leg to be bound";
    metric("tagio_relay_held_packets_total", "counter", help, gauges.traffic.held);
    metric("tagio_relay_message_clients", "gauge", "Clients of TAGIO messages", messages.clients);
    metric("tagio_relay_messages_total", "counter", "TAGIO messages delivered", messages.messages);
    metric("tagio_relay_message_bytes_total", "counter", "Bytes of payload in them", messages.bytes);
    let help = "Bytes of TAGIO messages that wait for a client or have come in part";
    metric("tagio_relay_message_queued_bytes", "gauge", help, messages.queued_bytes);
    let help = "Names registered by the length-prefixed protocol";
    metric("tagio_relay_registrations", "gauge", help, registrations as u64);
    if let Some(tunnels) = shared.tunnels() {
        let gauges = tunnels.gauges();
        metric("tagio_tunnels", "gauge", "Reverse tunnels that stand", gauges.tunnels as u64);
        metric("tagio_tunnel_visits", "gauge", "Visitors that are with a tunnel", gauges.visits.into());
        metric("tagio_tunnel_visits_total", "counter", "Visitors of tunnels", gauges.visits_total);
        let help = "Bytes from visitors, but for requests by name and yamux";
        metric("tagio_tunnel_inward_bytes_total", "counter", help, gauges.bytes_inward);
        let help = "Bytes to visitors, but for requests by name and yamux";
        metric("tagio_tunnel_outward_bytes_total", "counter", help, gauges.bytes_outward);
    }
    if let Some(edges) = shared.edges() {
        let gauges = edges.gauges();
        metric("tagio_edge_nodes", "gauge", "Edge nodes that are there", gauges.nodes as u64);
        metric("tagio_edge_sessions", "gauge", "Sessions through them", gauges.sessions.into());
        metric("tagio_edge_sessions_total", "counter", "Sessions through edge nodes", gauges.sessions_total);
        let help = "Bytes that wait for users of edge nodes";
        metric("tagio_edge_queued_bytes", "gauge", help, gauges.queued_bytes as u64);
        let help = "Bytes from users of edge nodes, datagrams included";
        metric("tagio_edge_up_bytes_total", "counter", help, gauges.bytes_up);
        let help = "Bytes to users of edge nodes, datagrams included";
        metric("tagio_edge_down_bytes_total", "counter", help, gauges.bytes_down);
        let help = "Bytes of streams through edge nodes that waited for a rate";
        metric("tagio_edge_held_bytes_total", "counter", help, gauges.bytes_held);
    }
    if let Some(forward) = shared.forward() {
        forward_metrics(&mut out, &forward.totals());
    }
    let name = "tagio_relay_denied_total";
    head(&mut out, name, "counter", "What was refused or dropped, by reason");
    for (denial, count) in shared.denials.iter() {
        line(&mut out, format_args!("{name}{{reason=\"{}\"}} {count}", denial.label()));
    }
    out
}

/// By the names that other servers of the protocol have.
fn forward_metrics(out: &mut String, totals: &Totals) {
    let mut metric = |name: &str, kind: &str, help: &str, value: u64| {
        head(out, name, kind, help);
        line(out, format_args!("{name} {value}"));
    };
    let help = "Connections of the forward tunnel that were begun";
    metric("mytunnel_connections_total", "counter", help, totals.connections_total);
    let help = "Clients of the forward tunnel";
    metric("mytunnel_connections_active", "gauge", help, totals.connections_active as u64);
    let help = "Bytes of payload from clients, by streams and datagrams";
    metric("mytunnel_bytes_received", "counter", help, totals.bytes_received);
    metric("mytunnel_bytes_sent", "counter", "Bytes of payload to clients", totals.bytes_sent);
    metric("mytunnel_streams_opened", "counter", "Targets that were asked for", totals.streams_opened);
    metric("mytunnel_streams_active", "gauge", "TCP connections to targets", totals.streams_active as u64);
    metric("mytunnel_flows_active", "gauge", "UDP flows to targets", totals.flows_active as u64);
    metric("mytunnel_datagrams_received", "counter", "Datagrams from clients", totals.datagrams_received);
    metric("mytunnel_datagrams_sent", "counter", "Datagrams to clients", totals.datagrams_sent);
    let name = "mytunnel_refused_total";
    head(out, name, "counter", "What the forward tunnel refused or dropped, by reason");
    for (why, count) in &totals.refused {
        line(out, format_args!("{name}{{reason=\"{}\"}} {count}", why.label()));
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    line(out, format_args!("# HELP {name} {help}"));
    line(out, format_args!("# TYPE {name} {kind}"));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a string cannot fail");
}
