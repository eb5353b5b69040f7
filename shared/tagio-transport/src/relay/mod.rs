//! The client's side of the control connection: registers, stays registered, calls and is called.

mod noise;
mod route;
mod standing_call;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use snow::TransportState;
use tagio_wire::{
    PeerId, PublicKey,
    control::{CallFailure, CallId, ClientMessage, Hello, RelayMessage, Welcome},
    decode, encode,
    leg::LegGrant,
    limits::PROTOCOL_VERSION,
};
use tokio::{
    io::{AsyncWriteExt, BufReader, ReadHalf, split},
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    carrier::{BoxedStream, Dialer, Patience, ReachSettings},
    network_watch::NetworkChanges,
};

pub use noise::RelayError;
pub use route::RelayRoute;
use standing_call::StandingCall;

/// First pause after a lost connection; a relay that restarts is back within a second or two.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause: patient enough for a relay that is down for a day, quick enough for a person.
const PAUSE_MAX: Duration = Duration::from_secs(20);
/// The pause while the network has only just changed: the system may still look for its router, and does not say when it
/// has found it.
const PAUSE_CHANGED: Duration = Duration::from_millis(40);
/// How long that goes on.
const CHANGED_FOR: Duration = Duration::from_secs(1);
/// Pause after another program took the presence over.
const PAUSE_REPLACED: Duration = Duration::from_secs(60);
/// How many pauses stay below [`PAUSE_SOON`] before they grow.
const SOON_ATTEMPTS: u32 = 12;
/// Upper bound of the first pauses.
const PAUSE_SOON: Duration = Duration::from_secs(2);
/// How long a relay may take for a sign of life after a change of the network: several round trips round the world.
const ALIVE_WITHIN: Duration = Duration::from_millis(1500);
/// Wishes and events that wait. Both ends fetch at once; a relay cannot make this side queue more.
const QUEUE: usize = 64;

/// How to register.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// `HOST:PORT`.
    pub addr: String,
    /// The relay's key. Without it the first one seen is trusted.
    pub key: Option<PublicKey>,
    /// This device's private key (X25519).
    pub identity: [u8; 32],
    /// The relay's secret.
    pub auth: Option<String>,
    /// Whether this program can be called.
    pub presence: bool,
    /// By what it may be reached.
    pub reach: ReachSettings,
}

/// What happens on the control connection.
#[derive(Debug)]
pub enum RelayEvent {
    /// Where the relay is, told before anything is known to get through to it.
    Found(SocketAddr),
    /// Registered.
    Online {
        /// What the relay said.
        welcome: Welcome,
        /// The relay's proven key, to be pinned.
        relay_key: PublicKey,
        /// How the relay was reached; legs go there too.
        relay: RelayRoute,
    },
    /// Not registered; the next attempt follows by itself.
    Offline {
        /// Why.
        error: RelayError,
        /// When.
        retry_in: Duration,
    },
    /// Somebody calls.
    Incoming {
        /// The caller's key, as the relay says.
        caller_key: PublicKey,
        /// The caller's ID.
        caller: PeerId,
        /// This side's end of the leg.
        leg: LegGrant,
        /// Where to bind it.
        relay: RelayRoute,
    },
    /// A call reached its target.
    Ringing {
        /// As in [`Relay::call`].
        call: CallId,
        /// The target's key, as the relay says.
        target_key: PublicKey,
        /// This side's end of the leg.
        leg: LegGrant,
        /// Where to bind it.
        relay: RelayRoute,
    },
    /// A call came to nothing.
    CallFailed {
        /// As in [`Relay::call`].
        call: CallId,
        /// Why.
        reason: CallFailure,
    },
    /// Answer to [`Relay::look_up`].
    Status {
        /// Whether the peer can be called now.
        online: bool,
    },
}

/// A control connection that is made again whenever it breaks. Ends with its owner.
#[derive(Debug)]
pub struct Relay {
    wishes: mpsc::Sender<ClientMessage>,
    standing: StandingCall,
    events: mpsc::Receiver<RelayEvent>,
    _task: JoinSet<()>,
}

