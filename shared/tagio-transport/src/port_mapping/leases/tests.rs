//! The lease loop against a virtual clock and routers made of closures.

use super::*;
use crate::port_mapping::{
    MappedBy,
    grant::{Handle, LIFETIME_SECS},
};

/// The machine and its clock.
struct World {
    leases: Leases,
    now: Instant,
}

const MINUTE: Duration = Duration::from_secs(60);

impl World {
    fn new(sockets: &[&str]) -> Self {
        let now = Instant::now();
        let sockets = sockets.iter().map(|text| (text.parse().unwrap(), Nonce::default()));
        let mut world = Self { leases: Leases::new(sockets, now), now };
        world.leases.handle_timeout(now);
        world
    }

    fn asks(&mut self) -> Vec<Ask> {
        std::iter::from_fn(|| self.leases.poll_ask()).collect()
    }

    /// Answers everything that is asked, in order, until nothing is; returns what was asked.
    fn drive(&mut self, router: impl Fn(&MapAsk) -> Result<Grant, MappingError>) -> Vec<Ask> {
        let mut seen = Vec::new();
        while let Some(ask) = self.leases.poll_ask() {
            match &ask {
                Ask::Search(protocol) => self.leases.handle_search(*protocol, true, self.now),
                Ask::Map(map) => self.leases.handle_map(map, router(map), self.now),
                Ask::Check(protocol) => {
                    self.leases.handle_check(*protocol, Ok(Health::default()), self.now);
                }
                Ask::GiveBack { .. } => {}
            }
            seen.push(ask);
        }
        seen
    }

    /// Lets the time of the next timeout come, and returns how long that took.
    fn sleep(&mut self) -> Duration {
        let at = self.leases.poll_timeout().expect("something is due");
        let slept = at.saturating_duration_since(self.now);
        self.now = self.now.max(at);
        self.leases.handle_timeout(self.now);
        slept
    }

    fn external(&self) -> Vec<String> {
        self.leases.external().iter().map(|mapped| format!("{:?} {}", mapped.by, mapped.external)).collect()
    }
}

fn grant(handle: Handle, external: &str) -> Grant {
    Grant { external: external.parse().unwrap(), lifetime_secs: LIFETIME_SECS, handle, epoch: None }
}

/// A router that knows PCP and nothing else.
fn pcp(ask: &MapAsk) -> Result<Grant, MappingError> {
    match ask.protocol {
        Protocol::PortControl => Ok(grant(Handle::Pcp, "1.2.3.4:4000")),
        Protocol::Upnp | Protocol::Pinhole => Err(MappingError::Silent),
    }
}

fn nothing(_: &MapAsk) -> Result<Grant, MappingError> {
    Err(MappingError::Silent)
}

fn maps(asks: &[Ask]) -> Vec<&MapAsk> {
    asks.iter().filter_map(|ask| if let Ask::Map(map) = ask { Some(map) } else { None }).collect()
}

#[test]
fn all_protocols_are_tried_at_once_and_the_first_answer_counts() {
    let mut world = World::new(&["192.168.1.7:4000"]);
    let asks = world.asks();
    let [Ask::Map(map), Ask::Search(Protocol::Upnp)] = &asks[..] else { panic!("{asks:?}") };
    assert_eq!(map.protocol, Protocol::PortControl);
    world.leases.handle_map(map, pcp(map), world.now);
    assert_eq!(world.external(), ["Pcp 1.2.3.4:4000"]);
    world.leases.handle_search(Protocol::Upnp, true, world.now);
    assert_eq!(world.asks(), [], "UPnP has nothing to add");
}

#[test]
fn a_second_mapping_is_given_back_unless_it_is_the_same() {
    for (late, is_given_back) in [("1.2.3.4:5000", true), ("1.2.3.4:4000", false)] {
        let mut world = World::new(&["192.168.1.7:4000"]);
        world.leases.handle_search(Protocol::Upnp, true, world.now);
        let asks = world.asks();
        let [port_control, upnp] = maps(&asks)[..] else { panic!("{asks:?}") };
        world.leases.handle_map(port_control, pcp(port_control), world.now);
        world.leases.handle_map(upnp, Ok(grant(Handle::Upnp, late)), world.now);
        assert_eq!(world.external(), ["Pcp 1.2.3.4:4000"]);
        assert_eq!(matches!(world.asks()[..], [Ask::GiveBack { .. }]), is_given_back);
    }
}

