//! What `ip`, `nft` and the shell are told so that the networks of a laboratory stand as they should.
//!
//! One batch makes all namespaces and cables, one script sets each namespace up: programs are slow to start.

use std::{fmt::Write as _, thread};

use anyhow::Result;

use super::site::{RELAY_ADDRESSES, Site};
use crate::{Namespace, program::run_fed};

/// The device behind which all delays are.
pub(super) const WAN_DEVICE: &str = "wan";
/// Where the internet's router is for all.
pub(super) const GATEWAY: &str = "203.0.113.254";
/// A route is looked up here for what comes by a certain device.
pub(super) const TABLE: &str = "lookup 100 priority 100";

/// A namespace, and what is to be done in it.
pub(super) struct Node {
    pub(super) net: Namespace,
    is_router: bool,
    ip: String,
    nft: String,
    /// What the shell does when all else is done.
    last: String,
}

impl Node {
    pub(super) fn new(purpose: &str, is_router: bool) -> Self {
        let ip = "link set lo up\n".to_owned();
        Self { net: Namespace::planned(purpose), is_router, ip, nft: String::new(), last: String::new() }
    }

    /// A line for `ip -batch`.
    pub(super) fn ip(&mut self, line: impl AsRef<str>) {
        self.ip.push_str(line.as_ref());
        self.ip.push('\n');
    }

    /// A chain of a table that is its own, so that a hook is not had twice.
    pub(super) fn chain(&mut self, name: &str, hook: &str, rules: &[&str]) {
        let rules = rules.join("\n");
        // nft 1.0.6 wants a line for each brace.
        let written =
            write!(self.nft, "table inet {name} {{\nchain {name} {{\ntype {hook};\n{rules}\n}}\n}}\n");
        written.expect("a string takes all");
    }

    fn script(&self) -> String {
        let mut script = String::new();
        if self.is_router {
            script.push_str(FORWARD);
        }
        let _ = write!(script, "ip -batch - <<'END'\n{}END\n", self.ip);
        if !self.nft.is_empty() {
            let _ = write!(script, "nft -f - <<'END'\n{}END\n", self.nft);
        }
        script.push_str(&self.last);
        script
    }
}

/// A router: forwards, and takes packets by whatever way they come.
const FORWARD: &str = "cd /proc/sys/net
for all in ipv4/conf/*; do echo 0 >$all/rp_filter; echo 0 >$all/send_redirects; done
echo 1 >ipv4/ip_forward
echo 1 >ipv6/conf/all/forwarding
";

/// The end of a cable of a site, for its hardware address.
#[derive(Clone, Copy)]
pub(super) enum End {
    Internet = 1,
    /// Of the first router that the internet reaches.
    Edge,
    Carrier,
    Customer,
    Home,
    Client,
}

/// Cables with known ends.
#[derive(Default)]
pub(super) struct Cables(String);

/// The hardware address of one end of a cable of a site.
pub(super) fn mac(site: Site, end: End) -> String {
    format!("02:00:00:00:{:02x}:{:02x}", site.number(), end as u8)
}

impl Cables {
    pub(super) fn join(&mut self, site: Site, left: (&Node, &str, End), right: (&Node, &str, End)) {
        let end = |(node, device, end): (&Node, &str, End)| {
            format!("{device} address {} netns {}", mac(site, end), node.net.name())
        };
        let written = writeln!(self.0, "link add {} type veth peer {}", end(left), end(right));
        written.expect("a string takes all");
    }

    /// Makes the namespaces and joins them.
    pub(super) fn make(&self, nodes: &[&Node]) -> Result<()> {
        let mut batch: String = nodes.iter().map(|node| format!("netns add {}\n", node.net.name())).collect();
        batch.push_str(&self.0);
        run_fed("ip", &["-batch", "-"], &batch)
    }
}

/// Sets up what was planned, all at once.
pub(super) fn set_up(nodes: &[&Node]) -> Result<()> {
    thread::scope(|scope| {
        let scripts: Vec<_> =
            nodes.iter().map(|node| scope.spawn(|| node.net.script(&node.script()))).collect();
        scripts.into_iter().try_for_each(|script| script.join().expect("no panic inside"))
    })
}

/// The middle: every packet between two sites goes through the device of delays.
pub(super) fn internet(inet: &mut Node, has_v6: bool) {
    inet.ip(format!("link set {WAN_DEVICE} txqueuelen 10000 up"));
    inet.ip(format!("route add default dev {WAN_DEVICE} table 100"));
    inet.ip(format!("route add ::/0 dev {WAN_DEVICE} table 100"));
    for site in Site::ALL {
        let rule = format!("rule add iif to-{} {TABLE}", site.letter());
        if has_v6 {
            // No line of a batch can say of which family a rule is.
            inet.last.push_str(&format!("ip -6 {rule}\n"));
        }
        inet.ip(rule);
    }
}

/// The place of the relay.
pub(super) fn relay_site(cables: &mut Cables, inet: &mut Node, relay: &mut Node) {
    let site = Site::Relay;
    cables.join(site, (inet, "to-relay", End::Internet), (relay, "eth0", End::Edge));
    inet.ip("link set to-relay up");
    inet.ip(format!("addr add {GATEWAY}/32 dev to-relay"));
    inet.ip("addr add fe80::1/64 dev to-relay nodad");
    relay.ip("link set eth0 up");
    relay.ip("addr add fe80::2/64 dev eth0 nodad");
    for address in RELAY_ADDRESSES {
        relay.ip(format!("addr add {address}/32 dev eth0"));
        inet.ip(format!("route add {address} dev to-relay"));
        pin(inet, "to-relay", &address.to_string(), &mac(site, End::Edge));
    }
    pin(relay, "eth0", GATEWAY, &mac(site, End::Internet));
    let [first, _] = RELAY_ADDRESSES;
    relay.ip(format!("route add default via {GATEWAY} dev eth0 onlink src {first}"));
    relay.ip(format!("addr add {}/128 dev eth0 nodad", site.v6()));
    relay.ip(format!("route add default via fe80::1 dev eth0 src {}", site.v6()));
    inet.ip(format!("route add {}/48 via fe80::2 dev to-relay", site.v6_network()));
}

/// Tells a neighbour's hardware address instead of letting it be asked for: nobody would answer for an address that
/// is routed into a NAT of ours, and asking takes time.
pub(super) fn pin(node: &mut Node, device: &str, address: &str, mac: &str) {
    node.ip(format!("neigh replace {address} lladdr {mac} dev {device} nud permanent"));
}
