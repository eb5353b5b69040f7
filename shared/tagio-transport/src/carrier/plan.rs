//! Which ways to a relay are tried, and when: the cheapest first, the others with a delay, or at once when one fails.
//! Pure: told of time as what has passed since the start.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{
    CarrierChoice, CarrierError, CarrierKind,
    address::HostPort,
    proxy::{Proxies, Proxy},
    road::{Road, Via},
};

/// Later addresses of a name start so much later each (RFC 8305, section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);
/// What the direct way is ahead of a proxy, where more round trips are to be waited for anyway: it wins where it is open.
const PROXY_LAG: Duration = Duration::from_millis(50);
/// What the relay's own port is ahead of its fallback.
const FALLBACK_LAG: Duration = Duration::from_millis(700);
/// The port of HTTPS, for which [`FALLBACK_PORT`] stands in.
const USUAL_PORT: u16 = 443;
/// Where a relay at [`USUAL_PORT`] may listen, too.
const FALLBACK_PORT: u16 = 80;
/// Addresses that are tried by more than TCP and TLS: the first of either family.
const THOROUGH_ADDRESSES: usize = 2;

/// How much what worked before is ahead of all else.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// Nothing is lost when another one is faster.
    Short,
    /// A second answer takes the place of the first one: the relay gives an end of a leg to whoever asked last.
    Long,
}

impl Patience {
    fn head_start(self) -> Duration {
        match self {
            Self::Short => Duration::from_millis(250),
            Self::Long => Duration::from_secs(1),
        }
    }
}

/// A way without its address: what is remembered, as addresses change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    kind: CarrierKind,
    via: ViaShape,
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ViaShape {
    Direct,
    Tunnel,
    Forward,
}

impl Shape {
    pub(super) fn of(road: &Road) -> Self {
        let via = match road.via {
            Via::Direct(_) => ViaShape::Direct,
            Via::Tunnel(_) => ViaShape::Tunnel,
            Via::Forward(_) => ViaShape::Forward,
        };
        Self { kind: road.kind, via, port: road.relay.port }
    }
}

/// What is still to be started.
#[derive(Debug)]
pub(super) struct Plan {
    relay: HostPort,
    choice: CarrierChoice,
    /// What worked before, and how far it is ahead.
    remembered: Option<(Shape, Duration)>,
    /// Since the start; the earliest last.
    waiting: Vec<(Duration, Road)>,
}

impl Plan {
    pub(super) fn new(
        relay: HostPort,
        choice: CarrierChoice,
        remembered: Option<Shape>,
        patience: Patience,
    ) -> Self {
        let remembered = remembered.map(|shape| (shape, patience.head_start()));
        Self { relay, choice, remembered, waiting: Vec::new() }
    }

    /// Plans the ways through proxies. They need no address of the relay.
    pub(super) fn add_proxies(&mut self, proxies: &Proxies) {
        if let Some(proxy) = &proxies.tunnel {
            for kind in CarrierKind::ALL {
                let via = Via::Tunnel(Arc::clone(proxy));
                self.add(PROXY_LAG + tunnel_delay(kind), Road { kind, via, relay: self.relay.clone() });
            }
        }
        if let Some(proxy) = &proxies.forward {
            self.add_forward(proxy);
        }
    }

    fn add_forward(&mut self, proxy: &Arc<Proxy>) {
        let via = Via::Forward(Arc::clone(proxy));
        let delay = PROXY_LAG + Duration::from_millis(300);
        self.add(delay, Road { kind: CarrierKind::Http, via, relay: self.relay.clone() });
    }

    /// The relay's addresses are known, so long after the start: plans the direct ways.
    pub(super) fn add_addresses(&mut self, addrs: &[SocketAddr], passed: Duration) {
        for (rank, addr) in addrs.iter().enumerate() {
            for kind in CarrierKind::ALL {
                let is_thorough = matches!(kind, CarrierKind::Tcp | CarrierKind::Tls);
                if rank >= THOROUGH_ADDRESSES && !is_thorough {
                    continue;
                }
                let delay = passed + delay(kind) + NEXT_ADDRESS * u32::try_from(rank).unwrap_or(u32::MAX);
                self.add(delay, Road { kind, via: Via::Direct(*addr), relay: self.relay.clone() });
                if self.relay.port == USUAL_PORT && !kind.has_tls() {
                    let relay = self.relay.at(FALLBACK_PORT);
                    let via = Via::Direct(SocketAddr::new(addr.ip(), FALLBACK_PORT));
                    self.add(delay + FALLBACK_LAG, Road { kind, via, relay });
                }
            }
        }
    }

