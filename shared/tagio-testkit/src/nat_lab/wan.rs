//! The distance between the sites: delay, jitter, loss and rate of each. Pure: packets, time and chance are handed in.
//!
//! A program, because not every kernel can do that (netem).

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use super::{packet::change_hops, site::Site};
use crate::Seeded;

/// How long a packet may wait for its turn on a line with a rate before it is dropped, as in front of a modem.
const QUEUE_TIME_MAX: Duration = Duration::from_millis(400);
/// Packets under way at most; what comes on top is lost. A second of full packets at 240 Mbit/s.
const UNDER_WAY_MAX: usize = 20_000;
/// How many routers stand between two sites, so that a packet with few hops left opens its own NATs and ends here.
/// One is the kernel's, which forwards to this and again from this.
const ROUTERS: i16 = 5;

/// What a site's line does to each packet, in each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Line {
    /// How long each is under way.
    pub delay: Duration,
    /// By how much that may be less or more, by chance; packets stay in order.
    pub jitter: Duration,
    /// How many of a hundred never arrive.
    pub loss_percent: f64,
    /// How much passes; `None` is any number.
    pub kilobits_per_second: Option<u32>,
}

impl Line {
    /// One that only takes its time.
    pub const fn slow(delay_ms: u64, jitter_ms: u64) -> Self {
        Self {
            delay: Duration::from_millis(delay_ms),
            jitter: Duration::from_millis(jitter_ms),
            loss_percent: 0.0,
            kilobits_per_second: None,
        }
    }
}

/// One direction of a line.
#[derive(Debug, Default)]
struct Lane {
    line: Line,
    is_cut: bool,
    free_at: Duration,
    last_arrival: Duration,
}

impl Lane {
    /// When a packet that enters now arrives; `None`: it does not.
    fn arrival(&mut self, bytes: usize, now: Duration, chance: &mut Seeded) -> Option<Duration> {
        if self.is_cut || unit(chance) * 100.0 < self.line.loss_percent {
            return None;
        }
        let mut leaves = now;
        if let Some(rate) = self.line.kilobits_per_second {
            let begins = self.free_at.max(now);
            if begins - now > QUEUE_TIME_MAX {
                return None;
            }
            self.free_at = begins + Duration::from_secs_f64(bytes as f64 * 8.0 / (f64::from(rate) * 1000.0));
            leaves = self.free_at;
        }
        let spread = self.line.jitter.mul_f64(2.0 * unit(chance));
        let arrives = (leaves + self.line.delay + spread).saturating_sub(self.line.jitter);
        self.last_arrival = arrives.max(self.last_arrival).max(leaves);
        Some(self.last_arrival)
    }
}

/// The two lanes of a site: what leaves it, and what comes to it.
#[derive(Debug, Default)]
struct Lanes {
    up: Lane,
    down: Lane,
}

/// A packet under way. The first that is due is the greatest of a heap.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Parcel {
    due: Duration,
    number: u64,
    /// The site whose line is still before it.
    to: Option<Site>,
    bytes: Vec<u8>,
}

/// All that lies between the sites.
#[derive(Debug)]
pub(super) struct Wan {
    lanes: [Lanes; Site::ALL.len()],
    under_way: BinaryHeap<Reverse<Parcel>>,
    number: u64,
    chance: Seeded,
}

impl Wan {
    pub(super) fn new(chance: Seeded) -> Self {
        Self { lanes: Default::default(), under_way: BinaryHeap::new(), number: 0, chance }
    }

    pub(super) fn impair(&mut self, site: Site, line: Line) {
        let lanes = &mut self.lanes[site as usize];
        (lanes.up.line, lanes.down.line) = (line, line);
    }

    /// What is lost is lost without a word.
    pub(super) fn cut(&mut self, site: Site, is_cut: bool) {
        let lanes = &mut self.lanes[site as usize];
        (lanes.up.is_cut, lanes.down.is_cut) = (is_cut, is_cut);
    }

    /// Takes a packet as it leaves a site.
    pub(super) fn receive(&mut self, mut packet: Vec<u8>, now: Duration) {
        let Some((from, to)) = ends(&packet) else { return };
        // Back what the kernel takes for forwarding it twice, and off what all routers take.
        if !change_hops(&mut packet, 2 - ROUTERS) {
            return;
        }
        let lane = Site::of(from).map(|site| &mut self.lanes[site as usize].up);
        let due = lane.map_or(Some(now), |lane| lane.arrival(packet.len(), now, &mut self.chance));
        self.carry(due, Site::of(to), packet);
    }

