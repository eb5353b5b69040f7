//! One life of a session: two cores, two ends of QUIC, the network between them, and what befalls it.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tagio_testkit::Seeded;
use tagio_wire::{leg::PunchToken, nat::Mapping, session::Candidates};

use super::{
    checks::{Checks, Verdict},
    fate::{Fate, Turn},
    net::{Datagram, Flight, Net, other},
    quic::{End, Event},
};
use crate::{
    paths::{
        PathKind, PathsEvent, Side,
        core::{Input, Output, PathCore},
        punching::PUNCH_AT,
    },
    socket::{mapped, unmapped},
};

pub(super) const SIDES: [Side; 2] = [Side::Viewer, Side::Host];
/// As in the viewer's session: silence after which it connects anew, and how often it calls the relay.
const SILENCE_MAX: Duration = Duration::from_secs(4);
const CALL_EVERY: Duration = Duration::from_secs(3);
/// How often a viewer without a session tries to connect.
const RECONNECT_EVERY: Duration = Duration::from_secs(1);
/// How long STUN waits for an answer.
const STUN_PATIENCE: Duration = Duration::from_secs(1);
/// How soon `nat_watch` sees another address.
const LOOK_AT_ADDRESSES: Duration = Duration::from_secs(5);
/// How often a key is pressed.
pub(super) const KEY_EVERY: Duration = Duration::from_millis(130);
/// Last events that a failed life shows.
const TRACE: usize = 300;

/// What is due at a time.
#[derive(Debug)]
enum Due {
    Wake(Side),
    Arrive(Box<Flight>),
    Punch { side: Side, round: u64, to: Vec<SocketAddr>, token: PunchToken, short: bool },
    Found { side: Side, guess: bool, peer: Option<Candidates> },
    NewLeg(u16),
    Key,
    Learn(Side),
    Call,
    Reconnect,
    Turn(Turn),
}

/// What a stream carries.
#[derive(Clone, Debug)]
enum Message {
    Key,
    Candidates(Candidates),
}

/// One side of a session.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) core: PathCore<u32>,
    pub(super) end: End,
    listening: Vec<PunchToken>,
    messages: Vec<Message>,
    /// Punches of older rounds are not sent.
    round: u64,
    wake_at: Option<Duration>,
}

/// One life.
#[derive(Debug)]
pub(super) struct Life {
    chance: Seeded,
    start: Instant,
    now: Duration,
    queue: BTreeMap<(Duration, u64), (u32, Due)>,
    serial: u64,
    net: Net,
    nodes: Option<[Node; 2]>,
    /// Counts connections; what belongs to an older one is nothing any more.
    epoch: u32,
    relay_lost: bool,
    fate: Fate,
    checks: Checks,
    trace: Option<VecDeque<String>>,
    fingerprint: u64,
}

/// What a life came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) fingerprint: u64,
    pub(super) connections: u32,
    pub(super) events: u64,
    /// Of the last connection's viewer.
    pub(super) direct: bool,
    pub(super) switches: u32,
}

/// Why a life is wrong, and how it came to that.
pub(super) struct Wrong {
    pub(super) why: String,
    trace: Vec<String>,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trace.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        write!(f, "{}", self.why)
    }
}

/// Lives a life to its end.
pub(super) fn live(fate: Fate, mut chance: Seeded, is_traced: bool) -> Result<Told, Wrong> {
    let mut net = Net::new(fate.kinds, &mut chance);
    fate.set_weather(&mut net);
    let mut life = Life {
        chance,
        start: Instant::now(),
        now: Duration::ZERO,
        queue: BTreeMap::new(),
        serial: 0,
        net,
        nodes: None,
        epoch: 0,
        relay_lost: false,
        checks: Checks::default(),
        trace: is_traced.then(VecDeque::new),
        fingerprint: 0,
        fate,
    };
    life.run().map_err(|why| {
        let ends = life.nodes.iter().flatten().map(|node| node.end.summary()).collect::<Vec<_>>();
        let trace = life.trace.take().into_iter().flatten().chain(ends).collect();
        Wrong { why, trace }
    })
}

