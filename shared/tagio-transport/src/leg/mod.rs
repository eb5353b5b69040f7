//! Binds this side's end of a relay leg: UDP first, a carrier when UDP stays silent, whichever answers first. What QUIC
//! sends meanwhile goes along.

mod frames;

use std::{
    net::{Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tagio_wire::{
    control::Preface,
    leg::{Datagram, LegGrant, TCP_LEG_OK},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, split},
    sync::{Mutex, mpsc},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use self::frames::{push_frame, read_packets, write_packets};
use crate::{
    carrier::{BoxedStream, Carrier, CarrierError, Dialer, Patience, Won},
    error::LegError,
    network_watch::NetworkChanges,
    relay::RelayRoute,
    socket::{FirstFlight, Inbound, LegEvent, Switch},
};

/// How often an unanswered `BIND` is sent again, after the second one.
const BIND_RETRY: Duration = Duration::from_millis(100);
/// And before that, where half a round trip is less.
const BIND_RETRY_MIN: Duration = Duration::from_millis(10);
/// How long the relay may take for its first word by UDP, beside one and a half round trips: a radio that sleeps may
/// keep a packet so long, and a session by TCP for that would be the worse one.
const UDP_ROOM: Duration = Duration::from_millis(100);
/// How long UDP is alone in the race at most, unless it was silent lately; after its first word, once more. Longer than a
/// round trip round the world would make carriers useless.
const UDP_HEAD_START: Duration = Duration::from_millis(250);
/// When neither has answered by then, the leg is not to be had.
const BIND_DEADLINE: Duration = Duration::from_secs(6);
/// How often a bound UDP end is bound anew, in case a NAT on the way gave it another address.
const REBIND: Duration = Duration::from_secs(10);
/// How long the relay may take to answer one carrier before another one may ask: it gives the end to whoever asked last,
/// so two must not ask at once.
const ASK_DEADLINE: Duration = Duration::from_millis(1500);
/// Packets that wait for the carrier: about 90 kB, a tenth of a second at 8 Mb/s. More would only
/// make an old picture arrive late.
const QUEUE_PACKETS: usize = 64;

/// This side's end of a channel of a relay. Ends with its owner.
#[derive(Debug)]
pub struct RelayLeg {
    grant: LegGrant,
    /// By which the switch knows the relay.
    relay: SocketAddr,
    addr: SocketAddr,
    observed: Option<SocketAddr>,
    carrier: Carrier,
    received: Arc<AtomicU64>,
    switch: Arc<Switch>,
    /// Keeps the end bound, or moves its packets by a carrier.
    _tasks: JoinSet<()>,
}

impl RelayLeg {
    /// The address by which QUIC sends over this leg.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the relay sees this end's UDP packets come from; `None` where they go by a carrier.
    pub fn observed(&self) -> Option<SocketAddr> {
        self.observed
    }

    /// What carries this end's packets.
    pub fn carrier(&self) -> Carrier {
        self.carrier
    }

    /// Packets received so far, to tell a leg in use from a forgotten one.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// From now on packets go by this carrier; so many of the first flight went before the rest.
    fn travel(
        &mut self,
        won: Won<BoxedStream>,
        sent: usize,
        flight: &FirstFlight,
        inbound: mpsc::Sender<Inbound>,
    ) {
        tracing::info!(carrier = %won.carrier, "relay leg by a carrier");
        self.carrier = won.carrier;
        let (queue_tx, queue) = mpsc::channel(QUEUE_PACKETS);
        for packet in flight.packets().into_iter().skip(sent) {
            // The queue is new, and longer than any flight.
            queue_tx.try_send(packet).ok();
        }
        self.switch.carry_by_stream(self.addr, won.carrier, queue_tx);
        let (read, write) = split(won.value);
        self._tasks.spawn(write_packets(write, queue));
        self._tasks.spawn(read_packets(read, Arc::clone(&self.switch), self.addr, inbound));
    }
}

impl Drop for RelayLeg {
    fn drop(&mut self) {
        self.switch.remove_leg(self.relay, self.grant.channel, self.addr);
    }
}

/// This side's end of a channel, not bound yet. QUIC may send to it: its first packets go along with the wishes to bind.
#[derive(Debug)]
pub(crate) struct LegOpening {
    leg: RelayLeg,
    /// Where UDP reaches the relay, if it may be used.
    by_udp: Option<SocketAddr>,
    flight: Arc<FirstFlight>,
    heard: mpsc::Receiver<LegEvent>,
}

impl LegOpening {
    pub(crate) fn new(switch: Arc<Switch>, route: &RelayRoute, grant: LegGrant) -> Self {
        let by_udp = route.addr().filter(|_| route.dialer.allows_udp());
        // Nothing comes from port 0: it stands for a relay that UDP does not reach.
        let relay = by_udp.unwrap_or_else(|| SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0));
        let (heard_tx, heard) = mpsc::channel(8);
        let flight = Arc::new(FirstFlight::default());
        let (addr, received) = switch.add_leg(relay, grant.channel, Arc::clone(&flight), heard_tx);
        let (carrier, _tasks) = (Carrier::Udp, JoinSet::new());
        let leg = RelayLeg { grant, relay, addr, observed: None, carrier, received, switch, _tasks };
        Self { leg, by_udp, flight, heard }
    }

    /// The address by which QUIC sends over this leg.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.leg.addr
    }

    /// Binds it. UDP's head start is shorter by the `silence` in which the relay has answered nothing by it.
    pub(crate) async fn bind(
        self,
        inbound: mpsc::Sender<Inbound>,
        route: &RelayRoute,
        silence: Duration,
        mut changes: NetworkChanges,
    ) -> Result<RelayLeg, LegError> {
        let Self { mut leg, by_udp, flight, mut heard } = self;
        let (dialer, grant) = (&route.dialer, leg.grant);
        let first_word = first_word_within(route.rtt()).saturating_sub(silence);
        let is_udp_likely =
            by_udp.is_some() && !first_word.is_zero() && !dialer.is_udp_blocked() && route.is_plain();
        let has_answered = AtomicBool::new(false);
        let bound = async {
            match by_udp {
                Some(relay) => {
                    let asking = Asking { switch: &leg.switch, relay, grant, flight: &flight };
                    asking.bind(&mut heard, route.rtt(), &has_answered).await
                }
                None => std::future::pending().await,
            }
        };
        let head_start = async {
            if is_udp_likely {
                sleep(first_word).await;
                if has_answered.load(Ordering::Relaxed) {
                    sleep(UDP_HEAD_START).await;
                }
            }
        };
        let race = Race { dialer, grant, flight: &flight, has_udp: by_udp.is_some() };
        let racing = race.run(bound, head_start, &mut changes);
        let raced = timeout(BIND_DEADLINE, racing).await;
        match raced.unwrap_or_else(|_| Err(LegError::Unreachable { relay: dialer.name() }))? {
            Bound::Udp((observed, cookie)) => {
                dialer.forget_udp();
                leg.switch.carry_by_udp(leg.addr);
                leg.observed = Some(observed);
                let switch = Arc::clone(&leg.switch);
                leg._tasks.spawn(keep_bound(switch, leg.relay, grant, cookie, heard, changes));
            }
            Bound::Carrier(won, sent) => {
                // Of a UDP that had no head start a lost race says nothing.
                if is_udp_likely && !has_answered.into_inner() {
                    dialer.note_udp_silent();
                }
                leg.travel(won, sent, &flight, inbound);
            }
        }
        Ok(leg)
    }
}

