//! TAGIO messages between clients that know this protocol only: over WebSocket, over HTTP, over plain TCP.
//!
//! The rules are `tagio_relay_core::messages`; here are the ways to the clients. Behind one mutex, held for look-ups:
//! a message is copied into its target's mailbox without it.

mod frames;
pub(crate) mod http;
pub(crate) mod line;
pub(crate) mod raw;
pub(crate) mod websocket;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Instant,
};

use rand::rngs::StdRng;
use tagio_relay_core::{
    Denial, Denials, Limits,
    messages::{
        Action, Bounds, Budget, ClientId, ErrorCode, Framing, Messages, Quiet, Reply,
        message::{msg_head, parse},
    },
};

use self::line::Line;
use crate::{lock::lock, shared::Shared};

/// What clients of TAGIO messages share.
pub(crate) struct Messaging {
    rules: Mutex<Messages<Arc<Line>, StdRng>>,
    /// Of all mailboxes.
    queued: Arc<Budget>,
    /// Of messages that have come in part.
    partial: Arc<Budget>,
}

/// Numbers for the metrics page.
pub(crate) struct Gauges {
    pub(crate) clients: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) queued_bytes: u64,
}

impl Messaging {
    pub(crate) fn new(limits: Limits, denials: Arc<Denials>) -> Self {
        let rules = Mutex::new(Messages::new(limits, denials, rand::make_rng()));
        Self { rules, queued: Arc::default(), partial: Arc::default() }
    }

    pub(crate) fn set_limits(&self, limits: Limits) {
        lock(&self.rules).set_limits(limits);
    }

    /// Lets a second pass: who was silent for long is asked for a sign of life, and then forgotten.
    pub(crate) fn handle_timeout(&self) {
        let now = Instant::now();
        let mut rules = lock(&self.rules);
        rules.handle_timeout(now);
        while let Some(quiet) = rules.pop_quiet(now) {
            match quiet {
                Quiet::Ask(line) => line.ask(),
                Quiet::Gone(line) => line.cut(),
            }
        }
    }

    /// Tells everybody that the relay stops.
    pub(crate) fn drain(&self) {
        for line in lock(&self.rules).drain() {
            line.go_away();
        }
    }

    /// Whether nobody has anything left to be written.
    pub(crate) fn is_quiet(&self) -> bool {
        self.queued.used() == 0
    }

    pub(crate) fn gauges(&self) -> Gauges {
        let rules = lock(&self.rules);
        let delivered = rules.delivered();
        Gauges {
            clients: rules.len() as u64,
            messages: delivered.messages,
            bytes: delivered.bytes,
            queued_bytes: (self.queued.used() + self.partial.used()) as u64,
        }
    }

    /// A mailbox for a newcomer.
    pub(crate) fn line(&self, framing: Framing, bounds: Bounds) -> Arc<Line> {
        Line::new(framing, Arc::clone(&self.queued), bounds)
    }
}

/// A connected client; forgotten when it is dropped.
struct Member {
    shared: Arc<Shared>,
    id: ClientId,
    line: Arc<Line>,
}

impl Member {
    fn join(shared: &Arc<Shared>, framing: Framing, peer: SocketAddr) -> Result<Self, Denial> {
        let (id, line) = join(shared, framing, peer)?;
        Ok(Self { shared: Arc::clone(shared), id, line })
    }

    /// Does what a message asks for, and puts the answers into the client's own mailbox. An error ends the
    /// connection.
    fn handle(&self, message: &[u8]) -> Result<(), Denial> {
        let handled = lock(&self.shared.messages.rules).handle(self.id, message, Instant::now());
        // It was silent for too long, and is forgotten.
        let Some(handled) = handled else { return Err(Denial::Silent) };
        let answers = handled.ack.into_iter().chain(carry_out(&self.shared, handled.then));
        for answer in answers {
            self.answer(answer)?;
        }
        Ok(())
    }

    fn answer(&self, reply: Reply) -> Result<(), Denial> {
        self.line.answer(&reply.bytes()).map_err(|_| Denial::TagioNotReading)
    }

    fn heard(&self) {
        lock(&self.shared.messages.rules).heard(self.id, Instant::now());
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        lock(&self.shared.messages.rules).leave(self.id);
    }
}

/// A new client with a mailbox.
fn join(shared: &Shared, framing: Framing, peer: SocketAddr) -> Result<(ClientId, Arc<Line>), Denial> {
    if lock(&shared.hub).is_draining() {
        return Err(Denial::Draining);
    }
    let limits = shared.limits();
    let bounds = Bounds {
        own_bytes_max: limits.tagio_queue_bytes_max as usize,
        all_bytes_max: limits.tagio_queues_bytes_max as usize,
    };
    let line = shared.messages.line(framing, bounds);
    let id = lock(&shared.messages.rules).join(peer.ip(), Arc::clone(&line), Instant::now())?;
    Ok((id, line))
}

/// Does what a message asks for; what its sender is told.
fn carry_out(shared: &Shared, action: Action<'_, Arc<Line>>) -> Option<Reply> {
    match action {
        Action::Nothing => None,
        Action::Reply(reply) => Some(reply),
        Action::Deliver { to, from, payload } => {
            let pushed = to.push(&[&msg_head(from), payload]);
            pushed.err().map(|why| lock(&shared.messages.rules).refused(why))
        }
    }
}

/// Whether a message is a `PING`, which waits for others where it comes by HTTP.
fn is_ping(message: &[u8]) -> bool {
    matches!(parse(message), Ok(tagio_relay_core::messages::message::Request::Ping))
}

/// What somebody hears who is not let in.
fn refusal(denial: Denial) -> ErrorCode {
    match denial {
        Denial::WrongSecret | Denial::WrongSecretRate => ErrorCode::WrongSecret,
        Denial::TagioClientRate | Denial::TagioClientsPerIp => ErrorCode::RateLimited,
        _ => ErrorCode::Full,
    }
}
