//! TAGIO messages: who may have an ID, and whom a message goes to.
//!
//! Clients are strangers without keys. An ID is a random number that lives as long as its client; whoever knows it
//! can send to it, so the rules keep it from being guessed. A message carries its target only, and the relay puts
//! the sender's ID in: nobody can speak for another.

mod clients;
pub mod mailbox;
pub mod message;
pub mod stream;

use std::{net::IpAddr, sync::Arc, time::Instant};

use rand::CryptoRng;

use self::{
    clients::Clients,
    mailbox::Refused,
    message::{Request, registered_id},
};
use crate::{
    SourceNet,
    denial::{Denial, Denials},
    limits::Limits,
    rate::{Rate, RateTable},
};

pub use clients::{Quiet, SessionToken};
pub use mailbox::{Bounds, Budget, Framing, Mailbox};
pub use message::{ClientId, ErrorCode, Reply};

/// What a message from a client comes to.
#[derive(Debug, PartialEq, Eq)]
pub struct Handled<'m, M> {
    /// It was the client's first: before anything else it is told its ID.
    pub ack: Option<Reply>,
    /// And then.
    pub then: Action<'m, M>,
}

/// What is to be done about a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<'m, M> {
    /// Nothing more.
    Nothing,
    /// Answer its sender.
    Reply(Reply),
    /// Put a `MSG` into a mailbox: [`message::msg_head`] of `from`, then the payload. When it is refused, tell the
    /// sender what [`Messages::refused`] says.
    Deliver {
        /// The target's.
        to: M,
        /// Its sender, whatever the payload may say.
        from: ClientId,
        /// Any bytes.
        payload: &'m [u8],
    },
}

/// What went through so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Messages.
    pub messages: u64,
    /// Bytes of payload in them.
    pub bytes: u64,
}

/// The rules' state. `M` is a handle on a client's mailbox, which belongs to whoever writes to that client.
pub struct Messages<M, R> {
    limits: Limits,
    rng: R,
    denials: Arc<Denials>,
    clients: Clients<M>,
    /// New clients, by address.
    joins: RateTable<SourceNet>,
    /// Messages to IDs that nobody has, by address: guesses, as far as anybody can tell.
    misses: RateTable<SourceNet>,
    delivered: Delivered,
}

impl<M: Clone, R: CryptoRng> Messages<M, R> {
    /// Nobody is there.
    pub fn new(limits: Limits, denials: Arc<Denials>, rng: R) -> Self {
        let entries = limits.rate_entries_max;
        Self {
            limits,
            rng,
            denials,
            clients: Clients::default(),
            joins: RateTable::new(entries),
            misses: RateTable::new(entries),
            delivered: Delivered::default(),
        }
    }

    /// Takes over other limits for what comes from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// A client has come. Its ID stays the same until [`Self::leave`]; it hears of it by its first message.
    pub fn join(&mut self, ip: IpAddr, mailbox: M, now: Instant) -> Result<ClientId, Denial> {
        let net = SourceNet::from(ip);
        self.clients.has_room(net, &self.limits)?;
        let rate = Rate::new(self.limits.tagio_client_burst, self.limits.tagio_client_interval_ms);
        self.joins.spend(net, rate, now).map_err(|_| Denial::TagioClientRate)?;
        Ok(self.clients.insert(ip, mailbox, &self.limits, &mut self.rng, now))
    }

    /// Gives a client that has no connection a token to be known by. An older token of it is worth nothing then.
    pub fn open_session(&mut self, id: ClientId) -> Option<SessionToken> {
        self.clients.open_session(id, &mut self.rng)
    }

    /// The client that was given `token` comes again, from `ip`.
    pub fn resume(&mut self, token: SessionToken, ip: IpAddr, now: Instant) -> Option<(ClientId, M)> {
        let id = self.clients.by_session(token)?;
        let entry = self.clients.heard(id, now)?;
        entry.ip = ip;
        Some((id, entry.mailbox.clone()))
    }

    /// A client is gone.
    pub fn leave(&mut self, id: ClientId) {
        self.clients.remove(id);
    }

    /// A client is alive, without a message of it.
    pub fn heard(&mut self, id: ClientId, now: Instant) {
        self.clients.heard(id, now);
    }

