//! Carries a plan out: punches to the peer's candidates, and the birthday method where they stay without an answer.
//!
//! The side that is first to send, the host, first sends punches that die on the way: they open its own NAT and no
//! more. A Linux router that hears of a connection from outside before its own side has sent anything keeps an entry
//! that gives this side's own packets another port, for as long as anything comes; measured in the laboratory.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rand::{RngExt, seq::SliceRandom};
use tagio_wire::leg::{Datagram, PunchToken};
use tokio::time::{Instant, interval, sleep, sleep_until};

use super::plan::{Guess, PORT_MIN};
use crate::socket::{Switch, Udp};

/// When punches of a round are sent: at once, and again for NATs that open on the second packet, and for losses.
pub(super) const PUNCH_AT: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(120), Duration::from_millis(400), Duration::from_millis(1200)];

/// Routers that a punch may pass that shall only open this side's own NAT: its own router, which may count twice.
const HOPS_HOME: u32 = 3;
/// And a carrier's NAT behind that. More would come near the peer's router.
const HOPS_CARRIER: u32 = 5;
/// All the way.
const HOPS_ALL: u32 = 64;

/// How long simple punches have before guessing begins.
const GUESS_AFTER: Duration = Duration::from_millis(400);
/// Sockets of the side that hides: with a thousand tries on the other, 98 of 100 meet.
const SOCKETS: usize = 256;
/// The ways in which those sockets open their NAT, and when: one that only opens the home router's is harmless and
/// enough for most.
const OPENINGS: [(Duration, u32); 3] = [
    (Duration::ZERO, HOPS_HOME),
    (Duration::from_millis(1400), HOPS_CARRIER),
    (Duration::from_millis(2800), HOPS_ALL),
];
/// How long they stay open.
const OPEN_FOR: Duration = Duration::from_millis(4500);
/// What the other side sends meanwhile: a thousand in every way that the sockets open.
const TRIES: usize = 3 * 1024;
/// Tries sent at once, and how often: about 800 a second, 300 kb/s.
const TRIES_AT_ONCE: usize = 8;
const TRY_EVERY: Duration = Duration::from_millis(10);
/// Ports ahead of the newest that are tried first where ports grow evenly: the sockets of the other side take these.
const NEAR: i32 = 2 * SOCKETS as i32;

/// Sends a round's punches. `held_back`: the first ones only open this side's NAT, the others wait for so long, until
/// the peer has sent its own.
pub(super) async fn punch(
    switch: Arc<Switch>,
    targets: Vec<SocketAddr>,
    token: PunchToken,
    held_back: Option<Duration>,
) {
    let datagram = Datagram::Punch { token };
    let mut start = Instant::now();
    if let Some(wait) = held_back {
        targets.iter().for_each(|addr| switch.send_short(HOPS_HOME, *addr, &datagram));
        start += wait;
    }
    for at in PUNCH_AT {
        sleep_until(start + at).await;
        targets.iter().for_each(|addr| switch.send(*addr, &datagram));
    }
}

/// Plays this side's part of the birthday method, some time from now. `owner`: this side's own token.
pub(super) async fn guess(switch: Arc<Switch>, guess: Guess, token: PunchToken, owner: PunchToken) {
    sleep(GUESS_AFTER).await;
    match guess {
        Guess::Open(to) => {
            let _closing = OpenSockets { switch: &switch, owner };
            match switch.open_extras(owner, to.ip(), SOCKETS) {
                Ok(sockets) => open(&switch, &sockets, to, token).await,
                Err(error) => tracing::warn!(%error, "no sockets left to get through this NAT"),
            }
        }
        Guess::Try { ip, near } => {
            let ports = likely_ports(near, &mut rand::rng());
            try_ports(&switch, ip, &ports, token).await;
        }
    }
}

/// Closes sockets that did not get through, also when the guessing is given up.
struct OpenSockets<'a> {
    switch: &'a Switch,
    owner: PunchToken,
}

impl Drop for OpenSockets<'_> {
    fn drop(&mut self) {
        self.switch.extras().close_unheard(self.owner);
    }
}

async fn open(switch: &Switch, sockets: &[Arc<Udp>], to: SocketAddr, token: PunchToken) {
    for udp in sockets {
        // A fresh socket takes nothing before the runtime has seen it once.
        udp.writable().await.ok();
    }
    let start = Instant::now();
    let bytes = Datagram::Punch { token }.bytes();
    for (at, hops) in OPENINGS {
        sleep_until(start + at).await;
        if !may_try(switch, sockets.len()) {
            return;
        }
        sockets.iter().for_each(|udp| udp.try_send_short(hops, &bytes, to));
    }
    sleep_until(start + OPEN_FOR).await;
}

async fn try_ports(switch: &Switch, ip: IpAddr, ports: &[u16], token: PunchToken) {
    let mut pace = interval(TRY_EVERY);
    for some in ports.chunks(TRIES_AT_ONCE) {
        pace.tick().await;
        if !may_try(switch, some.len()) {
            return;
        }
        some.iter().for_each(|port| switch.send(SocketAddr::new(ip, *port), &Datagram::Punch { token }));
    }
}

fn may_try(switch: &Switch, count: usize) -> bool {
    let is_allowed = switch.may_try(count);
    if !is_allowed {
        tracing::warn!("too many ports tried lately; no more for now");
    }
    is_allowed
}

/// Ports in the order in which to try them. What a peer calls near may be anything: no reserved one is among them.
fn likely_ports(near: Option<(u16, i16)>, rng: &mut impl RngExt) -> Vec<u16> {
    let ahead = near.into_iter().flat_map(|(newest, step)| {
        (1..=NEAR).filter_map(move |count| u16::try_from(i32::from(newest) + count * i32::from(step)).ok())
    });
    let ahead = ahead.filter(|port| *port >= PORT_MIN);
    let mut any: Vec<u16> = (PORT_MIN..=u16::MAX).collect();
    any.shuffle(rng);
    ahead.chain(any).take(TRIES).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn near_ports_come_first_and_then_any_and_none_is_reserved() {
        let ports = likely_ports(Some((40_000, 2)), &mut StdRng::seed_from_u64(1));
        assert_eq!(ports[..3], [40_002, 40_004, 40_006]);
        assert_eq!(ports.len(), TRIES);
        let far: BTreeSet<u16> = ports[NEAR as usize..].iter().copied().collect();
        assert_eq!(far.len(), TRIES - NEAR as usize, "no port twice");
        assert!(ports.iter().all(|port| *port >= 1024));
        let hostile = likely_ports(Some((1030, -1)), &mut StdRng::seed_from_u64(1));
        assert!(hostile.iter().all(|port| *port >= 1024));
    }
}