impl Life {
    fn run(&mut self) -> Result<Told, String> {
        for side in SIDES {
            self.learn(side);
        }
        for (at, turn) in std::mem::take(&mut self.fate.turns) {
            self.schedule(at, Due::Turn(turn));
        }
        self.connect();
        self.schedule(KEY_EVERY, Due::Key);
        while let Some(((at, _), (epoch, due))) = self.queue.pop_first() {
            self.now = at;
            if !matches!(due, Due::Turn(_) | Due::Key | Due::Learn(_) | Due::Reconnect) && epoch != self.epoch
            {
                continue;
            }
            self.happen(due);
            let verdict = self.check()?;
            if verdict == Verdict::Done {
                break;
            }
        }
        let switches = self.nodes.as_ref().map_or(0, |[viewer, _]| viewer.core.stats().switches);
        let direct = self.nodes.as_ref().is_some_and(|[viewer, _]| {
            viewer.core.active().is_some_and(|(_, kind)| kind == PathKind::Direct)
        });
        Ok(Told {
            fingerprint: self.fingerprint,
            connections: self.epoch,
            events: self.serial,
            direct,
            switches,
        })
    }

    fn check(&mut self) -> Result<Verdict, String> {
        self.checks.look(self.now, self.nodes.as_ref(), &mut self.net, self.fate.calm_at)
    }

    fn schedule(&mut self, after: Duration, due: Due) {
        self.serial += 1;
        self.queue.insert((self.now + after, self.serial), (self.epoch, due));
    }

