//! UDP for one client: a flow, with a socket of its own, for each target that it names.
//!
//! Nothing here waits for a queue: what the system does not take at once is dropped and counted, as everywhere with UDP.
//! Datagrams move by batches: those that came together leave by one system call where they can.

use std::{
    collections::{HashMap, hash_map::Entry},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use tagio_proxy::{BatchSocket, DialError, Joined};
use tokio::{
    sync::OwnedSemaphorePermit,
    task::{JoinSet, yield_now},
    time::{Instant, sleep},
};
use tracing::debug;

use super::{Doorkeeper, Refusal, connection::Visit, moderation};
use crate::wire;

/// Datagrams that wait for a target's name to be looked up: a burst of 300 KB.
const WAITING_MAX: usize = 256;
/// Datagrams that are taken from QUIC at once: what comes in a millisecond at 2.5 Gb/s.
const BATCH: usize = 256;
/// Datagrams that are read from a target before they are passed on: a third of what QUIC keeps.
const GATHERED_MAX: usize = 256;
/// What cannot be reached is not tried again sooner.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Serves datagrams until the connection is gone. Dropping it ends the flows.
pub(super) async fn run<D: Doorkeeper>(visit: Arc<Visit<D>>) {
    let mut flows = Flows { visit, by_head: HashMap::new(), touched: Vec::new(), tasks: JoinSet::new() };
    let mut batch = vec![Bytes::new(); BATCH];
    loop {
        tokio::select! {
            read = flows.visit.seen.connection().read_many_datagrams(&mut batch) => {
                let Ok(count) = read else { return };
                flows.take(&mut batch[..count]);
            }
            // One that panicked stays in the map, ended, until its target is named again.
            Some(ended) = flows.tasks.join_next() => if let Ok(head) = ended {
                flows.forget(&head);
            },
        }
    }
}

/// All flows of a client.
struct Flows<D> {
    visit: Arc<Visit<D>>,
    by_head: HashMap<Bytes, Gathering>,
    /// Heads of flows for which something has been gathered. Empty between two batches.
    touched: Vec<Bytes>,
    /// One for each flow; they tell whose they were.
    tasks: JoinSet<Bytes>,
}

/// A flow, and what is to leave by it. Nothing is left between two batches.
struct Gathering {
    flow: Arc<Flow>,
    payloads: Vec<Bytes>,
}

impl<D: Doorkeeper> Flows<D> {
    /// Sends a batch to its targets, and makes the flows that are missing.
    fn take(&mut self, batch: &mut [Bytes]) {
        let visit = Arc::clone(&self.visit);
        let inner = &visit.inner;
        inner.counters.datagrams_received.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let mut bytes = 0;
        for datagram in batch {
            match wire::split_datagram(std::mem::take(datagram)) {
                Ok((head, payload)) => {
                    bytes += payload.len();
                    self.gather(head, payload);
                }
                Err(wire::Malformed) => inner.counters.refuse(Refusal::Malformed),
            }
        }
        for meter in [&inner.meter, visit.seen.meter()] {
            meter.received.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        for head in self.touched.drain(..) {
            let Some(Gathering { flow, payloads }) = self.by_head.get_mut(&head) else { continue };
            inner.counters.refuse_many(Refusal::Datagram, flow.send(payloads));
        }
    }

    fn gather(&mut self, head: Bytes, payload: Bytes) {
        let Self { visit, by_head, tasks, .. } = self;
        let gathering = match by_head.get_mut(&head) {
            Some(gathering) if !gathering.flow.has_ended() => gathering,
            Some(_) | None => {
                let Some(flow) = open(visit, tasks, &head) else {
                    return visit.inner.counters.refuse(Refusal::Flows);
                };
                let gathering = Gathering { flow, payloads: Vec::new() };
                by_head.entry(gathering.flow.head.clone()).insert_entry(gathering).into_mut()
            }
        };
        if gathering.payloads.is_empty() {
            self.touched.push(head);
        }
        gathering.payloads.push(payload);
    }

    /// Forgets a flow, unless there is a new one to the same target.
    fn forget(&mut self, head: &Bytes) {
        if let Entry::Occupied(entry) = self.by_head.entry(head.clone())
            && entry.get().flow.has_ended()
        {
            entry.remove();
        }
    }
}

/// A new flow, if there is room for one.
fn open<D: Doorkeeper>(visit: &Arc<Visit<D>>, tasks: &mut JoinSet<Bytes>, head: &[u8]) -> Option<Arc<Flow>> {
    let inner = &visit.inner;
    if tasks.len() >= inner.limits.flows_per_client_max {
        return None;
    }
    let permit = Arc::clone(&inner.flows).try_acquire_owned().ok()?;
    // What came keeps the packet that it came in; a copy of its own is shorter.
    let head = Bytes::copy_from_slice(head);
    let flow = Arc::new(Flow { head, way: Mutex::new(Way::Opening(Vec::new())) });
    tasks.spawn(serve(Arc::clone(visit), Arc::clone(&flow), permit));
    Some(flow)
}

/// The way to one target, for who sends there and for the task that hears from it.
struct Flow {
    head: Bytes,
    way: Mutex<Way>,
}

enum Way {
    /// What waits for the target to be found.
    Opening(Vec<Bytes>),
    Open {
        socket: Arc<BatchSocket>,
        /// When something left by it.
        used: Instant,
    },
    Ended,
}

impl Flow {
    /// Sends all of them, and leaves none; how many were lost.
    fn send(&self, payloads: &mut Vec<Bytes>) -> u64 {
        let lost = match &mut *self.lock() {
            Way::Opening(waiting) => {
                let room = WAITING_MAX.saturating_sub(waiting.len()).min(payloads.len());
                waiting.extend(payloads.drain(..room));
                payloads.len()
            }
            Way::Open { socket, used } => {
                *used = Instant::now();
                socket.send(payloads)
            }
            Way::Ended => payloads.len(),
        };
        payloads.clear();
        lost as u64
    }

    /// The target is found; how many of those that waited were lost.
    fn open(&self, socket: &Arc<BatchSocket>) -> u64 {
        let mut way = self.lock();
        let open = Way::Open { socket: Arc::clone(socket), used: Instant::now() };
        match std::mem::replace(&mut *way, open) {
            // Under the lock, so that nothing overtakes them.
            Way::Opening(waiting) => socket.send(&waiting) as u64,
            Way::Open { .. } | Way::Ended => 0,
        }
    }

    /// There will be no more; how many still waited.
    fn end(&self) -> u64 {
        match std::mem::replace(&mut *self.lock(), Way::Ended) {
            Way::Opening(waiting) => waiting.len() as u64,
            Way::Open { .. } | Way::Ended => 0,
        }
    }

    /// Also by a panic of its task.
    fn has_ended(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1 || matches!(*self.lock(), Way::Ended)
    }

    fn used(&self) -> Option<Instant> {
        match *self.lock() {
            Way::Open { used, .. } => Some(used),
            Way::Opening(_) | Way::Ended => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Way> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves a flow to its end, and tells whose it was.
async fn serve<D: Doorkeeper>(visit: Arc<Visit<D>>, flow: Arc<Flow>, permit: OwnedSemaphorePermit) -> Bytes {
    let counters = &visit.inner.counters;
    match connect(&visit, &flow.head).await {
        Ok(socket) => {
            let socket = Arc::new(socket);
            counters.refuse_many(Refusal::Datagram, flow.open(&socket));
            bring_back(&visit, &flow, &socket).await;
        }
        Err(error) => {
            counters.refuse(match error {
                DialError::NotAllowed => Refusal::Target,
                DialError::BadTarget => Refusal::Malformed,
                _ => Refusal::Datagram,
            });
            debug!(%error, "no UDP flow");
            sleep(RETRY_AFTER).await;
        }
    }
    counters.refuse_many(Refusal::Datagram, flow.end());
    drop(permit);
    flow.head.clone()
}

async fn connect<D: Doorkeeper>(visit: &Visit<D>, head: &[u8]) -> Result<BatchSocket, DialError> {
    let target = wire::head_target(head).map_err(|_| DialError::BadTarget)?;
    Ok(BatchSocket::new(visit.inner.dialer.connect_udp(&target).await?).await?)
}

/// Passes on what the target says, until both sides have been silent for long, or the connection is gone.
async fn bring_back<D: Doorkeeper>(visit: &Visit<D>, flow: &Flow, socket: &BatchSocket) {
    let idle = visit.inner.limits.flow_idle;
    let mut heard = Instant::now();
    let mut look = pin!(sleep(idle));
    let mut datagrams = Vec::new();
    loop {
        tokio::select! {
            ready = socket.readable() => {
                if ready.is_err() {
                    return;
                }
            }
            () = &mut look => {
                let last = flow.used().map_or(heard, |used| used.max(heard));
                if last.elapsed() >= idle {
                    return;
                }
                look.as_mut().reset(last + idle);
                continue;
            }
        }
        // All that is there is passed on at once: the more, the less each costs.
        let mut has_more = true;
        while has_more && datagrams.len() < GATHERED_MAX {
            let received = socket.receive(|batch| put_heads(&mut datagrams, &flow.head, batch));
            // There was nothing, or the news of an earlier datagram, which found nobody.
            has_more = received.is_ok();
        }
        if datagrams.is_empty() {
            continue;
        }
        heard = Instant::now();
        moderation::heard(datagrams.len());
        if !visit.pass_on(&mut datagrams, flow.head.len()) {
            return;
        }
        if has_more {
            // QUIC loses what it is given before it has sent this.
            yield_now().await;
        }
    }
}

/// Puts the head before each of them, in memory that they share.
fn put_heads(datagrams: &mut Vec<Bytes>, head: &[u8], batch: &[Joined<'_>]) {
    let len = batch.iter().map(|joined| joined.bytes() + joined.count() * head.len()).sum();
    let mut memory = BytesMut::with_capacity(len);
    for payload in batch.iter().flat_map(|joined| joined.datagrams()) {
        memory.put_slice(head);
        memory.put_slice(payload);
        datagrams.push(memory.split().freeze());
    }
}

impl<D: Doorkeeper> Visit<D> {
    /// Sends all of them to the client, and leaves none; `false` when it is gone.
    fn pass_on(&self, datagrams: &mut Vec<Bytes>, head_len: usize) -> bool {
        let (inner, connection) = (&self.inner, self.seen.connection());
        let Some(longest) = connection.max_datagram_size() else { return false };
        let found = datagrams.len();
        datagrams.retain(|datagram| datagram.len() <= longest);
        inner.counters.refuse_many(Refusal::Datagram, (found - datagrams.len()) as u64);
        let payload: usize = datagrams.iter().map(|datagram| datagram.len() - head_len).sum();
        for meter in [&inner.meter, self.seen.meter()] {
            meter.sent.fetch_add(payload as u64, Ordering::Relaxed);
        }
        inner.counters.datagrams_sent.fetch_add(datagrams.len() as u64, Ordering::Relaxed);
        let sent = connection.send_many_datagrams(datagrams);
        datagrams.clear();
        // Too long after all: the way has just become narrower.
        !matches!(sent, Err(noq::SendDatagramError::ConnectionLost(_)))
    }
}