    /// A client says something. `None` when it is not known, most often because it was silent for too long.
    pub fn handle<'m>(&mut self, id: ClientId, bytes: &'m [u8], now: Instant) -> Option<Handled<'m, M>> {
        let entry = self.clients.heard(id, now)?;
        let (ip, is_first) = (entry.ip, !std::mem::replace(&mut entry.greeted, true));
        let ack = is_first.then_some(Reply::Ack(id));
        let then = if bytes.len() > self.limits.tagio_message_bytes_max as usize {
            Err(ErrorCode::TooLarge)
        } else {
            message::parse(bytes)
                .and_then(|request| self.act(id, SourceNet::from(ip), request, is_first, now))
        };
        let then = then.unwrap_or_else(|code| {
            self.denials.count(denial(code));
            Action::Reply(Reply::Error(code))
        });
        Some(Handled { ack, then })
    }

    /// A message did not go into its target's mailbox: what its sender is told.
    pub fn refused(&self, why: Refused) -> Reply {
        self.denials.count(match why {
            Refused::Full => Denial::TagioQueueFull,
            Refused::AllFull => Denial::TagioQueuesFull,
        });
        Reply::Error(ErrorCode::QueueFull)
    }

    /// Lets time pass; called about once a second, then [`Self::pop_quiet`] until it gives `None`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.joins.forget_full(now);
        self.misses.forget_full(now);
    }

    /// One client that was not heard for long.
    pub fn pop_quiet(&mut self, now: Instant) -> Option<Quiet<M>> {
        let quiet = self.clients.pop_quiet(&self.limits, now)?;
        if matches!(quiet, Quiet::Gone(_)) {
            self.denials.count(Denial::Silent);
        }
        Some(quiet)
    }

    /// The relay stops: everybody is out. Their mailboxes, for a last word.
    pub fn drain(&mut self) -> Vec<M> {
        self.clients.drain()
    }

    /// How many clients there are.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.clients.len() == 0
    }

    /// What went through so far.
    pub fn delivered(&self) -> Delivered {
        self.delivered
    }

    fn act<'m>(
        &mut self,
        id: ClientId,
        net: SourceNet,
        request: Request<'m>,
        is_first: bool,
        now: Instant,
    ) -> Result<Action<'m, M>, ErrorCode> {
        match request {
            // The first one was answered already.
            Request::Ping if is_first => Ok(Action::Nothing),
            Request::Ping => Ok(Action::Reply(Reply::Ack(id))),
            Request::Register(payload) => Ok(Action::Reply(match registered_id(payload) {
                Ok(confirmed) if confirmed == id => Reply::Registered,
                Ok(_) => Reply::NotRegistered(message::RegisterError::IdMismatch),
                Err(error) => Reply::NotRegistered(error),
            })),
            Request::Address { of } => {
                let (_, ip) = self.find(net, of, now)?;
                Ok(Action::Reply(Reply::Address(ip)))
            }
            Request::Message { to, payload } => {
                let (to, _) = self.find(net, to, now)?;
                self.delivered.messages += 1;
                self.delivered.bytes += payload.len() as u64;
                Ok(Action::Deliver { to, from: id, payload })
            }
        }
    }

    /// The client that somebody at `net` names. Whoever has named too many that are not there learns nothing more,
    /// not even of those that are: an ID cannot be found by trying.
    fn find(
        &mut self,
        net: SourceNet,
        target: Option<ClientId>,
        now: Instant,
    ) -> Result<(M, IpAddr), ErrorCode> {
        let rate = Rate::new(self.limits.tagio_miss_burst, self.limits.tagio_miss_interval_ms);
        if !self.misses.allows(&net, rate, now) {
            return Err(ErrorCode::RateLimited);
        }
        if let Some(found) = target.and_then(|id| self.clients.get(id)) {
            return Ok((found.mailbox.clone(), found.ip));
        }
        // A full table refuses newcomers, whose guesses must not be free either.
        self.misses.spend(net, rate, now).map_err(|_| ErrorCode::RateLimited)?;
        Err(ErrorCode::UnknownTarget)
    }
}

/// How a refusal is counted.
pub fn denial(code: ErrorCode) -> Denial {
    match code {
        ErrorCode::BadMessage => Denial::TagioMalformed,
        ErrorCode::BadVersion => Denial::WrongVersion,
        ErrorCode::TooLarge => Denial::TagioTooLarge,
        ErrorCode::UnknownTarget => Denial::TagioUnknownTarget,
        ErrorCode::QueueFull => Denial::TagioQueueFull,
        ErrorCode::RateLimited => Denial::TagioMissRate,
        ErrorCode::UnknownSession => Denial::TagioUnknownSession,
        ErrorCode::WrongSecret => Denial::WrongSecret,
        ErrorCode::Full => Denial::TagioClientsFull,
    }
}