/// The address that the relay saw, and the cookie that it took.
type UdpEnd = (SocketAddr, [u8; 16]);

enum Bound {
    Udp(UdpEnd),
    /// And how many packets of the first flight it took along.
    Carrier(Won<BoxedStream>, usize),
}

/// When the relay's first word by UDP is overdue, by a round trip to it; the second `BIND` has been answered by then.
fn first_word_within(rtt: Duration) -> Duration {
    (rtt + rtt / 2 + UDP_ROOM).min(UDP_HEAD_START)
}

/// UDP, which may be none, against the carriers.
struct Race<'a> {
    dialer: &'a Dialer,
    grant: LegGrant,
    flight: &'a FirstFlight,
    has_udp: bool,
}

impl Race<'_> {
    /// Carriers are begun after `head_start`, and anew after each of `changes`.
    async fn run(
        &self,
        by_udp: impl Future<Output = Result<UdpEnd, LegError>>,
        head_start: impl Future<Output = ()>,
        changes: &mut NetworkChanges,
    ) -> Result<Bound, LegError> {
        let by_carrier = async {
            head_start.await;
            let turn = Mutex::new(());
            let ask = |stream| ask(stream, self.grant, self.flight, &turn);
            loop {
                tokio::select! {
                    raced = self.dialer.race(Patience::Long, ask) => return raced,
                    // What was begun in another network, or in none, leads nowhere now.
                    () = changes.next() => {}
                }
            }
        };
        tokio::pin!(by_udp);
        tokio::select! {
            bound = &mut by_udp => bound.map(Bound::Udp),
            carried = by_carrier => match carried {
                Ok(Won { value: (stream, sent), carrier, addr }) => {
                    Ok(Bound::Carrier(Won { value: stream, carrier, addr }, sent))
                }
                // Where no carrier gets through, UDP may still answer.
                Err(_) if self.has_udp => by_udp.await.map(Bound::Udp),
                Err(errors) => Err(why(&errors, self.dialer)),
            },
        }
    }
}