impl Relay {
    /// Starts registering. After each of `changes` the connection is tried, and made anew where it is dead.
    pub fn spawn(config: RelayConfig, changes: NetworkChanges) -> Self {
        let (wishes, wishes_rx) = mpsc::channel(QUEUE);
        let (events_tx, events) = mpsc::channel(QUEUE);
        let mut task = JoinSet::new();
        let standing = StandingCall::default();
        let dialer = Dialer::new(&config.addr, config.reach.clone());
        task.spawn(tell_where(dialer.found(), events_tx.clone()));
        task.spawn(stay_registered(dialer, config, wishes_rx, standing.clone(), events_tx, changes));
        Self { wishes, standing, events, _task: task }
    }

    /// The next event; `None` once registering was given up.
    pub async fn event(&mut self) -> Option<RelayEvent> {
        self.events.recv().await
    }

    /// The next event, if there is one already.
    pub fn try_event(&mut self) -> Option<RelayEvent> {
        self.events.try_recv().ok()
    }

    /// Calls `target`: now, or with the first words to the relay when there is a connection, unless there is a newer
    /// call by then. Answered by `Ringing` or `CallFailed`; forgotten when the connection breaks.
    pub fn call(&self, call: CallId, target: PeerId) {
        self.standing.set(call, target);
    }

    /// Gives a call's leg back, or the call up.
    pub fn end_call(&self, call: CallId) {
        if !self.standing.forget(call) {
            self.wish(ClientMessage::EndCall { call });
        }
    }

    /// Asks whether `target` can be called. Answered by `Status`.
    pub fn look_up(&self, target: PeerId) {
        self.wish(ClientMessage::Lookup { request: 0, target });
    }

    fn wish(&self, message: ClientMessage) {
        if self.wishes.try_send(message).is_err() {
            tracing::warn!("the relay takes no messages now");
        }
    }
}

/// Tells where the relay is, as often as that is looked up.
async fn tell_where(mut found: watch::Receiver<Option<SocketAddr>>, events: mpsc::Sender<RelayEvent>) {
    while found.changed().await.is_ok() {
        let addr = *found.borrow_and_update();
        if let Some(addr) = addr
            && events.send(RelayEvent::Found(addr)).await.is_err()
        {
            return;
        }
    }
}

async fn stay_registered(
    dialer: Arc<Dialer>,
    mut config: RelayConfig,
    mut wishes: mpsc::Receiver<ClientMessage>,
    standing: StandingCall,
    events: mpsc::Sender<RelayEvent>,
    mut changes: NetworkChanges,
) {
    let mut failures = 0;
    let mut changed: Option<Instant> = None;
    loop {
        let mut client = Client {
            wishes: &mut wishes,
            standing: &standing,
            events: &events,
            changes: &mut changes,
            changed: &mut changed,
        };
        let outcome = register(&dialer, &mut config, &mut client, &mut failures).await;
        let (error, pause) = match outcome {
            Ok(None) => return,
            Ok(Some(after)) => (RelayError::Refused(tagio_wire::control::Refusal::Draining), after),
            Err(error) => {
                let pause = pause_after(failures, rand::random());
                (error, pause)
            }
        };
        failures += 1;
        // The other program may be gone by then; before that the two would chase each other away.
        let was_replaced = matches!(error, RelayError::Replaced);
        let pause = match changed {
            _ if was_replaced => PAUSE_REPLACED,
            Some(changed) if changed.elapsed() < CHANGED_FOR => PAUSE_CHANGED,
            _ => pause,
        };
        tracing::warn!(%error, ?pause, "not registered");
        if events.send(RelayEvent::Offline { error, retry_in: pause }).await.is_err() {
            return;
        }
        tokio::select! {
            () = sleep(pause) => {}
            // What was in the way may be gone.
            () = changes.next(), if !was_replaced => {
                (failures, changed) = (0, Some(Instant::now()));
                dialer.forget_udp();
            }
        }
        // Wishes of before mean nothing on a new connection.
        while wishes.try_recv().is_ok() {}
    }
}

