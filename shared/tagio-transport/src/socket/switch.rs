//! Where packets go: the table between QUIC's addresses and what really carries them.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
    time::Instant,
};

use noq_udp::Transmit;
use tagio_wire::leg::{Channel, DATA_HEADER_LEN, Datagram, PunchToken, tag};
use tokio::sync::mpsc;

use super::{
    budget::Budget,
    extra::Extras,
    first_flight::FirstFlight,
    udp::{Udp, mapped, unmapped},
};
use crate::{
    carrier::Carrier,
    stun::{self, QuestionId},
};

/// First 48 bits of the made-up addresses of relay legs: a private range (RFC 4193) that no interface has.
const LEG_PREFIX: [u16; 3] = [0xfd7a, 0x6710, 0x0001];
/// The one port of made-up addresses; its value means nothing.
const LEG_PORT: u16 = 1;

/// What a leg's owner hears from the relay.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LegEvent {
    Challenge([u8; 16]),
    Bound { observed: SocketAddr },
    Unknown,
}

/// What a session's punching hears.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PunchEvent {
    /// A punch of the peer reached us from here, and was answered.
    Reached(SocketAddr),
    /// The peer answered our punch from here.
    Answered(SocketAddr),
}

/// A STUN message and where it came from.
pub(crate) type StunMail = (SocketAddr, Vec<u8>);

/// Where a leg's packets leave.
#[derive(Clone, Debug)]
pub(crate) enum Outlet {
    Udp {
        relay: SocketAddr,
        channel: Channel,
        /// Where packets are kept as well, while the leg is not bound.
        opening: Option<Arc<FirstFlight>>,
    },
    /// Bounded in packets; when it is full, the packet is dropped: QUIC sends it again.
    Stream(mpsc::Sender<Vec<u8>>),
}

#[derive(Debug)]
struct Leg {
    outlet: Outlet,
    carrier: Carrier,
    received: Arc<AtomicU64>,
}

/// Shared by the socket, its senders, the legs and the punching. Locks are held for a look-up only.
#[derive(Debug)]
pub(crate) struct Switch {
    sockets: Vec<Arc<Udp>>,
    extras: Extras,
    /// What punching has spent of its packets.
    tries: Mutex<Budget>,
    /// Of whoever receives, to be told of another extra socket.
    receiver: Mutex<Option<Waker>>,
    legs: RwLock<Legs>,
    punches: RwLock<HashMap<PunchToken, mpsc::Sender<PunchEvent>>>,
    questions: RwLock<HashMap<QuestionId, mpsc::Sender<StunMail>>>,
}

#[derive(Debug, Default)]
struct Legs {
    by_addr: HashMap<SocketAddr, Leg>,
    /// Made-up address of a channel of a relay.
    by_channel: HashMap<(SocketAddr, Channel), SocketAddr>,
    owners: HashMap<(SocketAddr, Channel), mpsc::Sender<LegEvent>>,
}

const LOCK: &str = "no thread panics while it holds the switch";

impl Switch {
    pub(crate) fn new(sockets: Vec<Arc<Udp>>) -> Self {
        Self {
            sockets,
            extras: Extras::default(),
            tries: Mutex::default(),
            receiver: Mutex::default(),
            legs: RwLock::default(),
            punches: RwLock::default(),
            questions: RwLock::default(),
        }
    }

    pub(crate) fn sockets(&self) -> &[Arc<Udp>] {
        &self.sockets
    }

    pub(crate) fn segments_out_max(&self) -> NonZeroUsize {
        self.sockets.iter().map(|udp| udp.segments_out_max()).min().unwrap_or(NonZeroUsize::MIN)
    }

    pub(crate) fn segments_in_max(&self) -> NonZeroUsize {
        self.sockets.iter().map(|udp| udp.segments_in_max()).max().unwrap_or(NonZeroUsize::MIN)
    }

