//! Races the ways to one relay, and remembers which of them worked.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use super::{
    BoxedStream, Carrier, CarrierError, ReachSettings,
    address::HostPort,
    plan::{Patience, Plan, Shape},
    proxy::Proxies,
    road::{Road, Via},
};

/// How long one way may take, the relay's own answer included.
const ROAD_DEADLINE: Duration = Duration::from_secs(6);
/// How long all of them may take.
const RACE_DEADLINE: Duration = Duration::from_secs(7);
/// How long what worked is tried first: a network that has changed may have a better way.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);
/// How long UDP is thought to be blocked after it was silent.
const UDP_BLOCKED_FOR: Duration = Duration::from_secs(120);

/// Knows a relay, and how it was reached.
#[derive(Debug)]
pub(crate) struct Dialer {
    relay: HostPort,
    settings: ReachSettings,
    memory: Mutex<Memory>,
    found: watch::Sender<Option<SocketAddr>>,
}

#[derive(Debug, Default)]
struct Memory {
    worked: Option<(Shape, Instant)>,
    udp_blocked: Option<Instant>,
}

/// What came of a race.
pub(crate) struct Won<T> {
    /// What the relay's own protocol gave.
    pub(crate) value: T,
    /// What won.
    pub(crate) carrier: Carrier,
    /// Where the relay is, at its own port; not known where only a proxy knows its name.
    pub(crate) addr: Option<SocketAddr>,
}

const LOCK: &str = "no thread panics while it holds the memory";

impl Dialer {
    /// For the relay at `HOST:PORT`; of anything else no address will be found.
    pub(crate) fn new(relay: &str, settings: ReachSettings) -> Arc<Self> {
        let named = || HostPort { host: relay.to_owned(), port: 0 };
        let relay = HostPort::parse(relay, None).unwrap_or_else(named);
        Arc::new(Self { relay, settings, memory: Mutex::default(), found: watch::Sender::default() })
    }

    /// `HOST:PORT`.
    pub(crate) fn name(&self) -> String {
        self.relay.to_string()
    }

    /// The first of the relay's addresses, once a race has looked them up.
    pub(crate) fn found(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.found.subscribe()
    }

    /// Whether legs may travel by UDP.
    pub(crate) fn allows_udp(&self) -> bool {
        self.settings.carriers.allows_udp()
    }

    /// Whether UDP was silent lately.
    pub(crate) fn is_udp_blocked(&self) -> bool {
        let memory = self.memory.lock().expect(LOCK);
        memory.udp_blocked.is_some_and(|since| since.elapsed() < UDP_BLOCKED_FOR)
    }

    /// UDP was silent just now, although it had its head start.
    pub(crate) fn note_udp_silent(&self) {
        self.memory.lock().expect(LOCK).udp_blocked = Some(Instant::now());
    }

    /// UDP answered, or this machine is in another network: that it was silent means nothing any more.
    pub(crate) fn forget_udp(&self) {
        self.memory.lock().expect(LOCK).udp_blocked = None;
    }

    /// Opens carriers until `greet` has had the relay's own answer over one of them; the others are closed.
    ///
    /// # Errors
    /// All that went wrong, in order; at least one.
    pub(crate) async fn race<T, F, R>(
        &self,
        patience: Patience,
        greet: F,
    ) -> Result<Won<T>, Vec<CarrierError>>
    where
        F: Fn(BoxedStream) -> R,
        R: Future<Output = Result<T, CarrierError>>,
    {
        let mut errors = Vec::new();
        let raced = timeout(RACE_DEADLINE, self.run(patience, &greet, &mut errors)).await;
        let Ok(Some((road, value, addr))) = raced else {
            if raced.is_err() || errors.is_empty() {
                errors.push(CarrierError::TimedOut);
            }
            return Err(errors);
        };
        tracing::debug!(?road, failed = ?errors, "a carrier is open");
        self.remember(Shape::of(&road));
        Ok(Won { value, carrier: road.carrier(), addr })
    }

    /// Keeps the time of the first of several that worked alike, so that the others have their chance again some day.
    fn remember(&self, shape: Shape) {
        let mut memory = self.memory.lock().expect(LOCK);
        let is_known = |(known, at): (Shape, Instant)| known == shape && at.elapsed() < REMEMBERED_FOR;
        if !memory.worked.is_some_and(is_known) {
            memory.worked = Some((shape, Instant::now()));
        }
    }

    /// What to begin with. A leg begins with what the control connection found, however long ago that was.
    fn worked(&self, patience: Patience) -> Option<Shape> {
        let (shape, at) = self.memory.lock().expect(LOCK).worked?;
        match patience {
            Patience::Short => (at.elapsed() < REMEMBERED_FOR).then_some(shape),
            Patience::Long => Some(shape),
        }
    }

    async fn run<T, F, R>(
        &self,
        patience: Patience,
        greet: &F,
        errors: &mut Vec<CarrierError>,
    ) -> Option<(Road, T, Option<SocketAddr>)>
    where
        F: Fn(BoxedStream) -> R,
        R: Future<Output = Result<T, CarrierError>>,
    {
        let start = Instant::now();
        let worked = self.worked(patience);
        let mut plan = Plan::new(self.relay.clone(), self.settings.carriers, worked, patience);
        plan.add_proxies(&Proxies::before(&self.relay, &self.settings.proxy));
        let lookup = self.relay.resolve();
        tokio::pin!(lookup);
        let mut addrs: Option<Vec<SocketAddr>> = None;
        // Bounded by the plan: some carriers for each of a few addresses.
        let mut running = FuturesUnordered::new();
        loop {
            if running.is_empty() && addrs.is_some() {
                plan.hurry(start.elapsed());
            }
            while let Some(road) = plan.pop_due(start.elapsed()) {
                running.push(travel(road, greet));
            }
            let next = plan.next_due().map(|due| start + due);
            if next.is_none() && running.is_empty() && addrs.is_some() {
                return None;
            }
            tokio::select! {
                found = &mut lookup, if addrs.is_none() => {
                    let found = found.unwrap_or_else(|error| {
                        errors.push(error);
                        Vec::new()
                    });
                    plan.add_addresses(&found, start.elapsed());
                    self.found.send_replace(found.first().map(|addr| SocketAddr::new(addr.ip(), self.relay.port)));
                    addrs = Some(found);
                }
                Some((road, outcome)) = running.next() => match outcome {
                    Ok(value) => {
                        let addr = match road.via {
                            Via::Direct(addr) => Some(addr),
                            Via::Tunnel(_) | Via::Forward(_) => addrs.and_then(|addrs| addrs.first().copied()),
                        };
                        let addr = addr.map(|addr| SocketAddr::new(addr.ip(), self.relay.port));
                        return Some((road, value, addr));
                    }
                    Err(error) => {
                        tracing::debug!(?road, %error, "no carrier");
                        plan.failed(&road, &error, start.elapsed());
                        errors.push(error);
                    }
                },
                () = sleep_until(next.unwrap_or(start)), if next.is_some() => {}
            }
        }
    }
}

/// Opens one way and hears the relay's answer over it.
async fn travel<T, F, R>(road: Road, greet: &F) -> (Road, Result<T, CarrierError>)
where
    F: Fn(BoxedStream) -> R,
    R: Future<Output = Result<T, CarrierError>>,
{
    let open = async { greet(road.open().await?).await };
    let outcome = timeout(ROAD_DEADLINE, open).await.unwrap_or(Err(CarrierError::TimedOut));
    (road, outcome)
}