/// What a person is told of a leg that no carrier gets to.
fn why(errors: &[CarrierError], dialer: &Dialer) -> LegError {
    let is_unknown = errors.iter().any(|error| matches!(error, CarrierError::NotTheRelay));
    if is_unknown { LegError::Unknown } else { LegError::Unreachable { relay: dialer.name() } }
}

/// How UDP asks for an end.
struct Asking<'a> {
    switch: &'a Switch,
    relay: SocketAddr,
    grant: LegGrant,
    flight: &'a FirstFlight,
}

impl Asking<'_> {
    /// Sends `BIND` until the relay says `BOUND`.
    async fn bind(
        &self,
        heard: &mut mpsc::Receiver<LegEvent>,
        rtt: Duration,
        has_answered: &AtomicBool,
    ) -> Result<UdpEnd, LegError> {
        let mut cookie = [0; 16];
        // The second one soon: where the first is lost, a carrier must not win for that.
        let mut retry = (rtt / 2).clamp(BIND_RETRY_MIN, BIND_RETRY);
        loop {
            self.ask(cookie);
            match timeout(retry, heard.recv()).await {
                Ok(Some(LegEvent::Challenge(fresh))) => {
                    has_answered.store(true, Ordering::Relaxed);
                    (cookie, retry) = (fresh, BIND_RETRY);
                }
                Ok(Some(LegEvent::Bound { observed })) => return Ok((observed, cookie)),
                Ok(Some(LegEvent::Unknown) | None) => return Err(LegError::Unknown),
                Err(_) => retry = BIND_RETRY,
            }
        }
    }

    /// A cookie makes the relay take what comes right behind it, which it may have dropped before.
    fn ask(&self, cookie: [u8; 16]) {
        self.switch.send(self.relay, &Datagram::Bind { grant: self.grant, cookie });
        if cookie == [0; 16] {
            return;
        }
        for packet in self.flight.packets() {
            self.switch.send(self.relay, &Datagram::Data { channel: self.grant.channel, packet: &packet });
        }
    }
}

/// Binds the end anew from time to time, and until it is answered after a change of the network, as long as the relay
/// knows it.
async fn keep_bound(
    switch: Arc<Switch>,
    relay: SocketAddr,
    grant: LegGrant,
    mut cookie: [u8; 16],
    mut heard: mpsc::Receiver<LegEvent>,
    mut changes: NetworkChanges,
) {
    let mut next = Instant::now() + REBIND;
    let mut pause = REBIND;
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(next) => {
                switch.send(relay, &Datagram::Bind { grant, cookie });
                next = Instant::now() + pause;
                pause = (pause * 2).min(REBIND);
            }
            // The relay knows this end by an address that it does not have any more.
            () = changes.next() => (next, pause) = (Instant::now(), BIND_RETRY),
            event = heard.recv() => match event {
                Some(LegEvent::Challenge(fresh)) => {
                    cookie = fresh;
                    switch.send(relay, &Datagram::Bind { grant, cookie });
                }
                Some(LegEvent::Bound { .. }) => (next, pause) = (Instant::now() + REBIND, REBIND),
                Some(LegEvent::Unknown) | None => return,
            }
        }
    }
}

/// Asks for the end over an open carrier, when no other carrier does; how many packets of the first flight went along.
async fn ask(
    mut stream: BoxedStream,
    grant: LegGrant,
    flight: &FirstFlight,
    turn: &Mutex<()>,
) -> Result<(BoxedStream, usize), CarrierError> {
    let mut opening = Vec::with_capacity(Preface::LEN + 20);
    opening.extend_from_slice(&Preface::TcpLeg.bytes());
    opening.extend_from_slice(&grant.channel.0.to_be_bytes());
    opening.extend_from_slice(&grant.token.0);
    let _turn = turn.lock().await;
    let packets = flight.packets();
    packets.iter().for_each(|packet| push_frame(&mut opening, packet));
    let asked = timeout(ASK_DEADLINE, async {
        stream.write_all(&opening).await?;
        stream.flush().await?;
        stream.read_u8().await
    });
    match asked.await {
        Ok(Ok(TCP_LEG_OK)) => Ok((stream, packets.len())),
        // It closes where it does not know the grant.
        Ok(Ok(_)) => Err(CarrierError::NotTheRelay),
        Ok(Err(error)) => Err(CarrierError::instead_of_answer(error)),
        Err(_) => Err(CarrierError::TimedOut),
    }
}
