//! The relay as one state machine: clients, calls and legs together.
//!
//! Verbs take `now`; what they cause is fetched by [`RelayState::poll_output`] until it is empty. The data
//! path answers directly instead, so that the server can send the very buffer that it received.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{CryptoRng, RngExt};
use tagio_wire::{
    PeerId, PublicKey,
    control::{CallFailure, CallId, ClientMessage, RelayMessage},
    leg::{Channel, Cookie, DATA_HEADER_LEN, Datagram, LegGrant, PACKET_BYTES_MAX, is_leg_datagram, tag},
};

use crate::{
    admission::SourceNet,
    cookie::CookieJar,
    denial::{Denial, Denials},
    legs::{CallRef, EndOwner, Ended, Legs, Parties, Route, TcpLegId, UdpPeer},
    limits::Limits,
    presence::{Client, ConnId, Presence},
    rate::{Rate, RateTable},
};

/// When clients of a draining relay come back, in milliseconds: spread, so that they do not come at once.
const RECONNECT_IN_MS: std::ops::RangeInclusive<u32> = 200..=3000;

/// What the server has to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this to a client.
    Send {
        /// Its connection.
        to: ConnId,
        /// What.
        message: RelayMessage,
    },
    /// Close a client's connection once what was sent before is written.
    Close {
        /// Its connection.
        conn: ConnId,
    },
    /// Send a packet that waited for an end of its leg to be bound: behind the answer to that, if there is one.
    Packet {
        /// To the end just bound.
        to: Route,
        /// Its leg.
        channel: Channel,
        /// What to send.
        packet: Box<[u8]>,
    },
    /// Close a TCP connection whose leg is gone or was bound anew.
    CloseLeg {
        /// Its name.
        leg: TcpLegId,
    },
}

/// What the server does with a datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send it on: to UDP the very same bytes, to TCP the packet in them.
    Forward(Route),
    /// Answer its sender.
    Reply(Datagram<'static>),
    /// Nothing: it is counted, or waits for an end to be bound.
    Drop,
}

/// What went through the legs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes in them, without headers.
    pub bytes: u64,
    /// Packets that waited for an end to be bound, whether it came or not.
    pub held: u64,
}

/// All that a relay knows while it runs.
pub struct RelayState<R> {
    limits: Limits,
    rng: R,
    denials: Arc<Denials>,
    presence: Presence,
    legs: Legs,
    cookies: CookieJar,
    calls_by_client: RateTable<PeerId>,
    calls_by_net: RateTable<SourceNet>,
    traffic: Traffic,
    draining: bool,
    /// Names for connections of both kinds, never used twice.
    next_name: u64,
    outputs: VecDeque<Output>,
}