    /// The next packet that has arrived where it is going to.
    pub(super) fn next(&mut self, now: Duration) -> Option<Vec<u8>> {
        while self.due().is_some_and(|due| due <= now) {
            let Reverse(parcel) = self.under_way.pop()?;
            let Some(site) = parcel.to else { return Some(parcel.bytes) };
            let lane = &mut self.lanes[site as usize].down;
            let due = lane.arrival(parcel.bytes.len(), parcel.due, &mut self.chance);
            self.carry(due, None, parcel.bytes);
        }
        None
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Option<Duration> {
        self.under_way.peek().map(|Reverse(parcel)| parcel.due)
    }

    fn carry(&mut self, due: Option<Duration>, to: Option<Site>, bytes: Vec<u8>) {
        let Some(due) = due.filter(|_| self.under_way.len() < UNDER_WAY_MAX) else { return };
        self.number += 1;
        self.under_way.push(Reverse(Parcel { due, number: self.number, to, bytes }));
    }
}

/// From 0 on, and less than 1.
fn unit(chance: &mut Seeded) -> f64 {
    (chance.bits() >> 11) as f64 / (1_u64 << 53) as f64
}

fn ends(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let v4 = |at: usize| Some(Ipv4Addr::from(*packet.get(at..)?.first_chunk::<4>()?).into());
    let v6 = |at: usize| Some(Ipv6Addr::from(*packet.get(at..)?.first_chunk::<16>()?).into());
    match packet.first()? >> 4 {
        4 => Some((v4(12)?, v4(16)?)),
        6 => Some((v6(8)?, v6(24)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::packet::{Protocol, tests::packet},
        *,
    };

    const MS: Duration = Duration::from_millis(1);

    fn wan(lines: [(Site, Line); 2]) -> Wan {
        let mut wan = Wan::new(Seeded::new(1));
        for (site, line) in lines {
            wan.impair(site, line);
        }
        wan
    }

    /// From site a to site b.
    fn datagram() -> Vec<u8> {
        packet(Protocol::Udp, "198.51.100.1:9".parse().unwrap(), "192.0.2.1:9".parse().unwrap())
    }

    /// When packets arrive that leave so many microseconds apart, of those that do.
    fn arrivals(wan: &mut Wan, count: u32, every: Duration) -> Vec<Duration> {
        let mut arrived = Vec::new();
        let mut drain = |wan: &mut Wan, until: Duration| {
            while let Some(due) = wan.due().filter(|due| *due <= until) {
                arrived.extend(wan.next(due).map(|_| due));
            }
        };
        for number in 0..count {
            drain(wan, every * number);
            wan.receive(datagram(), every * number);
        }
        drain(wan, Duration::MAX);
        arrived
    }

    #[test]
    fn delays_of_both_ends_add_up() {
        let mut wan = wan([(Site::A, Line::slow(15, 0)), (Site::B, Line::slow(20, 0))]);
        assert_eq!(arrivals(&mut wan, 2, MS), [35 * MS, 36 * MS]);
    }

    #[test]
    fn jitter_stays_in_its_bounds_and_packets_in_order() {
        let mut wan = wan([(Site::A, Line::slow(15, 5)), (Site::B, Line::default())]);
        let arrived = arrivals(&mut wan, 1000, 20 * MS);
        let late = || (0..).zip(&arrived).map(|(number, at)| *at - 20 * MS * number);
        assert!(arrived.is_sorted() && arrived.len() == 1000);
        assert!(late().min().unwrap() >= 10 * MS && late().max().unwrap() <= 20 * MS);
        assert!(late().max().unwrap() - late().min().unwrap() > 8 * MS, "there is some");
        assert!(arrivals(&mut wan, 1000, MS).is_sorted());
    }

    #[test]
    fn so_many_of_a_hundred_are_lost() {
        let lossy = Line { loss_percent: 5.0, ..Line::default() };
        let mut wan = wan([(Site::A, lossy), (Site::B, Line::default())]);
        let lost = 10_000 - arrivals(&mut wan, 10_000, MS).len();
        assert!((400..600).contains(&lost), "{lost} of 10000 at 5 %");
    }

    #[test]
    fn a_rate_holds_and_its_queue_has_an_end() {
        let narrow = Line { kilobits_per_second: Some(100), ..Line::default() };
        let mut wan = wan([(Site::A, Line::default()), (Site::B, narrow)]);
        let arrived = arrivals(&mut wan, 1000, MS);
        // 33 bytes take 2.64 ms, so that more comes than passes.
        let gaps = arrived.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.into_iter().all(|gap| gap >= Duration::from_micros(2600)));
        assert!((400..600).contains(&arrived.len()), "{} of 1000 passed", arrived.len());
        assert!(*arrived.last().unwrap() < 999 * MS + QUEUE_TIME_MAX + 6 * MS);
    }

    #[test]
    fn a_cut_line_says_nothing_and_heals() {
        let mut wan = wan([(Site::A, Line::default()), (Site::B, Line::default())]);
        wan.cut(Site::B, true);
        assert_eq!(arrivals(&mut wan, 10, MS), []);
        wan.cut(Site::B, false);
        assert_eq!(arrivals(&mut wan, 10, MS).len(), 10);
    }

    #[test]
    fn packets_with_few_hops_left_do_not_cross_it() {
        let crosses = |hops: i16| {
            let mut wan = wan([(Site::A, Line::default()), (Site::B, Line::default())]);
            let mut bytes = datagram();
            assert!(change_hops(&mut bytes, hops - 64));
            wan.receive(bytes, MS);
            wan.next(MS).is_some()
        };
        assert!(!crosses(ROUTERS - 2) && crosses(ROUTERS - 1));
    }
}