/// Full jitter over a growing span, so that the clients of a relay that restarts do not come in step.
fn pause_after(failures: u32, random: u32) -> Duration {
    let span = PAUSE_MIN * 2u32.saturating_pow(failures.min(16));
    let cap = if failures < SOON_ATTEMPTS { PAUSE_SOON } else { PAUSE_MAX };
    let span = span.min(cap) - PAUSE_MIN / 2;
    PAUSE_MIN / 2 + span.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// What the tasks of a client have in common.
struct Client<'a> {
    wishes: &'a mut mpsc::Receiver<ClientMessage>,
    standing: &'a StandingCall,
    events: &'a mpsc::Sender<RelayEvent>,
    changes: &'a mut NetworkChanges,
    /// When the network was another one last.
    changed: &'a mut Option<Instant>,
}

/// One connection, from the first packet to its end. `Ok(None)`: the owner is gone; `Ok(Some(pause))`: the
/// relay asked to come back then.
async fn register(
    dialer: &Arc<Dialer>,
    config: &mut RelayConfig,
    client: &mut Client<'_>,
    failures: &mut u32,
) -> Result<Option<Duration>, RelayError> {
    let hello = Hello { version: PROTOCOL_VERSION, auth: config.auth.clone(), presence: config.presence };
    let greet = |stream| noise::greet(stream, &config.identity, config.key, &hello);
    let won = loop {
        tokio::select! {
            won = dialer.race(Patience::Short, greet) => break won,
            // What was begun by another way leads nowhere now, and what was in the way may be gone.
            () = client.changes.next() => {
                (*failures, *client.changed) = (0, Some(Instant::now()));
                dialer.forget_udp();
            }
        }
    };
    let won = won.map_err(|errors| RelayError::from_carriers(&config.addr, errors))?;
    let rtt = won.value.rtt();
    let opened = won.value.finish(&config.addr, &hello, client.standing).await?;
    // Trust on first use: from now on it has to be this one.
    config.key = Some(opened.relay_key);
    *failures = 0;
    tracing::info!(carrier = %won.carrier, "registered");
    let relay = RelayRoute { dialer: Arc::clone(dialer), addr: won.addr, carrier: won.carrier, rtt };
    let keepalive = Duration::from_secs(u64::from(opened.welcome.keepalive_secs.max(1)));
    let online =
        RelayEvent::Online { welcome: opened.welcome, relay_key: opened.relay_key, relay: relay.clone() };
    if client.events.send(online).await.is_err() {
        return Ok(None);
    }
    serve(opened.stream, opened.noise, keepalive, relay, client).await
}