    fn add(&mut self, delay: Duration, road: Road) {
        if !self.choice.allows(road.kind) {
            return;
        }
        let due = match self.remembered {
            Some((shape, _)) if shape == Shape::of(&road) => Duration::ZERO,
            Some((_, head_start)) => delay + head_start,
            None => delay,
        };
        // Behind those that are due at the same time, which were added before.
        let at = self.waiting.partition_point(|(other, _)| *other > due);
        self.waiting.insert(at, (due, road));
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.waiting.last().map(|(due, _)| *due)
    }

    /// The next one that is due by now.
    pub(super) fn pop_due(&mut self, passed: Duration) -> Option<Road> {
        self.waiting.pop_if(|(due, _)| *due <= passed).map(|(_, road)| road)
    }

    /// One failed: the next may start now, and none is left of those that would fail likewise.
    pub(super) fn failed(&mut self, road: &Road, error: &CarrierError, passed: Duration) {
        match error {
            CarrierError::Connect(_)
            | CarrierError::ProxyConnect { .. }
            | CarrierError::ProxyLogin { .. } => {
                self.waiting.retain(|(_, other)| !other.via.leads_like(&road.via));
            }
            CarrierError::ProxyRefused { .. } => {
                self.waiting.retain(|(_, other)| !matches!(other.via, Via::Tunnel(_)));
            }
            // This carrier's own trouble.
            CarrierError::Name(_)
            | CarrierError::Tls(_)
            | CarrierError::WebSocket(_)
            | CarrierError::Http(_)
            | CarrierError::Status(_)
            | CarrierError::Ended
            | CarrierError::NotTheRelay
            | CarrierError::Broken(_)
            | CarrierError::TimedOut => {}
        }
        self.hurry(passed);
    }

    /// The next may start now, and the others keep their distance from it.
    pub(super) fn hurry(&mut self, passed: Duration) {
        let Some(next) = self.next_due() else { return };
        let early = next.saturating_sub(passed);
        for (due, _) in &mut self.waiting {
            *due -= early;
        }
    }
}

/// When a carrier starts on the direct way: so long as a round trip of the cheaper ones takes on most networks.
const fn delay(kind: CarrierKind) -> Duration {
    Duration::from_millis(match kind {
        CarrierKind::Tcp => 0,
        CarrierKind::Tls => 250,
        CarrierKind::WebSocketTls => 500,
        CarrierKind::WebSocket => 650,
        CarrierKind::HttpTls => 900,
        CarrierKind::Http => 1050,
    })
}