#[test]
fn a_mapping_is_renewed_at_half_of_its_lifetime() {
    let mut world = World::new(&["192.168.1.7:4000"]);
    world.drive(pcp);
    let mut slept = Duration::ZERO;
    for _ in 0..3 {
        let asks = loop {
            slept += world.sleep();
            let asks = world.drive(pcp);
            if !maps(&asks).is_empty() {
                break asks;
            }
            assert_eq!(asks, [Ask::Check(Protocol::PortControl)]);
        };
        assert_eq!(slept, MINUTE * 60);
        assert_eq!(maps(&asks)[0].last.unwrap().external, "1.2.3.4:4000".parse().unwrap());
        assert_eq!(world.external(), ["Pcp 1.2.3.4:4000"]);
        slept = Duration::ZERO;
    }
}

#[test]
fn without_a_router_the_pauses_grow_to_half_an_hour() {
    let mut world = World::new(&["192.168.1.7:4000", "[2001:db8::7]:4000"]);
    let mut pauses = Vec::new();
    for _ in 0..7 {
        world.drive(nothing);
        pauses.push(world.sleep().as_secs());
    }
    assert_eq!(pauses, [15, 60, 240, 960, 1920, 1920, 1920]);
    assert!(world.external().is_empty());
}

#[test]
fn a_failed_renewal_unpublishes_and_starts_over_at_once() {
    let mut world = World::new(&["192.168.1.7:4000"]);
    world.drive(pcp);
    world.leases.look_again(world.now);
    assert_eq!(world.sleep(), Duration::ZERO);
    let asks = world.asks();
    world.leases.handle_map(maps(&asks)[0], nothing(maps(&asks)[0]), world.now);
    assert!(world.external().is_empty());
    assert_eq!(world.sleep(), Duration::ZERO);
    let asks = world.drive(|ask| match ask.protocol {
        Protocol::Upnp => Ok(grant(Handle::Upnp, "1.2.3.4:4000")),
        _ => Err(MappingError::Silent),
    });
    assert!(maps(&asks).iter().all(|ask| ask.last.is_some()), "it asks for the same port");
    assert_eq!(world.external(), ["Upnp 1.2.3.4:4000"]);
}

#[test]
fn a_router_that_lost_its_memory_is_asked_again() {
    let mut world = World::new(&["192.168.1.7:4000", "192.168.1.7:4001"]);
    let router = |ask: &MapAsk| {
        let epoch = Some(1000);
        let external = SocketAddr::new([1, 2, 3, 4].into(), ask.internal.port());
        Ok(Grant { external, epoch, ..grant(Handle::Pcp, "1.2.3.4:1") })
    };
    world.drive(router);
    for (epoch, renewals) in [(1060, 0), (3, 2)] {
        assert_eq!(world.sleep(), MINUTE);
        assert_eq!(world.asks(), [Ask::Check(Protocol::PortControl)]);
        let health = Health { epoch: Some(epoch), external_ip: None };
        world.leases.handle_check(Protocol::PortControl, Ok(health), world.now);
        world.leases.handle_timeout(world.now);
        let asks = world.asks();
        assert_eq!(maps(&asks).len(), renewals, "epoch {epoch}");
    }
}

#[test]
fn another_external_address_is_learnt_by_the_next_check() {
    let mut world = World::new(&["192.168.1.7:4000"]);
    let upnp = |ip: &'static str| {
        move |ask: &MapAsk| match ask.protocol {
            Protocol::Upnp => Ok(grant(Handle::Upnp, ip)),
            _ => Err(MappingError::Unsupported),
        }
    };
    world.drive(upnp("1.2.3.4:4000"));
    assert_eq!(world.sleep(), MINUTE);
    assert_eq!(world.asks(), [Ask::Check(Protocol::Upnp)]);
    let health = Health { epoch: None, external_ip: Some([5, 6, 7, 8].into()) };
    world.leases.handle_check(Protocol::Upnp, Ok(health), world.now);
    world.leases.handle_timeout(world.now);
    world.drive(upnp("5.6.7.8:4000"));
    assert_eq!(world.external(), ["Upnp 5.6.7.8:4000"]);
}

#[test]
fn a_router_that_went_away_is_looked_for_and_then_left_alone() {
    let mut world = World::new(&["192.168.1.7:4000"]);
    world.drive(pcp);
    world.sleep();
    world.asks();
    world.leases.handle_check(Protocol::PortControl, Err(MappingError::Silent), world.now);
    assert_eq!(world.external().len(), 1, "one lost answer is no proof");
    assert_eq!(world.sleep(), Duration::ZERO);
    assert_eq!(maps(&world.drive(nothing)).len(), 1, "the renewal");
    assert!(world.external().is_empty());
    assert_eq!(world.sleep(), Duration::ZERO);
    assert_eq!(maps(&world.drive(nothing)).len(), 2, "the round");
    let mut pause = Duration::ZERO;
    loop {
        pause += world.sleep();
        if !maps(&world.drive(nothing)).is_empty() {
            break;
        }
    }
    assert!(pause >= RETRY_AFTER, "{pause:?}");
}

