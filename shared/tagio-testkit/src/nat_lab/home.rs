//! What stands at a home: a client, its router, and perhaps a carrier's router; see [`topology`](super::topology).

use std::net::Ipv4Addr;

use super::{
    kind::{Home, Kind},
    site::{Site, sibling},
    topology::{Cables, End, GATEWAY, Node, TABLE, mac, pin},
};

/// The last byte of a client's first address.
pub(super) const FIRST_CLIENT: u8 = 10;
/// The last byte of a home's address on its carrier's network.
const CARRIERS_CUSTOMER: u8 = 2;
/// The device of a NAT of ours.
pub(super) const NAT_DEVICE: &str = "nat0";

/// A home: a client, its router, and perhaps a carrier's router.
pub(super) struct HomeNodes {
    pub(super) client: Node,
    pub(super) router: Node,
    pub(super) carrier: Option<Node>,
}

impl HomeNodes {
    pub(super) fn new(site: Site, kind: Kind) -> Self {
        let name = site.letter();
        Self {
            client: Node::new(name, false),
            router: Node::new(&format!("r{name}"), true),
            carrier: kind.carrier().map(|_| Node::new(&format!("c{name}"), true)),
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Node> {
        [&self.client, &self.router].into_iter().chain(&self.carrier)
    }

    /// Plans all of it. A home with IPv6 has global addresses behind a firewall that lets in answers only.
    pub(super) fn plan(
        &mut self,
        site: Site,
        kind: Kind,
        has_v6: bool,
        cables: &mut Cables,
        inet: &mut Node,
    ) {
        let Self { client, router, carrier } = self;
        let public = site.public();
        match carrier {
            Some(carrier) => {
                uplink(site, cables, inet, carrier);
                customer(site, cables, carrier, router);
                own_nat(carrier, "lan0", site.carrier(), public);
            }
            None => uplink(site, cables, inet, router),
        }
        lan(site, kind, cables, router, client);
        match kind.home() {
            Home::Nat(_) => own_nat(router, "lan0", site.lan(), outside(site, kind)),
            Home::Masquerade { is_open, passes_udp } => {
                router.ip(format!("addr add {public}/32 dev wan0"));
                masquerade(router, is_open);
                if !passes_udp {
                    only_port_443(router);
                }
            }
            Home::Routed { has_firewall: true } => firewall(router, "ipv4"),
            Home::Routed { has_firewall: false } => {}
        }
        router.chain("life", "filter hook prerouting priority raw", &["ct zone set 1"]);
        if has_v6 {
            v6(site, self, inet);
        }
    }
}

/// The outside address of a home's router.
pub(super) fn outside(site: Site, kind: Kind) -> Ipv4Addr {
    match kind.carrier() {
        Some(_) => sibling(site.carrier(), CARRIERS_CUSTOMER),
        None => site.public(),
    }
}

/// The router's address on its inside, which is public where nothing is translated.
pub(super) fn inside(site: Site, kind: Kind) -> Ipv4Addr {
    match kind.home() {
        Home::Routed { .. } => site.public(),
        Home::Nat(_) | Home::Masquerade { .. } => site.lan(),
    }
}

/// The cable from the internet to the first router of a site.
fn uplink(site: Site, cables: &mut Cables, inet: &mut Node, edge: &mut Node) {
    let (device, public) = (format!("to-{}", site.letter()), site.public());
    cables.join(site, (inet, &device, End::Internet), (edge, "wan0", End::Edge));
    inet.ip(format!("link set {device} up"));
    inet.ip(format!("addr add fe80::1/64 dev {device} nodad"));
    inet.ip(format!("route add {public} dev {device}"));
    inet.ip(format!("route add {}/24 via {public} dev {device} onlink", sibling(public, 0)));
    pin(inet, &device, &public.to_string(), &mac(site, End::Edge));
    edge.ip("link set wan0 up");
    edge.ip("addr add fe80::2/64 dev wan0 nodad");
    edge.ip(format!("route add default via {GATEWAY} dev wan0 onlink"));
    edge.ip("route add default via fe80::1 dev wan0");
    pin(edge, "wan0", GATEWAY, &mac(site, End::Internet));
}

/// The cable from a carrier to a home.
fn customer(site: Site, cables: &mut Cables, carrier: &mut Node, router: &mut Node) {
    let (gateway, own) = (site.carrier(), sibling(site.carrier(), CARRIERS_CUSTOMER));
    cables.join(site, (carrier, "lan0", End::Carrier), (router, "wan0", End::Customer));
    carrier.ip("link set lan0 up");
    carrier.ip(format!("addr add {gateway}/24 dev lan0"));
    pin(carrier, "lan0", &own.to_string(), &mac(site, End::Customer));
    router.ip("link set wan0 up");
    router.ip(format!("route add default via {gateway} dev wan0 onlink"));
    pin(router, "wan0", &gateway.to_string(), &mac(site, End::Carrier));
}

/// The cable from a home's router to its client.
fn lan(site: Site, kind: Kind, cables: &mut Cables, router: &mut Node, client: &mut Node) {
    let gateway = inside(site, kind);
    cables.join(site, (router, "lan0", End::Home), (client, "eth0", End::Client));
    router.ip("link set lan0 up");
    router.ip(format!("addr add {gateway}/24 dev lan0"));
    client.ip("link set eth0 up");
    client.ip(format!("addr add {}/24 dev eth0", sibling(gateway, FIRST_CLIENT)));
    client.ip(format!("route add default via {gateway} dev eth0"));
}

/// Leads what comes from inside, and what is for the outside address, through a NAT of ours.
/// That address is none of the router's own, so that the kernel answers nothing itself.
fn own_nat(router: &mut Node, inside_device: &str, inside: Ipv4Addr, outside: Ipv4Addr) {
    router.ip(format!("link set {NAT_DEVICE} txqueuelen 5000 up"));
    router.ip(format!("route add {outside} dev {NAT_DEVICE}"));
    router.ip(format!("rule add iif {inside_device} {TABLE}"));
    router.ip(format!("route add default dev {NAT_DEVICE} table 100"));
    router.ip(format!("route add {}/24 dev {inside_device} table 100", sibling(inside, 0)));
    // A router has to have some address to say that it is there.
    router.ip("addr add 169.254.1.2/32 dev wan0");
}

fn masquerade(router: &mut Node, is_open: bool) {
    let rule = ["oifname wan0 meta nfproto ipv4 masquerade"];
    router.chain("shared", "nat hook postrouting priority srcnat", &rule);
    if !is_open {
        let rules = ["ct state established,related accept", "iifname wan0 meta nfproto ipv4 drop"];
        router.chain("closed", "filter hook input priority filter", &rules);
    }
}

fn firewall(router: &mut Node, family: &str) {
    let [pings, rest] = [
        format!("iifname wan0 meta nfproto {family} meta l4proto {{ icmp, ipv6-icmp }} accept"),
        format!("iifname wan0 meta nfproto {family} drop"),
    ];
    let rules = ["ct state established,related accept", &pings, &rest];
    router.chain(&format!("firewall_{family}"), "filter hook forward priority filter", &rules);
}

fn only_port_443(router: &mut Node) {
    let rules = ["iifname lan0 tcp dport != 443 drop", "iifname lan0 meta l4proto != tcp drop"];
    router.chain("company", "filter hook forward priority filter - 1", &rules);
}

fn v6(site: Site, nodes: &mut HomeNodes, inet: &mut Node) {
    let HomeNodes { client, router, carrier } = nodes;
    let (network, gateway) = (site.v6_network(), site.v6());
    inet.ip(format!("route add {network}/48 via fe80::2 dev to-{}", site.letter()));
    if let Some(carrier) = carrier {
        carrier.ip("addr add fe80::1/64 dev lan0 nodad");
        carrier.ip(format!("route add {network}/48 via fe80::2 dev lan0"));
        router.ip("addr add fe80::2/64 dev wan0 nodad");
        router.ip("route add default via fe80::1 dev wan0");
    }
    router.ip(format!("addr add {gateway}/64 dev lan0 nodad"));
    firewall(router, "ipv6");
    client.ip(format!("addr add {network}{FIRST_CLIENT}/64 dev eth0 nodad"));
    client.ip(format!("route add default via {gateway} dev eth0"));
}
