//! Relay legs: channels with two ends, each bound by a token to a UDP address or a TCP connection.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    time::{Duration, Instant},
};

use rand::{CryptoRng, RngExt};
use subtle::ConstantTimeEq;
use tagio_wire::{
    PeerId,
    control::CallId,
    leg::{Channel, LegGrant, LegToken},
};

use crate::{admission::SourceNet, denial::Denial, limits::Limits, presence::ConnId};

/// One of the server's UDP sockets. Answers leave by the socket that a client knows, or no NAT lets them in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketIndex(pub u8);

/// Where a UDP client is: its address, and the socket that it talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpPeer {
    /// The server's side.
    pub socket: SocketIndex,
    /// The client's side, IPv4 never as IPv6.
    pub addr: SocketAddr,
}

/// Names a TCP connection that carries an end of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TcpLegId(pub u64);

/// Where an end of a leg is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// By datagrams.
    Udp(UdpPeer),
    /// By frames on a connection.
    Tcp(TcpLegId),
}

/// Which call made a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRef {
    /// The caller's connection.
    pub conn: ConnId,
    /// As the caller counts.
    pub call: CallId,
}

/// Who is to meet on a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parties {
    /// Who calls.
    pub caller: PeerId,
    /// From where.
    pub net: SourceNet,
    /// Who is called.
    pub target: PeerId,
}

impl Parties {
    /// Where legs that have not met are counted.
    fn approach(&self) -> (SourceNet, PeerId) {
        (self.net.neighbourhood(), self.target)
    }
}

/// Packets that a leg keeps until its ends meet: the first flight of a QUIC client, which would otherwise
/// repeat it only after a good part of a second.
pub const HELD_PACKETS_MAX: usize = 2;
/// The longest of them: no first flight has longer ones.
pub const HELD_PACKET_BYTES_MAX: usize = 1500;
/// Packets that an end gets at most before it has shown a cookie: what a leg would keep for it. So the first flight of a
/// QUIC client does not wait for the cookie's round trip, and who takes another's address, by a proxy on it, sends no more
/// there than this for each call.
pub const EARLY_PACKETS_MAX: usize = HELD_PACKETS_MAX;

/// A leg, for the relay's admin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegView {
    /// Who meets on it.
    pub parties: Parties,
    /// How the caller's end and the target's are reached, if they are bound.
    pub routes: [Option<Route>; 2],
    /// Since the call.
    pub age: Duration,
    /// Since the last packet.
    pub idle: Duration,
    /// In the packets that were forwarded.
    pub bytes: u64,
}

/// What binding an end brings about.
#[derive(Debug, Default)]
pub struct Bound {
    /// The TCP connection that the end was bound to before.
    pub displaced: Option<TcpLegId>,
    /// What the other end has sent before, oldest first.
    pub held: Vec<Box<[u8]>>,
    /// Whether nothing changes before the TCP connection that has the end closes.
    pub is_behind_tcp: bool,
}

/// A packet for an end that is not bound yet.
#[derive(Debug)]
struct Held {
    /// Which of `Leg::ends` it is for.
    to: usize,
    packet: Box<[u8]>,
}

/// Whose an end of a leg is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndOwner {
    /// The connection that called.
    Caller(ConnId),
    /// Who is called.
    Target(PeerId),
}

/// A leg that is no more.
#[derive(Debug)]
pub struct Ended {
    /// The call that made it.
    pub call: CallRef,
    /// TCP connections that it leaves without a purpose.
    pub tcp: Vec<TcpLegId>,
}

#[derive(Debug)]
struct End {
    token: LegToken,
    route: Option<Route>,
    /// Where UDP reaches it, while a TCP connection has it: a client that asks both ways at once may have chosen UDP,
    /// and closes the connection then.
    behind_tcp: Option<UdpPeer>,
    /// Where UDP seems to reach it, while it has no route.
    early: Option<UdpPeer>,
    /// How many packets may still go there; never more again.
    early_left: usize,
}