impl<R: CryptoRng> RelayState<R> {
    /// A relay that knows nobody.
    pub fn new(limits: Limits, denials: Arc<Denials>, mut rng: R, now: Instant) -> Self {
        let rotation = Duration::from_secs(limits.cookie_rotation_secs.into());
        let entries = limits.rate_entries_max;
        Self {
            cookies: CookieJar::new(rotation, now, &mut rng),
            limits,
            rng,
            denials,
            presence: Presence::default(),
            legs: Legs::default(),
            calls_by_client: RateTable::new(entries),
            calls_by_net: RateTable::new(entries),
            traffic: Traffic::default(),
            draining: false,
            next_name: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Takes over other limits for what comes from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Who is connected.
    pub fn presence(&self) -> &Presence {
        &self.presence
    }

    /// The live legs.
    pub fn legs(&self) -> &Legs {
        &self.legs
    }

    /// What went through so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// The next thing to do, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// A client was let in; `proven` says that its handshake cannot be a replay.
    pub fn connect(&mut self, client: Client, proven: bool, now: Instant) -> ConnId {
        let conn = ConnId(self.name());
        let timeout = self.limits.presence_timeout();
        let replaced = self.presence.insert(conn, client, proven, timeout, now);
        self.replaced(replaced);
        conn
    }

    /// A client's connection is gone. Legs of its calls stay: the session may outlive the connection.
    pub fn disconnect(&mut self, conn: ConnId) {
        self.presence.remove(conn);
    }

    /// A client said something.
    pub fn handle_message(&mut self, conn: ConnId, message: ClientMessage, now: Instant) {
        let rate = Rate::new(self.limits.message_burst, self.limits.message_interval_ms);
        let Some(heard) = self.presence.heard(conn, rate, now) else { return };
        self.replaced(heard.replaced);
        if !heard.allowed {
            self.denials.count(Denial::MessageRate);
            self.outputs.push_back(Output::Close { conn });
            return;
        }
        match message {
            ClientMessage::Call { call, target } => {
                if let Err(reason) = self.call(conn, call, target, now) {
                    self.send(conn, RelayMessage::CallFailed { call, reason });
                }
            }
            ClientMessage::EndCall { call } => {
                if let Some(channel) = self.presence.take_call(conn, call) {
                    self.end_leg(channel);
                }
            }
            ClientMessage::Lookup { request, target } => {
                let online = self.presence.callable(target).next().is_some();
                self.send(conn, RelayMessage::Status { request, online });
            }
            ClientMessage::Ping { nonce } => self.send(conn, RelayMessage::Pong { nonce }),
        }
    }

    /// A datagram came.
    pub fn handle_datagram(&mut self, from: UdpPeer, bytes: &[u8], now: Instant) -> Verdict {
        let verdict = match Datagram::parse(bytes) {
            Some(Datagram::Data { channel, packet }) => Ok(self
                .forward(Route::Udp(from), channel, packet, now)
                .map_or(Verdict::Drop, Verdict::Forward)),
            Some(Datagram::Bind { grant, cookie }) => Ok(self.bind_udp(from, &grant, &cookie, now)),
            Some(
                Datagram::Challenge { .. }
                | Datagram::Bound { .. }
                | Datagram::Punch { .. }
                | Datagram::Punched { .. }
                | Datagram::Unknown { .. },
            ) => Err(Denial::UnexpectedUdp),
            None => Err(unreadable(bytes)),
        };
        verdict.unwrap_or_else(|denial| {
            self.denials.count(denial);
            Verdict::Drop
        })
    }

    /// A TCP connection shows a token: its name as an end of the leg.
    pub fn bind_tcp(&mut self, grant: &LegGrant, now: Instant) -> Result<TcpLegId, Denial> {
        let id = TcpLegId(self.name());
        self.bind(grant, Route::Tcp(id), now)?;
        Ok(id)
    }

    /// A packet came on a TCP leg: where it goes.
    pub fn forward_tcp(
        &mut self,
        id: TcpLegId,
        channel: Channel,
        packet: &[u8],
        now: Instant,
    ) -> Option<Route> {
        self.forward(Route::Tcp(id), channel, packet, now)
    }

    /// The connection of a TCP leg is gone.
    pub fn tcp_closed(&mut self, id: TcpLegId, channel: Channel) {
        self.legs.unbind_tcp(channel, id);
    }

    /// Lets time pass: silent clients and dead legs go, secrets change. Called about once a second.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(conn) = self.presence.pop_silent(self.limits.presence_timeout(), now) {
            self.denials.count(Denial::Silent);
            // At once, not when its task has noticed: nobody shall call a client that is not there.
            self.presence.remove(conn);
            self.outputs.push_back(Output::Close { conn });
        }
        while let Some(ended) = self.legs.pop_expired(&self.limits, now) {
            self.leg_ended(ended);
        }
        self.calls_by_client.forget_full(now);
        self.calls_by_net.forget_full(now);
        self.cookies.handle_timeout(now, &mut self.rng);
    }

    /// The relay stops soon: everybody is told, and no new call is made.
    pub fn drain(&mut self) {
        self.draining = true;
        let conns: Vec<_> = self.presence.conns().collect();
        for conn in conns {
            let reconnect_in_ms = self.rng.random_range(RECONNECT_IN_MS);
            self.send(conn, RelayMessage::Draining { reconnect_in_ms });
        }
    }

