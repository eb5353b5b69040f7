//! One end of a QUIC connection as far as paths are concerned: a model of what noq 1.4.0 does, read in
//! `noq-proto-1.4.0/src/connection/mod.rs`. Functions named in comments are there.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use noq::PathStatus;

use crate::paths::{Side, selector::Sample};

/// As `endpoint.rs` configures: `PATH_IDLE`, `CONNECTION_IDLE`, `PATHS_MAX`, `INITIAL_RTT`, `ACK_DELAY`.
const PATH_IDLE: Duration = Duration::from_secs(6);
const CONNECTION_IDLE: Duration = Duration::from_secs(10);
const PATHS_MAX: u32 = 8;
const INITIAL_RTT: Duration = Duration::from_millis(50);
const ACK_DELAY: Duration = Duration::from_millis(5);
/// `MAX_PTO_INTERVAL`.
const PTO_MAX: Duration = Duration::from_secs(2);
/// What a datagram with a challenge or its answer is padded to (RFC 9000, section 8.2).
const PADDED: u16 = 1200;
/// A datagram without data, and what a message adds.
const BARE: u16 = 45;
const MESSAGE: u16 = 60;
/// Every so many messages one fills a datagram.
const LONG_EVERY: u32 = 16;

/// What a datagram carries. Messages of a stream are units here: none is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Challenge(u32),
    Response(u32),
    Ping,
    /// Of the packets of a path: the newest, and which of the 128 up to it have come.
    Ack {
        path: u32,
        newest: u64,
        seen: u128,
    },
    Status {
        path: u32,
        status: PathStatus,
        number: u32,
    },
    Abandon(u32),
    /// Message of the one stream of this direction.
    Message(u32),
}

#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) path: u32,
    pub(super) number: u64,
    pub(super) bytes: u16,
    pub(super) frames: Vec<Frame>,
}

/// What the end tells its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Established(u32, SocketAddr),
    Abandoned(u32),
    /// `open_path`'s future fails only when a path is abandoned before it stood.
    NotOpened(SocketAddr),
    RemoteStatus(u32, PathStatus),
    /// The message with this number, in order.
    Delivered(u32),
    /// The connection is over.
    Lost,
}

#[derive(Debug)]
struct Sent {
    at: Duration,
    frames: Vec<Frame>,
}

#[derive(Debug)]
pub(super) struct Path {
    pub(super) remote: SocketAddr,
    /// Where a peer that moved was before, until the new address is validated.
    before: Option<(SocketAddr, Duration)>,
    pub(super) validated: bool,
    /// `open_status`: whether the owner knows that it stands.
    pub(super) informed: bool,
    pub(super) status: PathStatus,
    status_number: u32,
    /// The challenge that is out, when it was sent, and how many were.
    challenge: (u32, Option<Duration>, u32),
    responses: Vec<u32>,
    ping: bool,
    draining: Option<Duration>,
    next: u64,
    sent: BTreeMap<u64, Sent>,
    newest_acked: Option<u64>,
    last_eliciting: Duration,
    probes: u32,
    rtt: Duration,
    newest: Option<u64>,
    seen: u128,
    has_to_ack: bool,
    idle_since: Duration,
    /// Whether something that asks for an answer was sent since the last packet came.
    asked: bool,
    sample: Sample,
    /// Since when something that asks for an answer is on its way with nothing back, for the checks.
    pub(super) unanswered: Option<Duration>,
}

impl Path {
    fn new(remote: SocketAddr, status: PathStatus, now: Duration) -> Self {
        Self {
            remote,
            before: None,
            validated: false,
            informed: false,
            status,
            status_number: 0,
            challenge: (0, None, 0),
            responses: Vec::new(),
            ping: false,
            draining: None,
            next: 0,
            sent: BTreeMap::new(),
            newest_acked: None,
            last_eliciting: now,
            probes: 0,
            rtt: INITIAL_RTT,
            newest: None,
            seen: 0,
            has_to_ack: false,
            idle_since: now,
            asked: false,
            sample: Sample::default(),
            unanswered: None,
        }
    }

    fn pto(&self) -> Duration {
        // Its variance is taken as an eighth of the round trip.
        self.rtt + self.rtt / 2 + ACK_DELAY
    }

