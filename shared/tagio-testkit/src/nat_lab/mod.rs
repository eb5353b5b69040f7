//! A laboratory of NATs: two homes of any kind, the internet between them, and the place of a relay.
//!
//! ```text
//! a ── home ──[ carrier ]── internet ──[ carrier ]── home ── b        relay: 203.0.113.10 and .11
//! site a: public 198.51.100.1, its home 192.168.1.0/24        site b: public 192.0.2.1, its home 192.168.2.0/24
//! ```
//!
//! Each place is a network namespace. Linux routers are the kernel's own masquerading; all other kinds of NAT, and the
//! distances, are pure code on TUN devices ([`tun`]), because no kernel has them.

mod gateway;
mod home;
mod kind;
mod meeting;
mod nat;
mod packet;
mod site;
mod topology;
mod tun;
mod wan;

use std::{
    env,
    net::Ipv4Addr,
    sync::atomic::{AtomicU8, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};

pub use gateway::Gateway;
pub use kind::Kind;
pub use meeting::{Meeting, Trial, is_direct};
pub use site::{RELAY_ADDRESS_V6, RELAY_ADDRESSES, Site};
pub use wan::Line;

use crate::{Namespace, Seeded, skipped};
use home::{FIRST_CLIENT, HomeNodes, NAT_DEVICE, inside, outside};
use kind::Home;
use nat::Nat;
use site::sibling;
use topology::{Cables, Node, WAN_DEVICE};
use tun::TunBox;
use wan::Wan;

/// How far the sites are from the middle in the matrix: 90 ms there and back from a to b, 40 and 50 to the relay.
const DISTANCES: [(Site, Line); 3] =
    [(Site::A, Line::slow(15, 2)), (Site::B, Line::slow(20, 2)), (Site::Relay, Line::slow(5, 0))];

/// Two homes behind NATs and the place of a relay. All of it goes with this value.
#[derive(Debug)]
pub struct NatLab {
    /// What chance was made from; `TAGIO_SEED` sets it.
    pub seed: u64,
    // Before the namespaces, whose devices their threads use.
    wan: TunBox<Wan>,
    homes: [HomeNet; 2],
    relay: Namespace,
    _inet: Namespace,
}

/// A home that stands.
#[derive(Debug)]
struct HomeNet {
    site: Site,
    kind: Kind,
    /// The home's and the carrier's, as far as they are ours.
    nats: Vec<TunBox<Nat>>,
    client: Namespace,
    router: Namespace,
    _carrier: Option<Namespace>,
    /// The last byte of the client's address.
    address: AtomicU8,
    /// How often the router was started.
    lives: AtomicU8,
}

impl NatLab {
    /// Site a behind the first, site b behind the second; IPv4, and no distance between them.
    /// `None`, loudly, where that is not possible.
    pub fn new(a: Kind, b: Kind) -> Option<Self> {
        Self::or_skipped(Self::try_new(a, b, false))
    }

    /// The same with IPv6 everywhere: global addresses, behind firewalls that let in answers only.
    pub fn with_v6(a: Kind, b: Kind) -> Option<Self> {
        Self::or_skipped(Self::try_new(a, b, true))
    }

    fn or_skipped(lab: Result<Self>) -> Option<Self> {
        lab.inspect_err(|error| {
            skipped(&format!("a laboratory of NATs needs root, TUN, iproute2 and nftables: {error:#}"));
        })
        .ok()
    }

    fn try_new(a: Kind, b: Kind, has_v6: bool) -> Result<Self> {
        let seed = seed();
        let mut chance = Seeded::new(seed);
        let (mut inet, mut relay) = (Node::new("inet", true), Node::new("relay", false));
        let mut cables = Cables::default();
        topology::internet(&mut inet, has_v6);
        topology::relay_site(&mut cables, &mut inet, &mut relay);
        let homes = [(Site::A, a), (Site::B, b)].map(|(site, kind)| {
            let mut nodes = HomeNodes::new(site, kind);
            nodes.plan(site, kind, has_v6, &mut cables, &mut inet);
            (site, kind, nodes)
        });
        let homes_nodes = homes.iter().flat_map(|(_, _, nodes)| nodes.all());
        let nodes: Vec<&Node> = [&inet, &relay].into_iter().chain(homes_nodes).collect();
        cables.make(&nodes).context("namespaces")?;
        let wan = TunBox::start(&inet.net, WAN_DEVICE, Wan::new(Seeded::new(chance.bits())))?;
        let [nats_a, nats_b] =
            homes.each_ref().map(|(site, kind, nodes)| start_nats(*site, *kind, nodes, &mut chance));
        topology::set_up(&nodes)?;
        let [home_a, home_b] = homes;
        let homes = [HomeNet::new(home_a, nats_a?), HomeNet::new(home_b, nats_b?)];
        Ok(Self { seed, wan, homes, relay: relay.net, _inet: inet.net })
    }

    /// Puts the sites as far apart as they are in the matrix.
    #[must_use]
    pub fn with_distances(self) -> Self {
        for (site, line) in DISTANCES {
            self.impair(site, line);
        }
        self
    }

    /// Where a viewer runs: behind the NAT of site a.
    pub const fn viewer(&self) -> &Namespace {
        &self.homes[0].client
    }

    /// Where a host runs: behind the NAT of site b.
    pub const fn host(&self) -> &Namespace {
        &self.homes[1].client
    }

    /// Where a relay runs, with [`RELAY_ADDRESSES`].
    pub const fn relay(&self) -> &Namespace {
        &self.relay
    }

    /// From now on the line of this site is like this, in both directions.
    pub fn impair(&self, site: Site, line: Line) {
        self.wan.lock().impair(site, line);
    }

    /// From now on everything from and to this site is lost, without a word; or nothing is any more.
    pub fn cut(&self, site: Site, is_cut: bool) {
        self.wan.lock().cut(site, is_cut);
    }

    /// The routers of this home forget all mappings and connections, as by a restart.
    ///
    /// # Panics
    /// When the kernel's cannot; for the site of the relay, which has none.
    pub fn reboot(&self, site: Site) {
        self.home(site).reboot().unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// The client of this home gets another address and loses its old one, as by another lease.
    ///
    /// # Panics
    /// When that fails; for the site of the relay.
    pub fn change_address(&self, site: Site) {
        self.home(site).change_address().unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// From now on the router of this home, which was not rebooted, forwards nothing; what runs on it gets out.
    ///
    /// # Panics
    /// When the rule is not taken; for the site of the relay.
    pub fn forward_nothing(&self, site: Site) {
        // Connections of the router's own are in the zone in which it looks for their answers.
        let table = "nft -f - <<'END'
table inet shut {
chain forward {
type filter hook forward priority -10
policy drop
}
chain output {
type filter hook output priority raw
ct zone set 1
}
}
END";
        self.home(site).router.script(table).unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// The router of this home, and its address for those inside: the place for a proxy.
    ///
    /// # Panics
    /// For the site of the relay.
    pub fn router(&self, site: Site) -> (&Namespace, Ipv4Addr) {
        let home = self.home(site);
        (&home.router, inside(site, home.kind))
    }

    fn home(&self, site: Site) -> &HomeNet {
        self.homes.iter().find(|home| home.site == site).expect("a and b are homes, the relay's site is none")
    }
}

impl HomeNet {
    fn new((site, kind, nodes): (Site, Kind, HomeNodes), nats: Vec<TunBox<Nat>>) -> Self {
        Self {
            site,
            kind,
            nats,
            client: nodes.client.net,
            router: nodes.router.net,
            _carrier: nodes.carrier.map(|carrier| carrier.net),
            address: AtomicU8::new(FIRST_CLIENT),
            lives: AtomicU8::new(1),
        }
    }

    fn reboot(&self) -> Result<()> {
        for nat in &self.nats {
            nat.lock().forget();
        }
        // The kernel knows connections by zones. In another zone it knows none.
        let life = self.lives.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.router
            .script(&format!("nft 'flush chain inet life life; add rule inet life life ct zone set {life}'"))
    }

    fn change_address(&self) -> Result<()> {
        let gateway = inside(self.site, self.kind);
        let old = self.address.fetch_add(1, Ordering::Relaxed);
        let [old, new] = [old, old + 1].map(|last| sibling(gateway, last));
        self.client.script(&format!(
            "ip addr del {old}/24 dev eth0
             ip addr add {new}/24 dev eth0
             ip route replace default via {gateway} dev eth0"
        ))
    }
}

fn start_nats(site: Site, kind: Kind, nodes: &HomeNodes, chance: &mut Seeded) -> Result<Vec<TunBox<Nat>>> {
    let mut nats = Vec::new();
    let mut chance = || Seeded::new(chance.bits());
    if let Home::Nat(behaviour) = kind.home() {
        let nat = Nat::new(behaviour, outside(site, kind), site.lan(), chance());
        nats.push(TunBox::start(&nodes.router.net, NAT_DEVICE, nat)?);
    }
    if let (Some(behaviour), Some(carrier)) = (kind.carrier(), &nodes.carrier) {
        let nat = Nat::new(behaviour, site.public(), site.carrier(), chance());
        nats.push(TunBox::start(&carrier.net, NAT_DEVICE, nat)?);
    }
    Ok(nats)
}

fn seed() -> u64 {
    let told = env::var("TAGIO_SEED").ok().map(|seed| seed.parse().expect("TAGIO_SEED is a number"));
    told.unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64)
    })
}