    fn instant(&self) -> Instant {
        self.start + self.now
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            if trace.len() == TRACE {
                trace.pop_front();
            }
            trace.push_back(format!("{:>10.3} {}", self.now.as_secs_f64(), line()));
        }
    }

    fn mix(&mut self, bits: u64) {
        let at = u64::try_from(self.now.as_nanos()).unwrap_or(u64::MAX);
        self.fingerprint = Seeded::new(self.fingerprint ^ at.rotate_left(17) ^ bits).bits();
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Wake(side) => self.wake(side),
            Due::Arrive(flight) => self.arrive(*flight),
            Due::Punch { side, round, to, token, short } => {
                if self.nodes.as_ref().is_some_and(|nodes| nodes[side as usize].round == round)
                    && !self.net.place(side).asleep
                {
                    self.checks.punches(side, to.len(), self.now);
                    for addr in to {
                        self.fly(side, addr, Datagram::Punch(token), short);
                    }
                }
            }
            Due::Found { side, guess, peer } => self.found(side, guess, peer),
            Due::NewLeg(channel) => {
                if self.net.relay_is_reached() && channel >= self.net.channels_from {
                    self.relay_lost = false;
                    self.tell(Side::Viewer, Input::NewLeg(Net::leg(Side::Viewer, channel)));
                }
            }
            Due::Key => {
                self.schedule(KEY_EVERY, Due::Key);
                if !self.net.place(Side::Viewer).asleep {
                    self.write(Side::Viewer, Message::Key);
                }
            }
            Due::Learn(side) => {
                self.learn(side);
                self.tell(side, Input::NetworkChanged);
            }
            Due::Call => self.call(),
            Due::Reconnect => self.connect(),
            Due::Turn(turn) => self.turn(turn),
        }
    }

    fn turn(&mut self, turn: Turn) {
        self.note(|| format!("{turn:?}"));
        self.mix(1);
        if let Turn::Move(side) = turn {
            let place = &mut self.net.places[side as usize];
            place.move_away(&mut self.chance);
            self.schedule(LOOK_AT_ADDRESSES, Due::Learn(side));
        } else {
            turn.apply(&mut self.net);
        }
        match turn {
            Turn::RelayDown => self.relay_lost = true,
            Turn::RelayUp => self.call(),
            Turn::Sleeps(side, false) => {
                self.checks.woke(side, self.now);
                self.wake(side);
            }
            Turn::CutOut(..)
            | Turn::CutIn(..)
            | Turn::CutDirect(_)
            | Turn::Mtu(_)
            | Turn::Reboot(_)
            | Turn::Move(_)
            | Turn::Sleeps(_, true)
            | Turn::Loss(_) => {}
        }
    }

    /// STUN tells where the relay sees a side.
    fn learn(&mut self, side: Side) {
        let now = self.now;
        let place = self.net.place(side);
        if let Some(seen) = place.seen_by_relay(now) {
            place.public = Some(seen);
        }
    }

    /// A new connection through the relay, where that is possible.
    fn connect(&mut self) {
        if self.nodes.is_some() {
            return;
        }
        if !self.net.relay_is_reached() {
            return self.schedule(RECONNECT_EVERY, Due::Reconnect);
        }
        self.epoch += 1;
        self.net.channel += 1;
        self.relay_lost = false;
        let channel = self.net.channel;
        self.note(|| format!("connected by channel {channel}"));
        let (now, instant) = (self.now, self.instant());
        self.nodes = Some(SIDES.map(|side| {
            let mut core = PathCore::new(side, PathKind::Relay, Mapping::Unknown, instant, instant);
            let addr = Net::leg(side, channel);
            core.handle(instant, Input::Established { id: 0, addr });
            let end = End::new(side, addr, now);
            let listening = vec![token(side)];
            Node { core, end, listening, messages: Vec::new(), round: 0, wake_at: None }
        }));
        self.checks.connected(now);
        for side in SIDES {
            self.drive(side);
        }
        self.schedule(CALL_EVERY, Due::Call);
    }

    fn lose(&mut self) {
        self.note(|| "connection lost".into());
        self.mix(2);
        self.nodes = None;
        self.schedule(RECONNECT_EVERY, Due::Reconnect);
    }

    /// As `call_again`: another leg, while none stands.
    fn call(&mut self) {
        if self.nodes.is_none() {
            return;
        }
        if self.relay_lost && self.net.relay_is_reached() {
            self.net.channel += 1;
            let channel = self.net.channel;
            let trip: Duration = self.net.to_relay.iter().map(|line| line.delay).sum();
            self.schedule(trip * 3, Due::NewLeg(channel));
        }
    }

    fn wake(&mut self, side: Side) {
        if self.net.place(side).asleep {
            return;
        }
        let instant = self.instant();
        let Some(nodes) = &mut self.nodes else { return };
        let Node { core, end, wake_at, .. } = &mut nodes[side as usize];
        *wake_at = None;
        core.wake(instant, |id| end.sample(id));
        let silence = core.facts().silence;
        if side == Side::Viewer && silence > SILENCE_MAX {
            return self.lose();
        }
        self.drive(side);
    }

    fn tell(&mut self, side: Side, input: Input<u32>) {
        self.note(|| format!("{side:?} < {input:?}"));
        let instant = self.instant();
        if let Some(nodes) = &mut self.nodes {
            nodes[side as usize].core.handle(instant, input);
            self.drive(side);
        }
    }

    fn write(&mut self, side: Side, message: Message) {
        if let Some(nodes) = &mut self.nodes {
            let node = &mut nodes[side as usize];
            node.messages.push(message);
            node.end.write();
            self.drive(side);
        }
    }

    /// Does what a side's core and its end of QUIC want, until both rest.
    fn drive(&mut self, side: Side) {
        loop {
            let now = self.now;
            let Some(nodes) = &mut self.nodes else { return };
            let node = &mut nodes[side as usize];
            if let Some(output) = node.core.poll_output() {
                self.carry_out(side, output);
                continue;
            }
            node.end.drive(now);
            if let Some(event) = node.end.poll_event() {
                self.on_event(side, event);
                continue;
            }
            while let Some((to, packet)) =
                self.nodes.as_mut().and_then(|n| n[side as usize].end.poll_packet())
            {
                self.fly(side, to, Datagram::Quic(packet), false);
            }
            break;
        }
        self.schedule_wake(side);
    }

    fn schedule_wake(&mut self, side: Side) {
        let Some(nodes) = &mut self.nodes else { return };
        let node = &mut nodes[side as usize];
        let at = node.core.next_wake().saturating_duration_since(self.start).max(self.now);
        if node.wake_at.is_none_or(|known| at < known) {
            node.wake_at = Some(at);
            self.schedule(at - self.now, Due::Wake(side));
        }
    }

    fn on_event(&mut self, side: Side, event: Event) {
        self.mix(3);
        let input = match event {
            Event::Established(id, addr) => Input::Established { id, addr },
            Event::Abandoned(id) => Input::Abandoned(id),
            Event::NotOpened(addr) => Input::NotOpened(addr),
            Event::RemoteStatus(id, status) => Input::RemoteStatus { id, status },
            Event::Lost => return self.lose(),
            Event::Delivered(number) => return self.delivered(side, number),
        };
        self.note(|| format!("{side:?} < {input:?}"));
        let instant = self.instant();
        if let Some(nodes) = &mut self.nodes {
            nodes[side as usize].core.handle(instant, input);
        }
    }

    fn delivered(&mut self, side: Side, number: u32) {
        let instant = self.instant();
        let Some(nodes) = &mut self.nodes else { return };
        let message = nodes[other(side) as usize].messages[number as usize].clone();
        if let Message::Candidates(peer) = message {
            nodes[side as usize].core.handle(instant, Input::PeerCandidates(peer));
        }
    }

    fn carry_out(&mut self, side: Side, output: Output<u32>) {
        self.note(|| format!("{side:?} > {output:?}"));
        self.mix(4);
        let now = self.now;
        self.checks.output(side, &output, now);
        let Some(nodes) = &mut self.nodes else { return };
        let node = &mut nodes[side as usize];
        match output {
            Output::Open(addr) => node.end.open(addr, now),
            Output::Close(id) => node.end.close(id, now),
            Output::SetStatus(id, status) => node.end.set_status(id, status),
            Output::Ping(id) => node.end.ping(id),
            Output::FindCandidates { guess, peer } => {
                let trip = self.net.to_relay[side as usize].delay * 2;
                let needs_answer = matches!(self.net.place(side).mapping(), Mapping::Sequential { .. });
                let after = match (needs_answer, self.net.relay_is_reached()) {
                    (false, _) => Duration::ZERO,
                    (true, true) => trip,
                    (true, false) => STUN_PATIENCE,
                };
                self.schedule(after, Due::Found { side, guess, peer });
            }
            Output::Listen(token) => node.listening.push(token),
            Output::StopListening(token) => node.listening.retain(|known| *known != token),
            Output::Punch { targets, token, held_back } => {
                node.round += 1;
                let round = node.round;
                let punch = |short| Due::Punch { side, round, to: targets.clone(), token, short };
                if held_back.is_some() {
                    self.schedule(Duration::ZERO, punch(true));
                }
                for at in PUNCH_AT {
                    self.schedule(held_back.unwrap_or_default() + at, punch(false));
                }
            }
            Output::StopPunching => node.round += 1,
            // Chance decides what comes of it: here nothing does.
            Output::Guess { .. } | Output::Stranded => {}
            Output::Tell(PathsEvent::SendCandidates(own)) => {
                node.messages.push(Message::Candidates(own));
                node.end.write();
            }
            Output::Tell(PathsEvent::RelayLost) => {
                if side == Side::Viewer {
                    self.relay_lost = true;
                    self.call();
                }
            }
            Output::Tell(PathsEvent::Changed(_)) => {}
        }
    }

    fn found(&mut self, side: Side, guess: bool, peer: Option<Candidates>) {
        let now = self.now;
        let is_reached = self.net.relay_is_reached();
        let place = self.net.place(side);
        if place.asleep {
            return;
        }
        let mapping = place.mapping();
        let newest = match mapping {
            Mapping::Sequential { .. } if is_reached => place.newest_seen(now),
            _ => None,
        };
        let public = newest.or(place.public);
        let own = Candidates { addrs: place.own_addrs(), token: token(side), public, mapping, guess };
        self.tell(side, Input::Found { own, peer });
    }

    fn fly(&mut self, side: Side, to: SocketAddr, datagram: Datagram, short: bool) {
        let copies = self.net.send(side, to, datagram, short, self.now, &mut self.chance);
        for (at, flight) in copies.into_iter().flatten() {
            self.schedule(at - self.now, Due::Arrive(Box::new(flight)));
        }
    }

    fn arrive(&mut self, flight: Flight) {
        let now = self.now;
        let Some(from) = self.net.arrive(&flight, now) else { return };
        let side = flight.to;
        self.mix(5 + side as u64);
        let Some(nodes) = &mut self.nodes else { return };
        let node = &mut nodes[side as usize];
        match flight.datagram {
            Datagram::Quic(packet) => {
                node.end.receive(from, &packet, now);
                self.drive(side);
            }
            Datagram::Punch(token) => {
                if node.listening.contains(&token) {
                    self.fly(side, from, Datagram::Punched(token), false);
                    self.tell(side, Input::Heard(mapped(unmapped(from))));
                }
            }
            Datagram::Punched(token) => {
                if node.listening.contains(&token) {
                    self.tell(side, Input::Heard(mapped(unmapped(from))));
                }
            }
        }
    }
}

/// What a side's punches carry.
fn token(side: Side) -> PunchToken {
    PunchToken([side as u8 + 1; 8])
}