    /// Notes the number of a packet; `false` for one that has come before.
    fn is_new(&mut self, number: u64) -> bool {
        match self.newest {
            Some(newest) if number <= newest => {
                let age = newest - number;
                if age >= 128 || self.seen >> age & 1 == 1 {
                    return false;
                }
                self.seen |= 1 << age;
            }
            newest => {
                let step = number - newest.unwrap_or(number);
                self.seen = if step >= 128 { 1 } else { self.seen << step | 1 };
                self.newest = Some(number);
            }
        }
        true
    }
}

/// One end.
#[derive(Debug)]
pub(super) struct End {
    side: Side,
    pub(super) paths: BTreeMap<u32, Path>,
    abandoned: BTreeSet<u32>,
    /// Greatest path that each end allows.
    local_max: u32,
    remote_max: u32,
    /// To be sent on the path for data.
    statuses: BTreeSet<u32>,
    abandons: BTreeSet<u32>,
    messages: VecDeque<u32>,
    next_message: u32,
    expected: u32,
    early: BTreeSet<u32>,
    challenges: u32,
    /// When a connection whose last path the peer has given up is over.
    grace: Option<Duration>,
    heard: Duration,
    events: VecDeque<Event>,
    outbox: VecDeque<(SocketAddr, Packet)>,
}