async fn serve(
    stream: BoxedStream,
    mut noise: TransportState,
    keepalive: Duration,
    relay: RelayRoute,
    client: &mut Client<'_>,
) -> Result<Option<Duration>, RelayError> {
    let Client { wishes, standing, events, changes, changed } = client;
    let local = relay.addr().and_then(source_towards);
    let (read, mut write) = split(stream);
    let (frames_tx, mut frames) = mpsc::channel(QUEUE);
    let mut reader = JoinSet::new();
    reader.spawn(read_frames(read, frames_tx));
    let mut buf = vec![0; usize::from(u16::MAX)];
    // The first one at once: only an answer to the relay's own message shows it that this is no replay.
    let mut next_ping = Instant::now();
    let mut heard = Instant::now();
    // After a change of the network: when it counts as dead unless something is heard.
    let mut alive_by = None;
    let mut nonce = 0;
    loop {
        let message = tokio::select! {
            frame = frames.recv() => {
                let frame = frame.unwrap_or_else(|| Err(io::ErrorKind::ConnectionReset.into()))?;
                (heard, alive_by) = (Instant::now(), None);
                let len = noise.read_message(&frame, &mut buf).map_err(|_| RelayError::Protocol)?;
                let message = decode(&buf[..len]).map_err(|_| RelayError::Protocol)?;
                match event_of(message, &relay)? {
                    Heard::Event(event) => {
                        if events.send(event).await.is_err() {
                            return Ok(None);
                        }
                    }
                    Heard::Draining(pause) => return Ok(Some(pause)),
                    Heard::Nothing => {}
                }
                continue;
            }
            call = standing.next() => call,
            wish = wishes.recv() => match wish {
                Some(message) => message,
                None => return Ok(None),
            },
            () = changes.next() => {
                **changed = Some(Instant::now());
                relay.dialer.forget_udp();
                if local.is_some_and(|local| !is_own(local)) {
                    return Err(broken("this machine has another address now"));
                }
                (next_ping, alive_by) = (Instant::now(), Some(Instant::now() + ALIVE_WITHIN));
                continue;
            }
            () = sleep_until(alive_by.unwrap_or(heard)), if alive_by.is_some() => {
                return Err(broken("it is out of reach from this network"));
            }
            () = sleep_until(next_ping) => {
                if heard.elapsed() > keepalive * 3 {
                    return Err(broken("it went silent"));
                }
                next_ping = Instant::now() + keepalive;
                nonce += 1;
                ClientMessage::Ping { nonce }
            }
        };
        let len = noise.write_message(&encode(&message), &mut buf).map_err(|_| RelayError::Protocol)?;
        let mut frame = Vec::with_capacity(2 + len);
        noise::push_frame(&mut frame, &buf[..len]);
        write.write_all(&frame).await?;
        write.flush().await?;
    }
}

fn broken(why: &'static str) -> RelayError {
    RelayError::Broken(io::Error::new(io::ErrorKind::TimedOut, why))
}

/// The address that this machine sends from to `addr`; nothing is sent for that.
fn source_towards(addr: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr =
        if addr.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(addr).ok()?;
    socket.local_addr().ok().map(|local| local.ip())
}

/// Whether this machine has the address (still).
fn is_own(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

enum Heard {
    Event(RelayEvent),
    Draining(Duration),
    Nothing,
}

fn event_of(message: RelayMessage, relay: &RelayRoute) -> Result<Heard, RelayError> {
    let relay = relay.clone();
    Ok(Heard::Event(match message {
        RelayMessage::Ringing { call, target_key, leg } => {
            RelayEvent::Ringing { call, target_key, leg, relay }
        }
        RelayMessage::CallFailed { call, reason } => RelayEvent::CallFailed { call, reason },
        RelayMessage::Incoming { caller_key, caller, leg } => {
            RelayEvent::Incoming { caller_key, caller, leg, relay }
        }
        RelayMessage::Status { online, .. } => RelayEvent::Status { online },
        RelayMessage::Pong { .. } => return Ok(Heard::Nothing),
        RelayMessage::Draining { reconnect_in_ms } => {
            return Ok(Heard::Draining(Duration::from_millis(u64::from(reconnect_in_ms))));
        }
        RelayMessage::Replaced => return Err(RelayError::Replaced),
    }))
}

/// Frames are read by a task of their own, because a half-read frame must not be dropped by `select!`.
async fn read_frames(read: ReadHalf<BoxedStream>, frames: mpsc::Sender<io::Result<Vec<u8>>>) {
    let mut read = BufReader::new(read);
    loop {
        let frame = noise::read_frame(&mut read).await;
        let last = frame.is_err();
        if frames.send(frame).await.is_err() || last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_within_their_bounds() {
        for failures in 0..60 {
            for random in [0, u32::MAX / 2, u32::MAX] {
                let pause = pause_after(failures, random);
                assert!(pause >= PAUSE_MIN / 2 && pause <= PAUSE_MAX);
                assert!(failures >= SOON_ATTEMPTS || pause <= PAUSE_SOON);
            }
        }
        assert!(pause_after(30, u32::MAX) > pause_after(0, u32::MAX) * 10);
    }
}