#[test]
fn what_nobody_can_use_is_given_back_and_not_told() {
    let offers = [("192.168.0.9:4000", 7200), ("100.64.3.4:4000", 7200), ("0.0.0.0:4000", 7200)];
    for (external, lifetime_secs) in [&offers[..], &[("1.2.3.4:0", 7200), ("1.2.3.4:4000", 1)]].concat() {
        let mut world = World::new(&["192.168.1.7:4000"]);
        let asks = world.drive(|ask| match ask.protocol {
            Protocol::PortControl => Ok(Grant { lifetime_secs, ..grant(Handle::Pcp, external) }),
            _ => Err(MappingError::Silent),
        });
        assert!(asks.iter().any(|ask| matches!(ask, Ask::GiveBack { .. })), "{external}");
        assert!(world.external().is_empty(), "{external}");
        assert_eq!(world.sleep(), RETRY_AFTER, "{external}");
    }
}

#[test]
fn closing_gives_everything_back_and_what_comes_late_too() {
    let mut world = World::new(&["192.168.1.7:4000", "192.168.1.7:4001", "[2001:db8::7]:4000"]);
    let asks = world.asks();
    let [first, second] = maps(&asks)[..] else { panic!("{asks:?}") };
    world.leases.handle_map(first, Ok(grant(Handle::NatPmp, "1.2.3.4:4000")), world.now);
    world.leases.close();
    world.leases.handle_search(Protocol::Pinhole, true, world.now);
    world.leases.handle_map(second, Ok(grant(Handle::NatPmp, "1.2.3.4:4001")), world.now);
    let given_back: Vec<_> = world
        .asks()
        .into_iter()
        .map(|ask| if let Ask::GiveBack { internal, .. } = ask { internal.port() } else { 0 })
        .collect();
    assert_eq!(given_back, [4000, 4001]);
    assert!(world.external().is_empty() && world.leases.poll_timeout().is_none());
}

#[test]
fn an_ipv6_socket_gets_a_hole_in_the_firewall() {
    let mut world = World::new(&["[2001:db8::7]:4000"]);
    let asks = world.drive(|ask| {
        assert_eq!(ask.protocol, Protocol::Pinhole);
        Ok(grant(Handle::Pinhole { unique_id: 5 }, "[2001:db8::7]:4000"))
    });
    assert_eq!(asks[0], Ask::Search(Protocol::Pinhole));
    assert_eq!(world.leases.external()[0].by, MappedBy::Ipv6Pinhole);
    assert_eq!(world.external(), ["Ipv6Pinhole [2001:db8::7]:4000"]);
}

#[test]
fn no_life_with_routers_of_chance_asks_without_end() {
    let mut seed = 0x5eed_u64;
    let mut chance = move |of: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % of
    };
    for _ in 0..200 {
        let mut world = World::new(&["192.168.1.7:4000", "192.168.1.7:4001", "[2001:db8::7]:4000"]);
        let (start, mut asked) = (world.now, 0);
        while world.now < start + MINUTE * 600 {
            while let Some(ask) = world.leases.poll_ask() {
                asked += 1;
                match ask {
                    Ask::Search(protocol) => world.leases.handle_search(protocol, chance(2) == 0, world.now),
                    Ask::Map(map) if chance(2) == 0 => {
                        let handle = match map.protocol {
                            Protocol::PortControl => Handle::Pcp,
                            Protocol::Upnp => Handle::Upnp,
                            Protocol::Pinhole => Handle::Pinhole { unique_id: 1 },
                        };
                        let epoch = (chance(2) == 0).then(|| chance(10_000) as u32);
                        let lifetime_secs = [0, 1, 60, 7200, u32::MAX][chance(5) as usize];
                        let given = Grant { lifetime_secs, epoch, ..grant(handle, "1.2.3.4:4000") };
                        world.leases.handle_map(&map, Ok(given), world.now);
                    }
                    Ask::Map(map) => world.leases.handle_map(&map, nothing(&map), world.now),
                    Ask::Check(protocol) => {
                        let health = Health { epoch: Some(chance(10_000) as u32), external_ip: None };
                        world.leases.handle_check(protocol, Ok(health), world.now);
                    }
                    Ask::GiveBack { .. } => {}
                }
                world.leases.handle_timeout(world.now);
            }
            world.sleep();
        }
        assert!(asked < 36_000, "{asked} questions in ten hours, more than one a second");
    }
}
