//! Keeps knowing how the NAT in front of this machine maps: asked at the start, again when the machine's addresses
//! change or a relay sees it elsewhere, and once in a while, because a router may have been replaced. Silence is doubted
//! sooner.

mod belief;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tagio_wire::nat::Mapping;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    network_watch::NetworkChanges,
    socket::Switch,
    stun::{self, NatReport},
};
use belief::Belief;

/// How long a round of punches waits for the answer in a new network: two round trips, and a packet lost.
const RENEWED_WITHIN: Duration = Duration::from_millis(500);

/// Before anything has answered.
const UNKNOWN: NatReport = NatReport { mapping: Mapping::Unknown, public: None, local_is_public: false };

/// The newest answer.
#[derive(Clone, Copy, Debug)]
struct Known {
    report: NatReport,
    /// It is about another network or another router, and the question is under way.
    is_stale: bool,
    /// Since when nothing has answered in this network.
    silent_since: Option<Instant>,
}

impl Known {
    /// Of before a change.
    fn outdate(&mut self) {
        (self.is_stale, self.silent_since) = (true, None);
    }
}

/// Owns the task that asks.
#[derive(Debug)]
pub(crate) struct NatWatch {
    switch: Arc<Switch>,
    server: watch::Sender<Option<SocketAddr>>,
    known: watch::Sender<Known>,
    _task: JoinSet<()>,
}

impl NatWatch {
    /// Asks nobody before it is told whom, and anew after each change. Needs a tokio runtime.
    pub(crate) fn spawn(switch: Arc<Switch>, changes: NetworkChanges) -> Self {
        let (server, asked) = watch::channel(None);
        let known = watch::Sender::new(Known { report: UNKNOWN, is_stale: false, silent_since: None });
        let mut task = JoinSet::new();
        task.spawn(run(Arc::clone(&switch), asked, known.clone(), changes));
        Self { switch, server, known, _task: task }
    }

    /// Asks this relay from now on.
    pub(crate) fn ask(&self, relay: SocketAddr) {
        self.server.send_if_modified(|server| server.replace(relay) != Some(relay));
    }

    /// A relay sees this machine's UDP come from here. Asks again if that is not where it should come from: a router
    /// that has restarted maps anew, and UDP that comes is not blocked.
    pub(crate) fn seen_at(&self, observed: SocketAddr) {
        let Known { report: NatReport { mapping, public, .. }, is_stale, .. } = *self.known.borrow();
        let is_elsewhere =
            public.is_some_and(|public| public != observed && public.is_ipv4() == observed.is_ipv4());
        let is_doubtful = match mapping {
            Mapping::EndpointIndependent => is_elsewhere,
            Mapping::Blocked => true,
            Mapping::Unknown | Mapping::Sequential { .. } | Mapping::Random => false,
        };
        if is_doubtful && !is_stale {
            tracing::info!(%observed, ?public, "the NAT maps otherwise than thought");
            self.known.send_modify(Known::outdate);
            self.server.send_modify(|_| ());
        }
    }

    /// The newest that is known.
    pub(crate) fn report(&self) -> NatReport {
        self.known.borrow().report
    }

    /// The same, but while a change makes it doubtful the answer to the new question, if it comes soon.
    pub(crate) async fn renewed(&self) -> NatReport {
        let mut known = self.known.subscribe();
        let renewed = timeout(RENEWED_WITHIN, known.wait_for(|known| !known.is_stale));
        drop(renewed.await);
        self.report()
    }