impl End {
    fn new(token: LegToken) -> Self {
        Self { token, route: None, behind_tcp: None, early: None, early_left: EARLY_PACKETS_MAX }
    }

    fn sends_from(&self, route: Route) -> bool {
        self.route == Some(route) || self.early.is_some_and(|peer| Route::Udp(peer) == route)
    }

    /// Where its next packet goes.
    fn spend_route(&mut self) -> Option<Route> {
        self.route.or_else(|| {
            let peer = self.early?;
            self.early_left = self.early_left.checked_sub(1)?;
            Some(Route::Udp(peer))
        })
    }
}

#[derive(Debug)]
struct Leg {
    /// The caller's end and the target's.
    ends: [End; 2],
    call: CallRef,
    parties: Parties,
    /// Whether both ends were bound once: from then on only silence ends it.
    met: bool,
    /// At most [`HELD_PACKETS_MAX`]; none once it has met.
    held: Vec<Held>,
    created: Instant,
    /// Creation, then the last packet or binding.
    active: Instant,
    /// In the packets that were forwarded.
    bytes: u64,
    /// INVARIANT: `(queued, channel)` is in `Legs::deadlines`, and not later than the leg's true deadline.
    queued: Instant,
}

impl Leg {
    /// Which of `ends` a grant opens.
    fn index_of(&self, grant: &LegGrant) -> Option<usize> {
        self.ends.iter().position(|end| bool::from(end.token.0.ct_eq(&grant.token.0)))
    }

    /// Takes out at most `max` packets that are kept for an end, oldest first, and counts them as forwarded.
    fn release_held(&mut self, to: usize, max: usize) -> Vec<Box<[u8]>> {
        let wanted = self.held.extract_if(.., |held| held.to == to).take(max);
        let held: Vec<_> = wanted.map(|held| held.packet).collect();
        self.bytes += held.iter().map(|packet| packet.len() as u64).sum::<u64>();
        held
    }

    fn deadline(&self, limits: &Limits) -> Instant {
        let secs = if self.met { limits.leg_idle_secs } else { limits.leg_unbound_secs };
        self.active + Duration::from_secs(secs.into())
    }
}

/// All live legs.
#[derive(Debug, Default)]
pub struct Legs {
    /// Looked up per packet, never walked through.
    legs: HashMap<Channel, Leg>,
    /// When to look at a leg again. Packets only touch the leg: the queue learns of them when it comes by.
    deadlines: BTreeSet<(Instant, Channel)>,
    by_caller: BTreeMap<PeerId, u32>,
    by_target: BTreeMap<PeerId, u32>,
    /// Those that have not met.
    by_approach: BTreeMap<(SourceNet, PeerId), u32>,
}

impl Legs {
    /// A new leg for a call: the grants of caller and target.
    pub fn create(
        &mut self,
        call: CallRef,
        parties: Parties,
        limits: &Limits,
        now: Instant,
        rng: &mut impl CryptoRng,
    ) -> Result<[LegGrant; 2], Denial> {
        if self.legs.len() >= limits.legs_max as usize {
            return Err(Denial::LegsFull);
        }
        if self.by_caller.get(&parties.caller).is_some_and(|n| *n >= limits.legs_per_caller_max) {
            return Err(Denial::LegsPerCaller);
        }
        if self.by_target.get(&parties.target).is_some_and(|n| *n >= limits.legs_per_target_max) {
            return Err(Denial::LegsPerTarget);
        }
        let approach = parties.approach();
        if self.by_approach.get(&approach).is_some_and(|n| *n >= limits.unmet_legs_per_net_max) {
            return Err(Denial::UnmetLegsPerNet);
        }
        // The map holds at most `legs_max` of 2³² numbers, so a second try is rare and a third unheard of.
        let mut channel = Channel(rng.random());
        while self.legs.contains_key(&channel) {
            channel = Channel(rng.random());
        }
        let grants = [(); 2].map(|()| LegGrant { channel, token: LegToken(rng.random()) });
        let ends = grants.map(|grant| End::new(grant.token));
        let queued = now + Duration::from_secs(limits.leg_unbound_secs.into());
        self.deadlines.insert((queued, channel));
        let leg = Leg {
            ends,
            call,
            parties,
            met: false,
            held: Vec::new(),
            created: now,
            active: now,
            bytes: 0,
            queued,
        };
        self.legs.insert(channel, leg);
        *self.by_caller.entry(parties.caller).or_default() += 1;
        *self.by_target.entry(parties.target).or_default() += 1;
        *self.by_approach.entry(approach).or_default() += 1;
        Ok(grants)
    }

