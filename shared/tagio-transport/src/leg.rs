//! Binds this side's end of a relay leg: UDP first, a carrier when UDP stays silent, whichever answers first.

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
    leg::{Datagram, LegGrant, PACKET_BYTES_MAX, TCP_LEG_OK},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader, ReadHalf, WriteHalf, split},
    sync::{Mutex, mpsc},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    carrier::{BoxedStream, Carrier, CarrierError, Dialer, Patience, Won},
    error::LegError,
    network_watch::NetworkChanges,
    relay::RelayRoute,
    socket::{Inbound, LegEvent, Switch},
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

    pub(crate) async fn bind(
        switch: Arc<Switch>,
        inbound: mpsc::Sender<Inbound>,
        route: &RelayRoute,
        grant: LegGrant,
        is_udp_blocked: bool,
        mut changes: NetworkChanges,
    ) -> Result<Self, LegError> {
        let dialer = &route.dialer;
        let by_udp = route.addr().filter(|_| dialer.allows_udp());
        // Nothing comes from port 0: it stands for a relay that UDP does not reach.
        let relay = by_udp.unwrap_or_else(|| SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0));
        let (heard_tx, mut heard) = mpsc::channel(8);
        let (addr, received) = switch.add_leg(relay, grant.channel, heard_tx);
        let (carrier, _tasks) = (Carrier::Udp, JoinSet::new());
        let mut leg = Self { grant, relay, addr, observed: None, carrier, received, switch, _tasks };
        let is_udp_likely =
            by_udp.is_some() && !is_udp_blocked && !dialer.is_udp_blocked() && route.is_plain();
        let has_answered = AtomicBool::new(false);
        let bound = async {
            match by_udp {
                Some(relay) => {
                    bind_udp(&leg.switch, relay, grant, &mut heard, route.rtt(), &has_answered).await
                }
                None => std::future::pending().await,
            }
        };
        let head_start = async {
            if is_udp_likely {
                sleep(first_word_within(route.rtt())).await;
                if has_answered.load(Ordering::Relaxed) {
                    sleep(UDP_HEAD_START).await;
                }
            }
        };
        let racing = race(bound, by_udp.is_some(), dialer, grant, head_start, &mut changes);
        let raced = timeout(BIND_DEADLINE, racing).await;
        match raced.unwrap_or_else(|_| Err(LegError::Unreachable { relay: dialer.name() }))? {
            Bound::Udp((observed, cookie)) => {
                dialer.forget_udp();
                leg.observed = Some(observed);
                let switch = Arc::clone(&leg.switch);
                leg._tasks.spawn(keep_bound(switch, relay, grant, cookie, heard, changes));
            }
            Bound::Carrier(won) => {
                // Of a UDP that had no head start a lost race says nothing.
                if is_udp_likely && !has_answered.into_inner() {
                    dialer.note_udp_silent();
                }
                leg.travel(won, inbound);
            }
        }
        Ok(leg)
    }

    /// From now on packets go by this carrier.
    fn travel(&mut self, won: Won<BoxedStream>, inbound: mpsc::Sender<Inbound>) {
        tracing::info!(carrier = %won.carrier, "relay leg by a carrier");
        self.carrier = won.carrier;
        let (queue_tx, queue) = mpsc::channel(QUEUE_PACKETS);
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

/// The address that the relay saw, and the cookie that it took.
type UdpEnd = (SocketAddr, [u8; 16]);

enum Bound {
    Udp(UdpEnd),
    Carrier(Won<BoxedStream>),
}

/// When the relay's first word by UDP is overdue, by a round trip to it; the second `BIND` has been answered by then.
fn first_word_within(rtt: Duration) -> Duration {
    (rtt + rtt / 2 + UDP_ROOM).min(UDP_HEAD_START)
}

/// UDP, which may be none, against the carriers, which are begun anew after each of `changes`.
async fn race(
    by_udp: impl Future<Output = Result<UdpEnd, LegError>>,
    has_udp: bool,
    dialer: &Dialer,
    grant: LegGrant,
    head_start: impl Future<Output = ()>,
    changes: &mut NetworkChanges,
) -> Result<Bound, LegError> {
    let by_carrier = async {
        head_start.await;
        let turn = Mutex::new(());
        loop {
            tokio::select! {
                raced = dialer.race(Patience::Long, |stream| ask(stream, grant, &turn)) => return raced,
                // What was begun in another network, or in none, leads nowhere now.
                () = changes.next() => {}
            }
        }
    };
    tokio::pin!(by_udp);
    tokio::select! {
        bound = &mut by_udp => bound.map(Bound::Udp),
        carried = by_carrier => match carried {
            Ok(won) => Ok(Bound::Carrier(won)),
            // Where no carrier gets through, UDP may still answer.
            Err(_) if has_udp => by_udp.await.map(Bound::Udp),
            Err(errors) => Err(why(&errors, dialer)),
        },
    }
}

/// What a person is told of a leg that no carrier gets to.
fn why(errors: &[CarrierError], dialer: &Dialer) -> LegError {
    let is_unknown = errors.iter().any(|error| matches!(error, CarrierError::NotTheRelay));
    if is_unknown { LegError::Unknown } else { LegError::Unreachable { relay: dialer.name() } }
}

/// Sends `BIND` until the relay says `BOUND`.
async fn bind_udp(
    switch: &Switch,
    relay: SocketAddr,
    grant: LegGrant,
    heard: &mut mpsc::Receiver<LegEvent>,
    rtt: Duration,
    has_answered: &AtomicBool,
) -> Result<UdpEnd, LegError> {
    let mut cookie = [0; 16];
    // The second one soon: where the first is lost, a carrier must not win for that.
    let mut retry = (rtt / 2).clamp(BIND_RETRY_MIN, BIND_RETRY);
    loop {
        switch.send(relay, &Datagram::Bind { grant, cookie });
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

/// Asks for the end over an open carrier, when no other carrier does.
async fn ask(
    mut stream: BoxedStream,
    grant: LegGrant,
    turn: &Mutex<()>,
) -> Result<BoxedStream, CarrierError> {
    let mut opening = Vec::with_capacity(Preface::LEN + 20);
    opening.extend_from_slice(&Preface::TcpLeg.bytes());
    opening.extend_from_slice(&grant.channel.0.to_be_bytes());
    opening.extend_from_slice(&grant.token.0);
    let _turn = turn.lock().await;
    let asked = timeout(ASK_DEADLINE, async {
        stream.write_all(&opening).await?;
        stream.flush().await?;
        stream.read_u8().await
    });
    match asked.await {
        Ok(Ok(TCP_LEG_OK)) => Ok(stream),
        // It closes where it does not know the grant.
        Ok(Ok(_)) => Err(CarrierError::NotTheRelay),
        Ok(Err(error)) => Err(CarrierError::instead_of_answer(error)),
        Err(_) => Err(CarrierError::TimedOut),
    }
}

async fn write_packets(mut write: WriteHalf<BoxedStream>, mut queue: mpsc::Receiver<Vec<u8>>) {
    let mut batch = Vec::new();
    while let Some(packet) = queue.recv().await {
        batch.clear();
        push_frame(&mut batch, &packet);
        while let Ok(packet) = queue.try_recv() {
            push_frame(&mut batch, &packet);
        }
        let written = async {
            write.write_all(&batch).await?;
            write.flush().await
        };
        if let Err(error) = written.await {
            tracing::debug!(%error, "relay leg closed");
            return;
        }
    }
}

fn push_frame(batch: &mut Vec<u8>, packet: &[u8]) {
    let len = u16::try_from(packet.len()).expect("QUIC packets are shorter than 64 KiB");
    batch.extend_from_slice(&len.to_be_bytes());
    batch.extend_from_slice(packet);
}

async fn read_packets(
    read: ReadHalf<BoxedStream>,
    switch: Arc<Switch>,
    addr: SocketAddr,
    inbound: mpsc::Sender<Inbound>,
) {
    let mut read = BufReader::with_capacity(64 * 1024, read);
    loop {
        let Ok(len) = read.read_u16().await else { return };
        let len = usize::from(len);
        if len > PACKET_BYTES_MAX {
            tracing::warn!(len, "the relay sent an oversized packet");
            return;
        }
        let mut packet = vec![0; len];
        if read.read_exact(&mut packet).await.is_err() {
            return;
        }
        switch.count_received(addr);
        if inbound.send((addr, packet)).await.is_err() {
            return;
        }
    }
}
