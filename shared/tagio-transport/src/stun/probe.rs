//! Asks STUN servers: from the socket that QUIC uses, so that the answers are about that socket's mappings.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdUdpSocket},
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use super::{
    Answer, NatReport, QuestionId, classify,
    message::{Reply, read_reply, request},
    vantage_points,
};
use crate::socket::{StunMail, Switch, unmapped};

/// How long each sending of a question is waited for, doubling as RFC 8489 §6.2.1 has it, but quicker: punching waits
/// for this, and a question that is lost costs less than a late one. The last wait ends the question.
const WAITS: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(300),
];
/// Answers that wait to be read: one for each sending of a few questions.
const MAIL_MAX: usize = 16;
/// Room for an answer with attributes that nobody asked for.
const ANSWER_BYTES_MAX: usize = 1500;

/// Learns how the NAT in front of `switch`'s socket maps it: asks the relay, then, `answered` having been called, all its
/// other addresses at once.
pub(crate) async fn probe(switch: &Switch, relay: SocketAddr, answered: impl FnOnce()) -> NatReport {
    let relay = unmapped(relay);
    let local = local_addr_towards(switch, relay);
    // A socket that was bound just now counts as full until the runtime has looked at it.
    if let Some(udp) = switch.udp_behind(relay) {
        timeout(WAITS[0], udp.writable()).await.ok();
    }
    let first = ask(switch, &[relay]).await.pop().flatten();
    if first.is_some() {
        answered();
    }
    let others =
        first.and_then(|reply| reply.other).map_or_else(Vec::new, |other| vantage_points(relay, other));
    let replies = ask(switch, &others).await;
    let servers = std::iter::once(relay).chain(others);
    let answers: Vec<_> = servers
        .zip(std::iter::once(first).chain(replies))
        .filter_map(|(server, reply)| reply.map(|reply| Answer { server, mapped: reply.mapped }))
        .collect();
    let report = classify(local, &answers);
    tracing::debug!(?report, ?answers, "NAT probed");
    report
}

/// Where `server` sees a socket come from that has never sent before: the newest mapping of the NAT, from which the
/// next one follows where it counts.
///
/// It takes a socket of its own, as QUIC's has mappings towards the relay that a NAT would use again.
pub(crate) async fn newest(switch: &Switch, server: SocketAddr) -> Option<SocketAddr> {
    let question = Question::new(server);
    let source = local_addr_towards(switch, question.server).ip();
    let socket = UdpSocket::bind(SocketAddr::new(source, 0)).await.ok()?;
    socket.connect(question.server).await.ok()?;
    let mut answer = [0; ANSWER_BYTES_MAX];
    for wait in WAITS {
        socket.send(&question.request).await.ok()?;
        let until = Instant::now() + wait;
        while let Ok(Ok(len)) = timeout_at(until, socket.recv(&mut answer)).await {
            if let Some(reply) = read_reply(&answer[..len], question.id) {
                return Some(reply.mapped);
            }
        }
    }
    None
}

/// One question to one server.
struct Question {
    id: QuestionId,
    server: SocketAddr,
    request: Vec<u8>,
}

impl Question {
    fn new(server: SocketAddr) -> Self {
        let id = rand::random();
        Self { id, server: unmapped(server), request: request(id) }
    }

    fn read(&self, (from, message): &StunMail) -> Option<Reply> {
        if *from == self.server { read_reply(message, self.id) } else { None }
    }
}

/// Questions whose answers the switch keeps for this side until they are dropped.
struct Asked<'s> {
    switch: &'s Switch,
    questions: Vec<Question>,
    mail: mpsc::Receiver<StunMail>,
}

impl<'s> Asked<'s> {
    fn new(switch: &'s Switch, servers: &[SocketAddr]) -> Self {
        let (heard, mail) = mpsc::channel(MAIL_MAX);
        let questions: Vec<_> = servers.iter().copied().map(Question::new).collect();
        for question in &questions {
            switch.await_answer(question.id, heard.clone());
        }
        Self { switch, questions, mail }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        for question in &self.questions {
            self.switch.forget_question(question.id);
        }
    }
}

/// Asks `servers` at once, in their order, so that a NAT that counts maps them in that order; what each replied.
async fn ask(switch: &Switch, servers: &[SocketAddr]) -> Vec<Option<Reply>> {
    let mut asked = Asked::new(switch, servers);
    let mut replies = vec![None; servers.len()];
    for wait in WAITS {
        for (question, _) in asked.questions.iter().zip(&replies).filter(|(_, reply)| reply.is_none()) {
            switch.send_bytes(question.server, &question.request);
        }
        let until = Instant::now() + wait;
        while replies.contains(&None) {
            let Ok(Some(mail)) = timeout_at(until, asked.mail.recv()).await else { break };
            for (question, reply) in asked.questions.iter().zip(&mut replies) {
                *reply = reply.or_else(|| question.read(&mail));
            }
        }
    }
    replies
}

/// The address and port that QUIC's packets to `server` leave from; without a way there, the unspecified address.
fn local_addr_towards(switch: &Switch, server: SocketAddr) -> SocketAddr {
    let any = any_addr(server);
    let bound = switch.sockets().iter().filter_map(|udp| udp.local_addr().ok());
    let local = bound.into_iter().find(|addr| addr.is_ipv4() == server.is_ipv4()).unwrap_or(any);
    if local.ip().is_unspecified() {
        SocketAddr::new(source_towards(server).unwrap_or_else(|_| any.ip()), local.port())
    } else {
        local
    }
}

/// The source address that the system's routes give to packets to `to`. Nothing is sent.
fn source_towards(to: SocketAddr) -> io::Result<IpAddr> {
    let socket = StdUdpSocket::bind(any_addr(to))?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

/// Any port of the family of `to`.
fn any_addr(to: SocketAddr) -> SocketAddr {
    match to {
        SocketAddr::V4(_) => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
        SocketAddr::V6(_) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
    }
}