impl End {
    /// An end whose handshake is done, on path 0.
    pub(super) fn new(side: Side, remote: SocketAddr, now: Duration) -> Self {
        let mut first = Path::new(remote, PathStatus::Available, now);
        (first.validated, first.informed) = (true, true);
        Self {
            side,
            paths: BTreeMap::from([(0, first)]),
            abandoned: BTreeSet::new(),
            local_max: PATHS_MAX - 1,
            remote_max: PATHS_MAX - 1,
            statuses: BTreeSet::new(),
            abandons: BTreeSet::new(),
            messages: VecDeque::new(),
            next_message: 0,
            expected: 0,
            early: BTreeSet::new(),
            challenges: 0,
            grace: None,
            heard: now,
            events: VecDeque::new(),
            outbox: VecDeque::new(),
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(super) fn poll_packet(&mut self) -> Option<(SocketAddr, Packet)> {
        self.outbox.pop_front()
    }

    /// Messages that were written, and those that were read.
    pub(super) fn written_and_read(&self) -> (u32, u32) {
        (self.next_message, self.expected)
    }

    /// `path_stats`.
    pub(super) fn sample(&self, id: u32) -> Option<Sample> {
        self.paths.get(&id).map(|path| Sample { rtt: path.rtt, ..path.sample })
    }

    /// What a person wants to see of an end that is stuck.
    pub(super) fn summary(&self) -> String {
        let path = |(id, path): (&u32, &Path)| {
            let under_way: Vec<u32> =
                path.sent.values().flat_map(|sent| &sent.frames).filter_map(message).collect();
            format!(
                "  {id}: validated {} informed {} {:?} draining {:?} under way {under_way:?}",
                path.validated, path.informed, path.status, path.draining
            )
        };
        let paths: Vec<String> = self.paths.iter().map(path).collect();
        format!(
            "{:?}: wrote {}, read {}, waiting {:?}, abandons {:?}, given up {:?}\n{}",
            self.side,
            self.next_message,
            self.expected,
            self.messages,
            self.abandons,
            self.abandoned,
            paths.join("\n")
        )
    }

    pub(super) fn is_open(&self, id: u32) -> bool {
        self.paths.contains_key(&id) && !self.abandoned.contains(&id)
    }

    /// Paths that are not given up.
    pub(super) fn open_paths(&self) -> impl Iterator<Item = (u32, &Path)> {
        self.paths.iter().map(|(id, path)| (*id, path)).filter(|(id, _)| !self.abandoned.contains(id))
    }

    /// `scheduling_info`: the path that data takes. With two of the same status the first has room, here.
    pub(super) fn data_path(&self) -> Option<u32> {
        let with = |status| self.open_paths().find(|(_, path)| path.validated && path.status == status);
        with(PathStatus::Available).or_else(|| with(PathStatus::Backup)).map(|(id, _)| id)
    }

    pub(super) fn write(&mut self) {
        self.messages.push_back(self.next_message);
        self.next_message += 1;
    }

    /// `open_path`.
    pub(super) fn open(&mut self, remote: SocketAddr, now: Duration) {
        let id = self.paths.keys().chain(&self.abandoned).max().map_or(0, |id| id + 1);
        if id > self.local_max.min(self.remote_max) {
            // `MaxPathIdReached`.
            return self.events.push_back(Event::NotOpened(remote));
        }
        self.add(id, remote, PathStatus::Backup, now);
    }

    /// `create_path`.
    fn add(&mut self, id: u32, remote: SocketAddr, status: PathStatus, now: Duration) {
        let known = self.open_paths().find(|(_, path)| path.validated && path.remote == remote);
        let rtt = known.map(|(_, path)| path.rtt);
        let mut path = Path::new(remote, status, now);
        path.validated = rtt.is_some();
        path.rtt = rtt.unwrap_or(INITIAL_RTT);
        self.grace = None;
        self.paths.insert(id, path);
    }

    /// `close_path`.
    pub(super) fn close(&mut self, id: u32, now: Duration) {
        let is_last = !self.open_paths().any(|(other, _)| other != id);
        if self.is_open(id) && !is_last {
            self.abandon(id, now);
        }
    }

    /// `abandon_path`.
    fn abandon(&mut self, id: u32, now: Duration) {
        self.abandons.insert(id);
        self.statuses.remove(&id);
        self.abandoned.insert(id);
        let path = &self.paths[&id];
        if !path.informed {
            self.events.push_back(Event::NotOpened(path.remote));
        }
        self.events.push_back(Event::Abandoned(id));
        if self.open_paths().next().is_none() {
            // `close_path_inner`: three probe time-outs of a fresh path to open another.
            self.grace = Some(now + (INITIAL_RTT + INITIAL_RTT * 2 + ACK_DELAY) * 3);
        }
    }

    /// `set_path_status`: nothing is sent where nothing changes.
    pub(super) fn set_status(&mut self, id: u32, status: PathStatus) {
        let Some(path) = self.paths.get_mut(&id).filter(|path| path.status != status) else { return };
        path.status = status;
        path.status_number += 1;
        if !self.abandoned.contains(&id) {
            self.statuses.insert(id);
        }
    }

    pub(super) fn ping(&mut self, id: u32) {
        if let Some(path) = self.paths.get_mut(&id) {
            path.ping = true;
        }
    }

    /// Takes a packet that came from `from`.
    pub(super) fn receive(&mut self, from: SocketAddr, packet: &Packet, now: Duration) {
        let id = packet.path;
        if !self.paths.contains_key(&id) {
            if self.side == Side::Viewer || self.abandoned.contains(&id) || id > self.local_max {
                return;
            }
            self.add(id, from, PathStatus::Available, now);
        }
        let path = self.paths.get_mut(&id).expect("just added, or known");
        if path.remote != from && self.side == Side::Viewer {
            // A server that moves is not followed.
            return;
        }
        let is_newest = path.newest.is_none_or(|newest| packet.number > newest);
        if !path.is_new(packet.number) {
            return;
        }
        if path.remote != from && is_newest && !self.abandoned.contains(&id) {
            // `migrate`: the new address is validated, and until it fails the old one waits.
            path.before = Some((path.remote, now + path.pto() * 3));
            path.remote = from;
            path.validated = false;
            path.challenge = (0, None, 0);
        }
        path.sample.received += 1;
        path.unanswered = None;
        (path.idle_since, path.asked) = (now, false);
        self.heard = now;
        for frame in &packet.frames {
            self.take(id, frame, now);
        }
    }

    fn take(&mut self, id: u32, frame: &Frame, now: Duration) {
        let path = self.paths.get_mut(&id).expect("a packet's path is known");
        if !matches!(frame, Frame::Ack { .. }) {
            path.has_to_ack = true;
        }
        match *frame {
            Frame::Challenge(token) => path.responses.push(token),
            Frame::Response(token) => {
                if path.challenge.0 == token && token != 0 {
                    if let (token, Some(at), 1) = path.challenge
                        && token != 0
                    {
                        path.rtt = now - at;
                    }
                    path.challenge = (0, None, u32::MAX);
                    (path.validated, path.before) = (true, None);
                    if !path.informed && !self.abandoned.contains(&id) {
                        path.informed = true;
                        self.events.push_back(Event::Established(id, path.remote));
                    }
                }
            }
            Frame::Ping => {}
            Frame::Ack { path, newest, seen } => self.take_ack(path, newest, seen, now),
            // `on_path_status`: the owner hears of it however old and whether or not the path is known.
            Frame::Status { path, status, .. } => self.events.push_back(Event::RemoteStatus(path, status)),
            Frame::Abandon(gone) => self.take_abandon(gone, now),
            Frame::Message(number) => {
                if number >= self.expected {
                    self.early.insert(number);
                }
                while self.early.remove(&self.expected) {
                    self.events.push_back(Event::Delivered(self.expected));
                    self.expected += 1;
                }
            }
        }
    }

    fn take_abandon(&mut self, gone: u32, now: Duration) {
        if self.is_open(gone) {
            self.abandon(gone, now);
        }
        // A path that never came here is `ClosedPath`, and its number is not given anew.
        if let Some(path) = self.paths.get_mut(&gone)
            && path.draining.is_none()
        {
            path.draining = Some(now + path.pto() * 3);
            // MAX_PATH_ID is sent again until it comes; taken as known to both.
            self.local_max += 1;
            self.remote_max += 1;
        }
    }

    fn take_ack(&mut self, id: u32, newest: u64, seen: u128, now: Duration) {
        let Some(path) = self.paths.get_mut(&id) else { return };
        let is_acked =
            |number: u64| number <= newest && newest - number < 128 && seen >> (newest - number) & 1 == 1;
        let acked: Vec<u64> =
            path.sent.range(..=newest).map(|(number, _)| *number).filter(|n| is_acked(*n)).collect();
        for number in &acked {
            let sent = path.sent.remove(number).expect("just found");
            if *number == newest {
                path.rtt = (path.rtt * 7 + (now - sent.at)) / 8;
            }
        }
        if !acked.is_empty() {
            path.probes = 0;
        }
        path.newest_acked = path.newest_acked.max(Some(newest));
        self.detect_losses(id, now);
    }

    /// `detect_lost_packets`: three packets later, or an eighth more than a round trip after, one that was acknowledged.
    fn detect_losses(&mut self, id: u32, now: Duration) {
        let Some(path) = self.paths.get_mut(&id) else { return };
        let Some(newest) = path.newest_acked else { return };
        let patience = path.rtt + path.rtt / 8;
        let lost: Vec<u64> = path
            .sent
            .range(..newest)
            .filter(|(number, sent)| **number + 3 <= newest || sent.at + patience <= now)
            .map(|(number, _)| *number)
            .collect();
        for number in lost {
            let sent = path.sent.remove(&number).expect("just found");
            path.sample.lost += 1;
            for frame in sent.frames {
                requeue(frame, &mut self.statuses, &mut self.abandons, &mut self.messages);
            }
        }
    }

    /// Timers, and then everything that wants to be sent.
    pub(super) fn drive(&mut self, now: Duration) {
        let ids: Vec<u32> = self.paths.keys().copied().collect();
        for id in &ids {
            self.run_timers(*id, now);
        }
        if self.grace.is_some_and(|at| now >= at) || now.saturating_sub(self.heard) >= CONNECTION_IDLE {
            self.events.push_back(Event::Lost);
        }
        for id in ids {
            self.send_on_path(id, now);
        }
        self.send_data(now);
    }

    fn run_timers(&mut self, id: u32, now: Duration) {
        self.detect_losses(id, now);
        let is_open = self.is_open(id);
        let path = self.paths.get_mut(&id).expect("its name was just read");
        if path.draining.is_some_and(|at| now >= at) {
            // `discard_path`: only now is sent again what was under way.
            let gone = self.paths.remove(&id).expect("just found");
            for frame in gone.sent.into_values().flat_map(|sent| sent.frames) {
                requeue(frame, &mut self.statuses, &mut self.abandons, &mut self.messages);
            }
            return;
        }
        if !is_open {
            return;
        }
        if let Some((old, until)) = path.before
            && now >= until
        {
            (path.remote, path.validated, path.before) = (old, true, None);
            path.challenge = (0, None, u32::MAX);
        }
        if now.saturating_sub(path.idle_since) >= PATH_IDLE.max(path.pto() * 3) {
            // Refused for the last one, whose timer does not run again.
            path.idle_since = Duration::MAX / 2;
            return self.close(id, now);
        }
        let backoff = path.pto().saturating_mul(1 << path.probes.min(16)).min(PTO_MAX);
        if !path.sent.is_empty() && now >= path.last_eliciting + backoff {
            path.probes += 1;
            path.ping = true;
        }
    }

    /// Challenges, responses and pings, which belong to their path.
    fn send_on_path(&mut self, id: u32, now: Duration) {
        if !self.is_open(id) {
            return;
        }
        let path = self.paths.get_mut(&id).expect("it is open");
        let mut frames: Vec<Frame> = path.responses.drain(..).map(Frame::Response).collect();
        let (_, at, count) = path.challenge;
        // `on_path_challenge_pto`: as a probe, ever more seldom.
        let again = (path.pto() * 2u32.pow(count.min(6))).min(PTO_MAX);
        let is_due = count < u32::MAX && at.is_none_or(|at| now >= at + again);
        if is_due {
            self.challenges += 1;
            path.challenge = (self.challenges, Some(now), count + 1);
            frames.push(Frame::Challenge(self.challenges));
        }
        let bytes = if frames.is_empty() { BARE } else { PADDED };
        if std::mem::take(&mut path.ping) {
            frames.push(Frame::Ping);
        }
        if !frames.is_empty() {
            self.send(id, bytes, frames, now);
        }
    }

    /// Acknowledgements, statuses, abandonments and messages, which all take the path for data.
    fn send_data(&mut self, now: Duration) {
        let Some(id) = self.data_path() else {
            // `may_self_abandon`: where nothing else is left the path says its own goodbye.
            if let Some(id) =
                self.abandons.iter().copied().find(|id| self.paths.get(id).is_some_and(|p| p.validated))
            {
                self.abandons.remove(&id);
                self.send(id, BARE, vec![Frame::Abandon(id)], now);
            }
            return;
        };
        let mut frames = Vec::new();
        for (path, data) in &mut self.paths {
            if std::mem::take(&mut data.has_to_ack)
                && let Some(newest) = data.newest
            {
                frames.push(Frame::Ack { path: *path, newest, seen: data.seen });
            }
        }
        while let Some(path) = self.statuses.pop_first() {
            if let Some(data) = self.paths.get(&path) {
                frames.push(Frame::Status { path, status: data.status, number: data.status_number });
            }
        }
        frames.extend(std::mem::take(&mut self.abandons).into_iter().map(Frame::Abandon));
        if !frames.is_empty() {
            self.send(id, BARE, frames, now);
        }
        while let Some(number) = self.messages.pop_front() {
            let bytes = if number % LONG_EVERY == LONG_EVERY - 1 { PADDED } else { BARE + MESSAGE };
            self.send(id, bytes, vec![Frame::Message(number)], now);
        }
    }

    fn send(&mut self, id: u32, bytes: u16, frames: Vec<Frame>, now: Duration) {
        let path = self.paths.get_mut(&id).expect("whoever sends has looked");
        let number = path.next;
        path.next += 1;
        path.sample.sent += 1;
        if frames.iter().any(|frame| !matches!(frame, Frame::Ack { .. })) {
            if !path.asked {
                (path.asked, path.idle_since) = (true, path.idle_since.max(now));
            }
            path.unanswered.get_or_insert(now);
            path.last_eliciting = now;
            path.sent.insert(number, Sent { at: now, frames: frames.clone() });
        }
        self.outbox.push_back((path.remote, Packet { path: id, number, bytes, frames }));
    }
}

/// What is lost is sent again as it is by then; challenges and the like have timers of their own.
fn requeue(
    frame: Frame,
    statuses: &mut BTreeSet<u32>,
    abandons: &mut BTreeSet<u32>,
    messages: &mut VecDeque<u32>,
) {
    match frame {
        Frame::Status { path, .. } => {
            statuses.insert(path);
        }
        Frame::Abandon(path) => {
            abandons.insert(path);
        }
        Frame::Message(number) => {
            let at = messages.partition_point(|other| *other < number);
            messages.insert(at, number);
        }
        Frame::Challenge(_) | Frame::Response(_) | Frame::Ping | Frame::Ack { .. } => {}
    }
}

fn message(frame: &Frame) -> Option<u32> {
    match *frame {
        Frame::Message(number) => Some(number),
        _ => None,
    }
}