    /// Binds the end that `grant` opens to `route`. UDP comes after a TCP connection that has it.
    pub fn bind(&mut self, grant: &LegGrant, route: Route, now: Instant) -> Result<Bound, Denial> {
        let leg = self.legs.get_mut(&grant.channel).ok_or(Denial::LegUnknown)?;
        let index = leg.index_of(grant).ok_or(Denial::LegUnknown)?;
        let end = &mut leg.ends[index];
        match (end.route, route) {
            // A client that asks both ways at once has chosen the carrier, and its wish for UDP was under way by then;
            // or it has chosen UDP, and the end of the connection is under way.
            (Some(Route::Tcp(_)), Route::Udp(peer)) => {
                end.behind_tcp = Some(peer);
                return Ok(Bound { is_behind_tcp: true, ..Bound::default() });
            }
            (Some(Route::Udp(peer)), Route::Tcp(_)) => end.behind_tcp = Some(peer),
            _ => {}
        }
        let before = end.route.replace(route);
        end.early = None;
        let held = leg.release_held(index, HELD_PACKETS_MAX);
        if !leg.met && leg.ends.iter().all(|end| end.route.is_some()) {
            leg.met = true;
            release(&mut self.by_approach, leg.parties.approach());
        }
        // Before both ends have met, binding alone must not keep a leg alive.
        if leg.met {
            leg.active = now;
        }
        let displaced = match before {
            Some(Route::Tcp(old)) if route != Route::Tcp(old) => Some(old),
            Some(Route::Tcp(_) | Route::Udp(_)) | None => None,
        };
        Ok(Bound { displaced, held, is_behind_tcp: false })
    }

    /// Whose end `grant` opens, and the call that made its leg; `None` where there is no such end.
    pub fn owner(&self, grant: &LegGrant) -> Option<EndOwner> {
        let leg = self.legs.get(&grant.channel)?;
        Some(match leg.index_of(grant)? {
            0 => EndOwner::Caller(leg.call.conn),
            _ => EndOwner::Target(leg.parties.target),
        })
    }

    /// Lets the end that `grant` opens begin at `peer`, which has not shown a cookie: it may send, and gets
    /// [`EARLY_PACKETS_MAX`] packets. Those that were kept for it, oldest first.
    pub fn bind_early(&mut self, grant: &LegGrant, peer: UdpPeer) -> Vec<Box<[u8]>> {
        let Some(leg) = self.legs.get_mut(&grant.channel) else { return Vec::new() };
        let Some(index) = leg.index_of(grant) else { return Vec::new() };
        let end = &mut leg.ends[index];
        if end.route.is_some() {
            return Vec::new();
        }
        end.early = Some(peer);
        let allowed = end.early_left;
        let held = leg.release_held(index, allowed);
        leg.ends[index].early_left -= held.len();
        held
    }

    /// The TCP connection is gone. Its end goes to who asked for it by UDP, and can be bound again until the leg
    /// expires.
    pub fn unbind_tcp(&mut self, channel: Channel, id: TcpLegId) {
        let Some(leg) = self.legs.get_mut(&channel) else { return };
        for end in &mut leg.ends {
            if end.route == Some(Route::Tcp(id)) {
                end.route = end.behind_tcp.take().map(Route::Udp);
            }
        }
    }

