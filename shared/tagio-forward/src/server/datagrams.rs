//! UDP for one client: a flow, with a socket of its own, for each target that it names.
//!
//! Nothing here waits for a queue: what finds one full is dropped and counted, as everywhere with UDP.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use noq::Connection;
use tagio_proxy::DialError;
use tokio::{
    net::UdpSocket,
    sync::{OwnedSemaphorePermit, mpsc},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::debug;

use super::{Doorkeeper, Refusal, connection::Visit};
use crate::wire;

/// Datagrams that wait for a flow's socket, or for its name to be looked up: a burst of 300 KB.
const FLOW_QUEUE: usize = 256;
/// Datagrams that are moved at once.
const BATCH: usize = 64;
/// The longest UDP datagram, and one byte, so that a buffer is never too short.
const DATAGRAM_BYTES_MAX: usize = 65_536;
/// What cannot be reached is not tried again sooner.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Serves datagrams until the connection is gone. Dropping it ends the flows.
pub(super) async fn run<D: Doorkeeper>(visit: Arc<Visit<D>>) {
    let mut flows: HashMap<Bytes, mpsc::Sender<Bytes>> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut batch = [const { Bytes::new() }; BATCH];
    loop {
        tokio::select! {
            read = visit.seen.connection().read_many_datagrams(&mut batch) => {
                let Ok(count) = read else { return };
                for datagram in &mut batch[..count] {
                    take(&visit, &mut flows, &mut tasks, std::mem::take(datagram));
                }
            }
            Some(ended) = tasks.join_next() => {
                // One that panicked stays in the map, closed, until its target is named again.
                if let Ok(head) = ended && flows.get(&head).is_some_and(mpsc::Sender::is_closed) {
                    flows.remove(&head);
                }
            }
        }
    }
}

/// Puts a datagram into the queue of its flow, and makes the flow if there is none.
fn take<D: Doorkeeper>(
    visit: &Arc<Visit<D>>,
    flows: &mut HashMap<Bytes, mpsc::Sender<Bytes>>,
    tasks: &mut JoinSet<Bytes>,
    datagram: Bytes,
) {
    let inner = &visit.inner;
    inner.counters.datagrams_received.fetch_add(1, Ordering::Relaxed);
    let Ok((head, payload)) = wire::split_datagram(datagram) else {
        return inner.counters.refuse(Refusal::Malformed);
    };
    for meter in [&inner.meter, visit.seen.meter()] {
        meter.received.fetch_add(payload.len() as u64, Ordering::Relaxed);
    }
    let payload = match flows.get(&head).map(|queue| queue.try_send(payload.clone())) {
        Some(Ok(())) => return,
        Some(Err(mpsc::error::TrySendError::Full(_))) => return inner.counters.refuse(Refusal::Datagram),
        Some(Err(mpsc::error::TrySendError::Closed(_))) | None => payload,
    };
    let permit = Arc::clone(&inner.flows).try_acquire_owned();
    let (Ok(permit), true) = (permit, tasks.len() < inner.limits.flows_per_client_max) else {
        return inner.counters.refuse(Refusal::Flows);
    };
    // The head keeps the packet that it came in; a copy of its own is shorter.
    let head = Bytes::copy_from_slice(&head);
    let (sender, queue) = mpsc::channel(FLOW_QUEUE);
    let _ = sender.try_send(payload);
    flows.insert(head.clone(), sender);
    tasks.spawn(serve(Arc::clone(visit), head, queue, permit));
}

/// Serves a flow to its end, and tells whose it was.
async fn serve<D: Doorkeeper>(
    visit: Arc<Visit<D>>,
    head: Bytes,
    mut queue: mpsc::Receiver<Bytes>,
    permit: OwnedSemaphorePermit,
) -> Bytes {
    let opened = match wire::head_target(&head) {
        Ok(target) => visit.inner.dialer.connect_udp(&target).await,
        Err(_) => Err(DialError::BadTarget),
    };
    match opened {
        Ok(socket) => {
            let flow = Flow { visit: &visit, head: &head, socket, buffer: BytesMut::new(), out: Vec::new() };
            flow.run(&mut queue).await;
        }
        Err(error) => {
            visit.inner.counters.refuse(match error {
                DialError::NotAllowed => Refusal::Target,
                DialError::BadTarget => Refusal::Malformed,
                _ => Refusal::Datagram,
            });
            debug!(%error, "no UDP flow");
            sleep(RETRY_AFTER).await;
        }
    }
    drop(permit);
    head
}

struct Flow<'a, D> {
    visit: &'a Visit<D>,
    head: &'a Bytes,
    socket: UdpSocket,
    /// Empty while the flow waits.
    buffer: BytesMut,
    out: Vec<Bytes>,
}

impl<D: Doorkeeper> Flow<'_, D> {
    async fn run(mut self, queue: &mut mpsc::Receiver<Bytes>) {
        let idle = self.visit.inner.limits.flow_idle;
        let mut batch = Vec::new();
        loop {
            let moved = timeout(idle, async {
                tokio::select! {
                    count = queue.recv_many(&mut batch, BATCH) => {
                        batch.drain(..).for_each(|payload| self.send(&payload));
                        count > 0
                    }
                    ready = self.socket.readable() => ready.is_ok_and(|()| self.receive()),
                }
            });
            if !moved.await.unwrap_or(false) {
                return;
            }
        }
    }

    fn send(&self, payload: &[u8]) {
        // An error may be an earlier datagram's, which found nobody; UDP promises nothing.
        if self.socket.try_send(payload).is_err() {
            self.visit.inner.counters.refuse(Refusal::Datagram);
        }
    }

    /// Passes on what has come; `false` when the connection is gone.
    fn receive(&mut self) -> bool {
        let connection = self.visit.seen.connection();
        for _ in 0..BATCH {
            self.buffer.reserve(self.head.len() + DATAGRAM_BYTES_MAX);
            self.buffer.put_slice(self.head);
            match self.socket.try_recv_buf(&mut self.buffer) {
                Ok(_) => self.out.push(self.buffer.split().freeze()),
                Err(error) => {
                    self.buffer.clear();
                    if error.kind() == io::ErrorKind::WouldBlock {
                        break;
                    }
                }
            }
        }
        let is_alive = self.pass_on(connection);
        self.out.clear();
        self.buffer = BytesMut::new();
        is_alive
    }

    fn pass_on(&mut self, connection: &Connection) -> bool {
        let inner = &self.visit.inner;
        let Some(longest) = connection.max_datagram_size() else { return false };
        let found = self.out.len();
        self.out.retain(|datagram| datagram.len() <= longest);
        (self.out.len()..found).for_each(|_| inner.counters.refuse(Refusal::Datagram));
        let payload: usize = self.out.iter().map(|datagram| datagram.len() - self.head.len()).sum();
        for meter in [&inner.meter, self.visit.seen.meter()] {
            meter.sent.fetch_add(payload as u64, Ordering::Relaxed);
        }
        inner.counters.datagrams_sent.fetch_add(self.out.len() as u64, Ordering::Relaxed);
        // Too long after all: the way has just become narrower.
        !matches!(connection.send_many_datagrams(&self.out), Err(noq::SendDatagramError::ConnectionLost(_)))
    }
}
