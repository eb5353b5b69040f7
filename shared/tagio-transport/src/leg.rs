//! Binds this side's end of a relay leg: UDP first, TCP when UDP stays silent, whichever answers first.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tagio_wire::{
    control::Preface,
    leg::{Datagram, LegGrant, PACKET_BYTES_MAX, TCP_LEG_OK},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    error::LegError,
    network_watch::NetworkChanges,
    socket::{Inbound, LegEvent, Switch},
};

/// How often an unanswered `BIND` is sent again.
const BIND_RETRY: Duration = Duration::from_millis(100);
/// How long UDP is alone in the race. Longer than a round trip round the world would make TCP useless;
/// shorter would open a TCP connection for every call.
const UDP_HEAD_START: Duration = Duration::from_millis(250);
/// When neither has answered by then, the leg is not to be had.
const BIND_DEADLINE: Duration = Duration::from_secs(6);
/// How often a bound UDP end is bound anew, in case a NAT on the way gave it another address.
const REBIND: Duration = Duration::from_secs(10);
/// Packets that wait for the TCP connection: about 90 kB, a tenth of a second at 8 Mb/s. More would only
/// make an old picture arrive late.
const TCP_QUEUE_PACKETS: usize = 64;

/// This side's end of a channel of a relay. Ends with its owner.
#[derive(Debug)]
pub struct RelayLeg {
    grant: LegGrant,
    relay: SocketAddr,
    addr: SocketAddr,
    observed: Option<SocketAddr>,
    received: Arc<AtomicU64>,
    switch: Arc<Switch>,
    /// Keeps the end bound, or moves its packets by TCP.
    _tasks: JoinSet<()>,
}

impl RelayLeg {
    /// The address by which QUIC sends over this leg.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the relay sees this end's UDP packets come from; `None` where they go by TCP.
    pub fn observed(&self) -> Option<SocketAddr> {
        self.observed
    }

    /// Packets received so far, to tell a leg in use from a forgotten one.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) async fn bind(
        switch: Arc<Switch>,
        inbound: mpsc::Sender<Inbound>,
        relay: SocketAddr,
        grant: LegGrant,
        changes: NetworkChanges,
    ) -> Result<Self, LegError> {
        let (heard_tx, mut heard) = mpsc::channel(8);
        let (addr, received) = switch.add_leg(relay, grant.channel, heard_tx);
        let mut leg = Self { grant, relay, addr, observed: None, received, switch, _tasks: JoinSet::new() };
        let by_udp = bind_udp(&leg.switch, relay, grant, &mut heard);
        let by_tcp = async {
            sleep(UDP_HEAD_START).await;
            open_tcp(relay, grant).await
        };
        let raced = timeout(BIND_DEADLINE, async {
            tokio::pin!(by_udp, by_tcp);
            tokio::select! {
                bound = &mut by_udp => Won::Udp(bound),
                Ok(stream) = &mut by_tcp => Won::Tcp(stream),
                // Where TCP fails at once, UDP may still answer.
                else => Won::Udp(Err(LegError::Unreachable { relay })),
            }
        });
        match raced.await.unwrap_or(Won::Udp(Err(LegError::Unreachable { relay }))) {
            Won::Udp(bound) => {
                let (observed, cookie) = bound?;
                leg.observed = Some(observed);
                let switch = Arc::clone(&leg.switch);
                leg._tasks.spawn(keep_bound(switch, relay, grant, cookie, heard, changes));
            }
            Won::Tcp(stream) => {
                let (queue_tx, queue) = mpsc::channel(TCP_QUEUE_PACKETS);
                leg.switch.carry_by_tcp(addr, queue_tx);
                let (read, write) = stream.into_split();
                leg._tasks.spawn(write_tcp(write, queue));
                leg._tasks.spawn(read_tcp(read, Arc::clone(&leg.switch), addr, inbound));
            }
        }
        Ok(leg)
    }
}

impl Drop for RelayLeg {
    fn drop(&mut self) {
        self.switch.remove_leg(self.relay, self.grant.channel, self.addr);
    }
}

enum Won {
    Udp(Result<(SocketAddr, [u8; 16]), LegError>),
    Tcp(TcpStream),
}

/// Sends `BIND` until the relay says `BOUND`. Returns the address it saw and the cookie that it took.
async fn bind_udp(
    switch: &Switch,
    relay: SocketAddr,
    grant: LegGrant,
    heard: &mut mpsc::Receiver<LegEvent>,
) -> Result<(SocketAddr, [u8; 16]), LegError> {
    let mut cookie = [0; 16];
    loop {
        switch.send(relay, &Datagram::Bind { grant, cookie });
        match timeout(BIND_RETRY, heard.recv()).await {
            Ok(Some(LegEvent::Challenge(fresh))) => cookie = fresh,
            Ok(Some(LegEvent::Bound { observed })) => return Ok((observed, cookie)),
            Ok(Some(LegEvent::Unknown) | None) => return Err(LegError::Unknown),
            Err(_) => {}
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

async fn open_tcp(relay: SocketAddr, grant: LegGrant) -> Result<TcpStream, LegError> {
    let mut stream = TcpStream::connect(relay).await?;
    stream.set_nodelay(true)?;
    let mut opening = Vec::with_capacity(Preface::LEN + 20);
    opening.extend_from_slice(&Preface::TcpLeg.bytes());
    opening.extend_from_slice(&grant.channel.0.to_be_bytes());
    opening.extend_from_slice(&grant.token.0);
    stream.write_all(&opening).await?;
    match stream.read_u8().await? {
        TCP_LEG_OK => Ok(stream),
        _ => Err(LegError::Unknown),
    }
}

async fn write_tcp(mut write: OwnedWriteHalf, mut queue: mpsc::Receiver<Vec<u8>>) {
    let mut batch = Vec::new();
    while let Some(packet) = queue.recv().await {
        batch.clear();
        push_frame(&mut batch, &packet);
        while let Ok(packet) = queue.try_recv() {
            push_frame(&mut batch, &packet);
        }
        if let Err(error) = write.write_all(&batch).await {
            tracing::debug!(%error, "TCP leg closed");
            return;
        }
    }
}

fn push_frame(batch: &mut Vec<u8>, packet: &[u8]) {
    let len = u16::try_from(packet.len()).expect("QUIC packets are shorter than 64 KiB");
    batch.extend_from_slice(&len.to_be_bytes());
    batch.extend_from_slice(packet);
}

async fn read_tcp(
    read: OwnedReadHalf,
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