    /// For how long nothing has answered by UDP, in this network.
    pub(crate) fn silence(&self) -> Duration {
        self.known.borrow().silent_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The mapping that a packet to somebody new would be given just now, nearly.
    pub(crate) async fn newest_mapping(&self) -> Option<SocketAddr> {
        let server = (*self.server.borrow())?;
        stun::newest(&self.switch, server).await
    }
}

async fn run(
    switch: Arc<Switch>,
    mut server: watch::Receiver<Option<SocketAddr>>,
    known: watch::Sender<Known>,
    mut changes: NetworkChanges,
) {
    let mut relay = None;
    loop {
        tokio::select! {
            changed = server.changed() => {
                if changed.is_err() {
                    return;
                }
                relay = *server.borrow_and_update();
            }
            () = changes.next() => if relay.is_some() {
                known.send_modify(Known::outdate);
            },
            // Begins anew after either.
            () = keep_asking(&switch, relay, &known) => {}
        }
    }
}

/// Asks at once, and again whenever the answer has become old.
async fn keep_asking(switch: &Switch, relay: Option<SocketAddr>, known: &watch::Sender<Known>) {
    let Some(relay) = relay else { return std::future::pending().await };
    let mut belief = Belief::default();
    loop {
        known.send_modify(|known| _ = known.silent_since.get_or_insert_with(Instant::now));
        let answered = || known.send_modify(|known| known.silent_since = None);
        let report = stun::probe(switch, relay, answered).await;
        tracing::info!(?report, "NAT");
        known.send_modify(|known| (known.report, known.is_stale) = (report, false));
        sleep(belief.lasts(report.mapping)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, UdpSocket},
        sync::atomic::{AtomicU16, Ordering::Relaxed},
        thread,
    };

    use stun_rs::{
        MessageClass, MessageDecoder, MessageEncoder, StunMessageBuilder, attributes::stun::XorMappedAddress,
        methods::BINDING,
    };

    use super::*;
    use crate::endpoint::Endpoint;

    /// Where the NAT that is not there maps this machine.
    fn public(port: u16) -> SocketAddr {
        SocketAddr::from(([198, 51, 100, 1], port))
    }

    /// A STUN server that sees everybody come from this port. Ends with the test program.
    fn server(port: Arc<AtomicU16>) -> SocketAddr {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port of loopback");
        let at = socket.local_addr().expect("it is bound");
        thread::spawn(move || {
            let mut buffer = [0; 1500];
            while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                let (question, _) = MessageDecoder::default().decode(&buffer[..len]).expect("a question");
                let answer = StunMessageBuilder::new(BINDING, MessageClass::SuccessResponse)
                    .with_transaction_id(*question.transaction_id())
                    .with_attribute(XorMappedAddress::from(public(port.load(Relaxed))))
                    .build();
                let len = MessageEncoder::default().encode(&mut buffer, &answer).expect("room for it");
                socket.send_to(&buffer[..len], from).expect("loopback");
            }
        });
        at
    }

    #[tokio::test]
    async fn a_router_that_maps_anew_is_asked_at_once() {
        let port = Arc::new(AtomicU16::new(4000));
        let endpoint = Endpoint::bind(Some((Ipv4Addr::LOCALHOST, 0).into())).expect("a port of loopback");
        let watch = endpoint.nat_watch();
        watch.ask(server(Arc::clone(&port)));
        let mut known = watch.known.subscribe();
        known.wait_for(|known| known.report.public == Some(public(4000))).await.expect("an answer");
        watch.known.send_modify(|known| known.report.mapping = Mapping::EndpointIndependent);

        assert_eq!(watch.silence(), Duration::ZERO);

        port.store(4001, Relaxed);
        watch.seen_at(public(4000));
        assert!(!watch.known.borrow().is_stale, "that is where it should be");
        watch.seen_at(public(4001));
        assert!(watch.known.borrow().is_stale);
        known.wait_for(|known| known.report.public == Some(public(4001))).await.expect("an answer");
        assert!(!watch.known.borrow().is_stale);
    }

    #[tokio::test]
    async fn silence_lasts_from_the_first_question_until_an_answer() {
        let endpoint = Endpoint::bind(Some((Ipv4Addr::LOCALHOST, 0).into())).expect("a port of loopback");
        let watch = endpoint.nat_watch();
        assert_eq!(watch.silence(), Duration::ZERO, "nobody was asked");
        let deaf = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port of loopback");
        let begun = Instant::now();
        watch.ask(deaf.local_addr().expect("it is bound"));
        let mut known = watch.known.subscribe();
        known.wait_for(|known| known.report.mapping == Mapping::Blocked).await.expect("a verdict");
        assert!(!watch.silence().is_zero() && watch.silence() <= begun.elapsed());
        watch.ask(server(Arc::new(AtomicU16::new(4000))));
        known.wait_for(|known| known.silent_since.is_none()).await.expect("an answer");
        assert_eq!(watch.silence(), Duration::ZERO);
    }
}