    /// Whether so many more packets may go to addresses that only a peer's word speaks for.
    pub(crate) fn may_try(&self, count: usize) -> bool {
        self.tries.lock().expect(LOCK).take(count, Instant::now())
    }

    /// Sockets for one peer beside the endpoint's own.
    pub(crate) fn extras(&self) -> &Extras {
        &self.extras
    }

    /// Opens extra sockets, see [`Extras::open`], and receives by them.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn open_extras(
        &self,
        owner: PunchToken,
        peer: IpAddr,
        count: usize,
    ) -> io::Result<Vec<Arc<Udp>>> {
        let opened = self.extras.open(owner, peer, count)?;
        if let Some(receiver) = self.receiver.lock().expect(LOCK).take() {
            receiver.wake();
        }
        Ok(opened)
    }

    /// Who is to be woken when there is another socket to receive by.
    pub(crate) fn set_receiver(&self, waker: &Waker) {
        let mut receiver = self.receiver.lock().expect(LOCK);
        if !receiver.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *receiver = Some(waker.clone());
        }
    }

    fn socket_for(&self, to: SocketAddr) -> Option<Arc<Udp>> {
        let own = || self.sockets.iter().find(|udp| udp.reaches(to)).map(Arc::clone);
        self.extras.towards(to).or_else(own)
    }

    /// Enters a leg that is not bound yet; from now on its packets are received, and those sent to it go by UDP and are
    /// kept. Returns its made-up address and a counter of
    /// packets received.
    pub(crate) fn add_leg(
        &self,
        relay: SocketAddr,
        channel: Channel,
        flight: Arc<FirstFlight>,
        owner: mpsc::Sender<LegEvent>,
    ) -> (SocketAddr, Arc<AtomicU64>) {
        let relay = mapped(relay);
        let addr = made_up_addr();
        let received = Arc::new(AtomicU64::new(0));
        let outlet = Outlet::Udp { relay, channel, opening: Some(flight) };
        let mut legs = self.legs.write().expect(LOCK);
        let leg = Leg { outlet, carrier: Carrier::Udp, received: Arc::clone(&received) };
        legs.by_addr.insert(addr, leg);
        legs.by_channel.insert((relay, channel), addr);
        legs.owners.insert((relay, channel), owner);
        (addr, received)
    }

    /// A leg is bound by UDP: nothing more is kept.
    pub(crate) fn carry_by_udp(&self, addr: SocketAddr) {
        let mut legs = self.legs.write().expect(LOCK);
        if let Some(Leg { outlet: Outlet::Udp { opening, .. }, .. }) = legs.by_addr.get_mut(&addr) {
            *opening = None;
        }
    }

    /// Makes a leg travel in a stream.
    pub(crate) fn carry_by_stream(&self, addr: SocketAddr, carrier: Carrier, queue: mpsc::Sender<Vec<u8>>) {
        if let Some(leg) = self.legs.write().expect(LOCK).by_addr.get_mut(&addr) {
            (leg.outlet, leg.carrier) = (Outlet::Stream(queue), carrier);
        }
    }

    pub(crate) fn remove_leg(&self, relay: SocketAddr, channel: Channel, addr: SocketAddr) {
        let key = (mapped(relay), channel);
        let mut legs = self.legs.write().expect(LOCK);
        legs.by_addr.remove(&addr);
        if legs.by_channel.get(&key) == Some(&addr) {
            legs.by_channel.remove(&key);
            legs.owners.remove(&key);
        }
    }

    /// Where packets to a made-up address leave; `None` once the leg is gone.
    pub(crate) fn outlet(&self, addr: SocketAddr) -> Option<Outlet> {
        self.legs.read().expect(LOCK).by_addr.get(&addr).map(|leg| leg.outlet.clone())
    }

    /// What carries the packets of a leg, for people.
    pub(crate) fn carrier(&self, addr: SocketAddr) -> Option<Carrier> {
        self.legs.read().expect(LOCK).by_addr.get(&addr).map(|leg| leg.carrier)
    }

    /// The made-up address that a packet of `channel` from `relay` seems to come from.
    pub(crate) fn leg_addr(&self, relay: SocketAddr, channel: Channel) -> Option<SocketAddr> {
        let legs = self.legs.read().expect(LOCK);
        let addr = *legs.by_channel.get(&(relay, channel))?;
        legs.by_addr.get(&addr)?.received.fetch_add(1, Ordering::Relaxed);
        Some(addr)
    }

    /// Counts a packet that came over a leg in a stream.
    pub(crate) fn count_received(&self, addr: SocketAddr) {
        if let Some(leg) = self.legs.read().expect(LOCK).by_addr.get(&addr) {
            leg.received.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Hears punches that carry `token`, and answers them, until [`Self::stop_listening`].
    pub(crate) fn listen_for_punches(&self, token: PunchToken, heard: mpsc::Sender<PunchEvent>) {
        self.punches.write().expect(LOCK).insert(token, heard);
    }

    pub(crate) fn stop_listening(&self, token: PunchToken) {
        self.punches.write().expect(LOCK).remove(&token);
    }

    /// From now on answers to the STUN question `id` go to `heard`.
    pub(crate) fn await_answer(&self, id: QuestionId, heard: mpsc::Sender<StunMail>) {
        self.questions.write().expect(LOCK).insert(id, heard);
    }

    pub(crate) fn forget_question(&self, id: QuestionId) {
        self.questions.write().expect(LOCK).remove(&id);
    }

    /// Sends a datagram of the leg protocol, or loses it: all of them are repeated.
    pub(crate) fn send(&self, to: SocketAddr, datagram: &Datagram<'_>) {
        self.send_bytes(to, &datagram.bytes());
    }

    /// Sends a datagram that is not QUIC's from the socket that QUIC uses, or loses it.
    pub(crate) fn send_bytes(&self, to: SocketAddr, contents: &[u8]) {
        let to = mapped(to);
        if let Some(udp) = self.socket_for(to) {
            Self::send_by(&udp, to, contents);
        }
    }

    fn send_by(udp: &Udp, to: SocketAddr, contents: &[u8]) {
        let transmit = Transmit { destination: to, ecn: None, contents, segment_size: None, src_ip: None };
        if let Err(error) = udp.try_send(&transmit) {
            tracing::trace!(%error, "datagram lost");
        }
    }

    /// Takes a STUN message; one that answers no question is noise.
    pub(crate) fn handle_stun(&self, from: SocketAddr, message: &[u8]) {
        let Some(id) = stun::id_of(message) else { return };
        if let Some(heard) = self.questions.read().expect(LOCK).get(&id) {
            // A full queue means that somebody answers more often than was asked.
            heard.try_send((unmapped(from), message.to_vec())).ok();
        }
    }

    /// Sends a datagram that opens this side's NAT and dies before the peer's, see [`Udp::try_send_short`].
    pub(crate) fn send_short(&self, hops: u32, to: SocketAddr, datagram: &Datagram<'_>) {
        let to = mapped(to);
        if let Some(udp) = self.socket_for(to) {
            udp.try_send_short(hops, &datagram.bytes(), to);
        }
    }

    /// Takes a datagram that came by `udp` and is not QUIC and not `DATA`.
    pub(crate) fn handle(&self, udp: &Udp, from: SocketAddr, bytes: &[u8]) {
        match Datagram::parse(bytes) {
            Some(Datagram::Challenge { channel, cookie }) => {
                self.tell_owner(from, channel, LegEvent::Challenge(cookie));
            }
            Some(Datagram::Bound { channel, observed }) => {
                self.tell_owner(from, channel, LegEvent::Bound { observed });
            }
            Some(Datagram::Unknown { channel }) => self.tell_owner(from, channel, LegEvent::Unknown),
            Some(Datagram::Punch { token }) => self.hear_punch(udp, from, token),
            Some(Datagram::Punched { token }) => {
                // The answer carries the token of the one that answers; each session listens for its peer's
                // token too.
                self.tell_punching(token, PunchEvent::Answered(unmapped(from)));
            }
            // A relay's business, or noise from the internet.
            Some(Datagram::Bind { .. } | Datagram::Data { .. }) | None => {}
        }
    }

    fn hear_punch(&self, udp: &Udp, from: SocketAddr, token: PunchToken) {
        if self.tell_punching(token, PunchEvent::Reached(unmapped(from))) {
            Self::send_by(udp, from, &Datagram::Punched { token }.bytes());
        }
    }

    fn tell_owner(&self, relay: SocketAddr, channel: Channel, event: LegEvent) {
        let legs = self.legs.read().expect(LOCK);
        if let Some(owner) = legs.owners.get(&(relay, channel)) {
            // A full queue means that the owner has newer news already.
            owner.try_send(event).ok();
        }
    }

    /// Returns whether anybody listens for `token`.
    fn tell_punching(&self, token: PunchToken, event: PunchEvent) -> bool {
        let punches = self.punches.read().expect(LOCK);
        let Some(heard) = punches.get(&token) else { return false };
        // A full queue means that enough addresses are known to work.
        heard.try_send(event).ok();
        true
    }

    /// Tries to send what QUIC wants sent. `WouldBlock` when the system's queue is full.
    pub(crate) fn try_send(&self, transmit: &Transmit<'_>, scratch: &mut Vec<u8>) -> io::Result<()> {
        if !is_leg(transmit.destination) {
            let Some(udp) = self.socket_for(transmit.destination) else { return Ok(()) };
            return udp.try_send(transmit);
        }
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        match self.outlet(transmit.destination) {
            None => Ok(()),
            Some(Outlet::Stream(queue)) => {
                for packet in transmit.contents.chunks(segment) {
                    if queue.try_send(packet.to_vec()).is_err() {
                        break;
                    }
                }
                Ok(())
            }
            Some(Outlet::Udp { relay, channel, opening }) => {
                if let Some(flight) = opening {
                    transmit.contents.chunks(segment).for_each(|packet| flight.keep(packet));
                }
                let Some(udp) = self.socket_for(relay).filter(|_| relay.port() != 0) else { return Ok(()) };
                scratch.clear();
                for packet in transmit.contents.chunks(segment) {
                    scratch.push(tag::DATA);
                    scratch.extend_from_slice(&channel.0.to_be_bytes());
                    scratch.extend_from_slice(packet);
                }
                udp.try_send(&Transmit {
                    destination: relay,
                    ecn: None,
                    contents: scratch,
                    segment_size: transmit.segment_size.map(|size| size + DATA_HEADER_LEN),
                    src_ip: None,
                })
            }
        }
    }

    /// The real socket that packets to `to` leave by.
    pub(crate) fn udp_behind(&self, to: SocketAddr) -> Option<Arc<Udp>> {
        let real = match self.outlet(to) {
            Some(Outlet::Udp { relay, .. }) => relay,
            Some(Outlet::Stream(_)) => return None,
            None => to,
        };
        self.socket_for(real)
    }
}

/// Whether QUIC means a relay leg by this address.
pub(crate) fn is_leg(addr: SocketAddr) -> bool {
    matches!(addr.ip(), IpAddr::V6(ip) if ip.segments()[..3] == LEG_PREFIX)
}

/// A fresh made-up address. Random, so that no peer can name another's live leg.
fn made_up_addr() -> SocketAddr {
    let [a, b, c] = LEG_PREFIX;
    let r: [u16; 5] = rand::random();
    SocketAddr::new(Ipv6Addr::new(a, b, c, r[0], r[1], r[2], r[3], r[4]).into(), LEG_PORT)
}