    /// Where a packet of `len` bytes goes that came `from` one end of `channel`. The hot path: two look-ups, no
    /// allocation.
    pub fn forward(
        &mut self,
        from: Route,
        channel: Channel,
        len: usize,
        now: Instant,
    ) -> Result<Route, Denial> {
        let leg = self.legs.get_mut(&channel).ok_or(Denial::LegUnknown)?;
        let [a, b] = &mut leg.ends;
        let to = if a.sends_from(from) {
            b
        } else if b.sends_from(from) {
            a
        } else {
            return Err(Denial::LegWrongSource);
        };
        let to = to.spend_route().ok_or(Denial::LegUnbound)?;
        if leg.met {
            leg.active = now;
        }
        leg.bytes += len as u64;
        Ok(to)
    }

    /// Keeps a packet that came `from` one end for the other one, which is not bound; whether it does.
    pub fn hold(&mut self, from: Route, channel: Channel, packet: &[u8]) -> bool {
        let Some(leg) = self.legs.get_mut(&channel) else { return false };
        let Some(sender) = leg.ends.iter().position(|end| end.sends_from(from)) else { return false };
        if leg.met || leg.held.len() >= HELD_PACKETS_MAX || packet.len() > HELD_PACKET_BYTES_MAX {
            return false;
        }
        leg.held.push(Held { to: 1 - sender, packet: packet.into() });
        true
    }

    /// Ends a leg.
    pub fn remove(&mut self, channel: Channel) -> Option<Ended> {
        let leg = self.legs.remove(&channel)?;
        self.deadlines.remove(&(leg.queued, channel));
        release(&mut self.by_caller, leg.parties.caller);
        release(&mut self.by_target, leg.parties.target);
        if !leg.met {
            release(&mut self.by_approach, leg.parties.approach());
        }
        let tcp = leg.ends.iter().filter_map(|end| match end.route {
            Some(Route::Tcp(id)) => Some(id),
            Some(Route::Udp(_)) | None => None,
        });
        Some(Ended { call: leg.call, tcp: tcp.collect() })
    }

    /// Ends one leg whose time is up. Called until it gives `None`.
    pub fn pop_expired(&mut self, limits: &Limits, now: Instant) -> Option<Ended> {
        while let Some((queued, channel)) = self.deadlines.first().copied()
            && queued <= now
        {
            self.deadlines.pop_first();
            let leg = self.legs.get_mut(&channel).expect("a queued channel has a leg");
            leg.queued = leg.deadline(limits);
            if leg.queued <= now {
                return self.remove(channel);
            }
            self.deadlines.insert((leg.queued, channel));
        }
        None
    }

    /// Those used last, at most `max`, the last one first. Walks through all of them.
    pub fn latest(&self, max: usize, now: Instant) -> Vec<LegView> {
        let mut legs: Vec<&Leg> =
            self.deadlines.iter().filter_map(|(_, channel)| self.legs.get(channel)).collect();
        legs.sort_unstable_by_key(|leg| std::cmp::Reverse((leg.active, leg.created)));
        let view = |leg: &Leg| LegView {
            parties: leg.parties,
            routes: leg.ends.each_ref().map(|end| end.route),
            age: now.saturating_duration_since(leg.created),
            idle: now.saturating_duration_since(leg.active),
            bytes: leg.bytes,
        };
        legs.into_iter().take(max).map(view).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.legs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.legs.is_empty()
    }

    /// How many carried or could carry packets both ways within the last `window`. Walks through all of them.
    pub fn in_use(&self, window: Duration, now: Instant) -> usize {
        let legs = self.deadlines.iter().filter_map(|(_, channel)| self.legs.get(channel));
        legs.filter(|leg| leg.met && now.saturating_duration_since(leg.active) <= window).count()
    }
}

fn release<K: Ord>(counts: &mut BTreeMap<K, u32>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}
