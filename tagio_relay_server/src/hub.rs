//! The rules' state together with the outboxes of those that it speaks to.
//!
//! Behind one mutex; see the crate's page for why. Every method is one verb of the state machine followed by
//! everything that it asks for, none of which waits.

use std::{
    collections::HashMap,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::rngs::StdRng;
use tagio_relay_core::{
    Client, ConnId, Denial, Denials, Limits, Output, RelayState, Route, TcpLegId, Traffic, UdpPeer,
    legs::LegView, presence::ClientView, relay::Verdict,
};
use tagio_wire::{
    control::ClientMessage,
    encode,
    leg::{Channel, Datagram, LegGrant},
};
use tracing::debug;

use crate::outbox::Outbox;

/// A leg without packets for this long does not keep a draining relay up: sessions send every few seconds.
const LEG_IN_USE: Duration = Duration::from_secs(5);

/// Where a packet is to be put.
pub(crate) enum Delivery {
    Udp(UdpPeer),
    Tcp(Arc<Outbox>),
}

/// What to do with a datagram.
pub(crate) enum Action {
    Deliver(Delivery),
    Reply {
        answer: Datagram<'static>,
        /// `DATA` datagrams that go to the same client behind it.
        held: Vec<Vec<u8>>,
    },
    Nothing,
}

/// Numbers for the metrics page.
pub(crate) struct Gauges {
    pub(crate) clients: usize,
    pub(crate) callable: usize,
    pub(crate) legs: usize,
    pub(crate) traffic: Traffic,
}

/// See the module.
pub(crate) struct Hub {
    state: RelayState<StdRng>,
    denials: Arc<Denials>,
    clients: HashMap<ConnId, Arc<Outbox>>,
    legs: HashMap<TcpLegId, Arc<Outbox>>,
    /// For the UDP client that is answered next. Empty between two verbs.
    held: Vec<Vec<u8>>,
}

impl Hub {
    pub(crate) fn new(limits: Limits, denials: Arc<Denials>) -> Self {
        let state = RelayState::new(limits, Arc::clone(&denials), rand::make_rng(), Instant::now());
        Self { state, denials, clients: HashMap::new(), legs: HashMap::new(), held: Vec::new() }
    }

    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.state.set_limits(limits);
    }

    pub(crate) fn connect(&mut self, client: Client, proven: bool, outbox: Arc<Outbox>) -> ConnId {
        let conn = self.state.connect(client, proven, Instant::now());
        self.clients.insert(conn, outbox);
        self.carry_out();
        conn
    }

    pub(crate) fn disconnect(&mut self, conn: ConnId) {
        self.state.disconnect(conn);
        self.clients.remove(&conn);
    }

    pub(crate) fn handle_message(&mut self, conn: ConnId, message: ClientMessage) {
        self.state.handle_message(conn, message, Instant::now());
        self.carry_out();
    }

    pub(crate) fn handle_datagram(&mut self, from: UdpPeer, bytes: &[u8], now: Instant) -> Action {
        match self.state.handle_datagram(from, bytes, now) {
            Verdict::Forward(route) => self.delivery(route).map_or(Action::Nothing, Action::Deliver),
            Verdict::Reply(answer) => {
                self.carry_out();
                Action::Reply { answer, held: mem::take(&mut self.held) }
            }
            Verdict::Drop => Action::Nothing,
        }
    }

    pub(crate) fn bind_tcp(&mut self, grant: &LegGrant, outbox: Arc<Outbox>) -> Result<TcpLegId, Denial> {
        let id = self.state.bind_tcp(grant, Instant::now())?;
        self.legs.insert(id, outbox);
        self.carry_out();
        Ok(id)
    }

    /// Where packets go that came together: all of them the same way, as nothing changes meanwhile.
    pub(crate) fn forward_tcp<'a>(
        &mut self,
        id: TcpLegId,
        channel: Channel,
        packets: impl Iterator<Item = &'a [u8]>,
    ) -> Option<Delivery> {
        let now = Instant::now();
        let routes = packets.map(|packet| self.state.forward_tcp(id, channel, packet, now));
        let route = routes.last()??;
        self.delivery(route)
    }

    pub(crate) fn tcp_closed(&mut self, id: TcpLegId, channel: Channel) {
        self.state.tcp_closed(id, channel);
        self.legs.remove(&id);
    }

    pub(crate) fn handle_timeout(&mut self) {
        self.state.handle_timeout(Instant::now());
        self.carry_out();
    }

    pub(crate) fn drain(&mut self) {
        self.state.drain();
        self.carry_out();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.state.is_draining()
    }

    /// Whether stopping now would cut nobody off: no leg carries packets, and everything said is written.
    pub(crate) fn is_quiet(&self) -> bool {
        self.state.legs().in_use(LEG_IN_USE, Instant::now()) == 0
            && self.state.presence().conns().all(|c| self.clients.get(&c).is_none_or(|o| o.is_idle()))
    }

    /// Whether a leg carries packets.
    pub(crate) fn has_legs_in_use(&self) -> bool {
        self.state.legs().in_use(LEG_IN_USE, Instant::now()) > 0
    }

    pub(crate) fn gauges(&self) -> Gauges {
        Gauges {
            clients: self.state.presence().len(),
            callable: self.state.presence().callable_len(),
            legs: self.state.legs().len(),
            traffic: self.state.traffic(),
        }
    }

    /// For the admin.
    pub(crate) fn newest_clients(&self, max: usize) -> Vec<ClientView> {
        self.state.presence().newest(max, Instant::now())
    }

    /// For the admin. Walks through all legs: about a millisecond for the most that there can be.
    pub(crate) fn latest_legs(&self, max: usize) -> Vec<LegView> {
        self.state.legs().latest(max, Instant::now())
    }

    fn delivery(&self, route: Route) -> Option<Delivery> {
        match route {
            Route::Udp(peer) => Some(Delivery::Udp(peer)),
            Route::Tcp(id) => self.legs.get(&id).cloned().map(Delivery::Tcp),
        }
    }

    /// Everything that the last verb asks for.
    fn carry_out(&mut self) {
        while let Some(output) = self.state.poll_output() {
            match output {
                Output::Send { to, message } => {
                    let Some(outbox) = self.clients.get(&to) else { continue };
                    if outbox.push(&encode(&message)).is_err() {
                        self.denials.count(Denial::ControlQueueFull);
                        debug!(conn = to.0, "client does not read; closing");
                        outbox.abort();
                    }
                }
                Output::Close { conn } => {
                    if let Some(outbox) = self.clients.get(&conn) {
                        outbox.finish();
                    }
                }
                Output::Packet { to: Route::Udp(_), channel, packet } => {
                    self.held.push(Datagram::Data { channel, packet: &packet }.bytes());
                }
                Output::Packet { to: Route::Tcp(leg), packet, .. } => {
                    if let Some(outbox) = self.legs.get(&leg)
                        && outbox.push(&packet).is_err()
                    {
                        self.denials.count(Denial::LegQueueFull);
                    }
                }
                Output::CloseLeg { leg } => {
                    if let Some(outbox) = self.legs.get(&leg) {
                        outbox.finish();
                    }
                }
            }
        }
    }
}