    /// Whether [`Self::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    fn call(&mut self, conn: ConnId, call: CallId, target: PeerId, now: Instant) -> Result<(), CallFailure> {
        let Some(&caller) = self.presence.client(conn) else { return Ok(()) };
        if target == caller.id {
            return Err(CallFailure::Yourself);
        }
        if self.draining {
            self.denials.count(Denial::Draining);
            return Err(CallFailure::Full);
        }
        // As much as a lookup tells, so it costs as much: the message. Who waits for a host may keep asking.
        let Some(target_key) = self.target_key(target) else { return Err(CallFailure::Offline) };
        self.spend_call(&caller, now)?;
        let made_by = CallRef { conn, call };
        let parties = Parties { caller: caller.id, net: caller.net, target };
        let [leg, called_leg] =
            self.legs.create(made_by, parties, &self.limits, now, &mut self.rng).map_err(|denial| {
                self.denials.count(denial);
                CallFailure::Full
            })?;
        if let Some(old) = self.presence.add_call(conn, call, leg.channel) {
            self.legs.remove(old).into_iter().for_each(|ended| self.close_tcp(&ended));
        }
        for called in self.presence.callable(target) {
            let incoming =
                RelayMessage::Incoming { caller_key: caller.key, caller: caller.id, leg: called_leg };
            self.send(called, incoming);
        }
        self.send(conn, RelayMessage::Ringing { call, target_key, leg });
        Ok(())
    }

    fn target_key(&self, target: PeerId) -> Option<PublicKey> {
        let conn = self.presence.callable(target).next()?;
        self.presence.client(conn).map(|client| client.key)
    }

    /// Tells a connection that a newer one of the same key has its presence now.
    fn replaced(&mut self, conn: Option<ConnId>) {
        if let Some(conn) = conn {
            self.send(conn, RelayMessage::Replaced);
            self.outputs.push_back(Output::Close { conn });
        }
    }

    fn spend_call(&mut self, caller: &Client, now: Instant) -> Result<(), CallFailure> {
        let limits = &self.limits;
        let by_net = Rate::new(limits.call_per_ip_burst, limits.call_per_ip_interval_ms);
        let by_client = Rate::new(limits.call_burst, limits.call_interval_ms);
        let spent = match self.calls_by_client.spend(caller.id, by_client, now) {
            Ok(()) => {
                self.calls_by_net.spend(caller.net, by_net, now).map_err(|w| (Denial::CallRatePerIp, w))
            }
            Err(wait) => Err((Denial::CallRate, wait)),
        };
        spent.map_err(|(denial, wait)| {
            self.denials.count(denial);
            let secs = wait.as_millis().div_ceil(1000);
            CallFailure::RateLimited(u16::try_from(secs).unwrap_or(u16::MAX))
        })
    }

    fn bind_udp(&mut self, from: UdpPeer, grant: &LegGrant, cookie: &Cookie, now: Instant) -> Verdict {
        let channel = grant.channel;
        if !self.cookies.is_good(cookie, from.addr, channel) {
            if *cookie != Cookie::default() {
                self.denials.count(Denial::BadCookie);
            }
            if self.is_at_home(from, grant) {
                let held = self.legs.bind_early(grant, from);
                self.release(held, Route::Udp(from), channel);
            }
            let cookie = self.cookies.cookie(from.addr, channel);
            return Verdict::Reply(Datagram::Challenge { channel, cookie });
        }
        match self.bind(grant, Route::Udp(from), now) {
            Ok(true) => Verdict::Reply(Datagram::Bound { channel, observed: from.addr }),
            // A wish that is granted later, if ever.
            Ok(false) => Verdict::Drop,
            Err(_) => Verdict::Reply(Datagram::Unknown { channel }),
        }
    }

    /// Whether the end is bound to `route` now.
    fn bind(&mut self, grant: &LegGrant, route: Route, now: Instant) -> Result<bool, Denial> {
        let bound = self.legs.bind(grant, route, now).inspect_err(|denial| self.denials.count(*denial))?;
        if let Some(leg) = bound.displaced {
            self.outputs.push_back(Output::CloseLeg { leg });
        }
        self.release(bound.held, route, grant.channel);
        Ok(!bound.is_behind_tcp)
    }

    /// Whether who shows `grant` does so from where its owner's control connection comes from. TCP has proven that
    /// address already.
    fn is_at_home(&self, from: UdpPeer, grant: &LegGrant) -> bool {
        let net = SourceNet::from(from.addr.ip());
        let is_there = |conn| self.presence.client(conn).is_some_and(|client| client.net == net);
        match self.legs.owner(grant) {
            Some(EndOwner::Caller(conn)) => is_there(conn),
            Some(EndOwner::Target(id)) => self.presence.callable(id).any(is_there),
            None => false,
        }
    }

    /// Sends what was kept for an end.
    fn release(&mut self, held: Vec<Box<[u8]>>, to: Route, channel: Channel) {
        for packet in held {
            self.count_packet(packet.len());
            self.outputs.push_back(Output::Packet { to, channel, packet });
        }
    }

    fn forward(&mut self, from: Route, channel: Channel, packet: &[u8], now: Instant) -> Option<Route> {
        match self.legs.forward(from, channel, packet.len(), now) {
            Ok(to) => {
                self.count_packet(packet.len());
                Some(to)
            }
            Err(Denial::LegUnbound) if self.legs.hold(from, channel, packet) => {
                self.traffic.held += 1;
                None
            }
            Err(denial) => {
                self.denials.count(denial);
                None
            }
        }
    }

    fn count_packet(&mut self, len: usize) {
        self.traffic.packets += 1;
        self.traffic.bytes += len as u64;
    }

    fn end_leg(&mut self, channel: Channel) {
        if let Some(ended) = self.legs.remove(channel) {
            self.leg_ended(ended);
        }
    }

    fn leg_ended(&mut self, ended: Ended) {
        self.presence.take_call(ended.call.conn, ended.call.call);
        self.close_tcp(&ended);
    }

    fn close_tcp(&mut self, ended: &Ended) {
        self.outputs.extend(ended.tcp.iter().map(|leg| Output::CloseLeg { leg: *leg }));
    }

    fn send(&mut self, to: ConnId, message: RelayMessage) {
        self.outputs.push_back(Output::Send { to, message });
    }

    fn name(&mut self) -> u64 {
        self.next_name += 1;
        self.next_name
    }
}

/// Why a datagram was not read.
fn unreadable(bytes: &[u8]) -> Denial {
    match bytes.first() {
        Some(&tag::DATA) if bytes.len() > DATA_HEADER_LEN + PACKET_BYTES_MAX => Denial::Oversized,
        Some(first) if is_leg_datagram(*first) => Denial::MalformedUdp,
        Some(_) => Denial::ForeignUdp,
        None => Denial::MalformedUdp,
    }
}