/// The same in a tunnel: what most proxies expect in one is TLS.
const fn tunnel_delay(kind: CarrierKind) -> Duration {
    Duration::from_millis(match kind {
        CarrierKind::Tls => 0,
        CarrierKind::Tcp => 150,
        CarrierKind::WebSocketTls => 450,
        CarrierKind::WebSocket => 600,
        CarrierKind::HttpTls => 900,
        CarrierKind::Http => 1050,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carrier::{FixedProxy, ProxySetting};

    const LONG: Duration = Duration::from_secs(60);

    fn relay(port: u16) -> HostPort {
        HostPort { host: "relay.example".to_owned(), port }
    }

    fn addr(last: u8, port: u16) -> SocketAddr {
        SocketAddr::new([192, 0, 2, last].into(), port)
    }

    fn plan(choice: CarrierChoice, remembered: Option<Shape>) -> Plan {
        Plan::new(relay(8443), choice, remembered, Patience::Short)
    }

    fn refused() -> CarrierError {
        CarrierError::Connect(std::io::ErrorKind::ConnectionRefused.into())
    }

    fn kinds(plan: &mut Plan) -> Vec<CarrierKind> {
        std::iter::from_fn(|| plan.pop_due(LONG)).map(|road| road.kind).collect()
    }

    #[test]
    fn the_cheapest_starts_first_and_a_choice_is_kept() {
        let mut all = plan(CarrierChoice::Automatic, None);
        all.add_addresses(&[addr(1, 8443)], Duration::ZERO);
        assert_eq!(all.next_due(), Some(Duration::ZERO));
        assert_eq!(kinds(&mut all), CarrierKind::ALL);
        let mut only = plan(CarrierChoice::WebSocket, None);
        only.add_addresses(&[addr(1, 8443)], Duration::ZERO);
        assert_eq!(kinds(&mut only), [CarrierKind::WebSocketTls, CarrierKind::WebSocket]);
    }

    #[test]
    fn what_worked_before_starts_first_and_alone() {
        let mut before = plan(CarrierChoice::Automatic, None);
        before.add_addresses(&[addr(1, 8443)], Duration::ZERO);
        let worked = std::iter::from_fn(|| before.pop_due(LONG)).find(|road| road.kind == CarrierKind::Http);
        let mut next = plan(CarrierChoice::Automatic, worked.as_ref().map(Shape::of));
        next.add_addresses(&[addr(2, 8443)], Duration::ZERO);
        assert_eq!(next.pop_due(Duration::ZERO).map(|road| road.kind), Some(CarrierKind::Http));
        assert_eq!(next.next_due(), Some(Patience::Short.head_start()));
    }

    #[test]
    fn a_failure_brings_the_next_one_forward_and_a_dead_end_ends_all_that_lead_there() {
        let mut plan = plan(CarrierChoice::Automatic, None);
        plan.add_addresses(&[addr(1, 8443), addr(2, 8443)], Duration::ZERO);
        let first = plan.pop_due(Duration::ZERO).unwrap();
        assert!(plan.pop_due(Duration::ZERO).is_none());
        plan.failed(&first, &refused(), Duration::from_millis(3));
        let second = plan.pop_due(Duration::from_millis(3)).unwrap();
        assert!(matches!(second.via, Via::Direct(at) if at == addr(2, 8443)));
        plan.failed(&second, &refused(), Duration::from_millis(4));
        assert_eq!(plan.next_due(), None);
    }

    #[test]
    fn a_proxy_that_refuses_tunnels_may_still_forward() {
        let fixed =
            FixedProxy { address: "proxy:3128".to_owned(), user: String::new(), password: String::new() };
        let proxies = Proxies::before(&relay(8443), &ProxySetting::Fixed(fixed));
        let mut plan = plan(CarrierChoice::Automatic, None);
        plan.add_proxies(&proxies);
        let tunnel = plan.pop_due(LONG).unwrap();
        let proxy = "proxy:3128".to_owned();
        plan.failed(&tunnel, &CarrierError::ProxyRefused { proxy: proxy.clone(), status: 403 }, LONG);
        let forward = plan.pop_due(LONG).unwrap();
        assert!(matches!(forward.via, Via::Forward(_)) && plan.pop_due(LONG).is_none());
        plan.add_proxies(&proxies);
        plan.failed(&tunnel, &CarrierError::ProxyLogin { proxy, was_given: false }, LONG);
        assert!(plan.pop_due(LONG).is_none());
    }

    #[test]
    fn a_relay_at_the_port_of_https_may_be_at_that_of_http_too() {
        let mut usual = Plan::new(relay(443), CarrierChoice::Automatic, None, Patience::Short);
        usual.add_addresses(&[addr(1, 443)], Duration::ZERO);
        let mut at_80 = std::iter::from_fn(|| usual.pop_due(LONG)).filter(|road| road.relay.port == 80);
        assert!(at_80.all(|road| matches!(road.via, Via::Direct(at) if at == addr(1, 80))));
        let mut other = plan(CarrierChoice::Automatic, None);
        other.add_addresses(&[addr(1, 8443)], Duration::ZERO);
        assert!(std::iter::from_fn(|| other.pop_due(LONG)).all(|road| road.relay.port == 8443));
    }
}
