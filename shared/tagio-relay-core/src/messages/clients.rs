//! The clients of TAGIO messages: their IDs, where they are, when they were last heard.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, mem,
    net::IpAddr,
    time::{Duration, Instant},
};

use rand::{CryptoRng, RngExt};
use sha2::{Digest, Sha256};

use super::message::ClientId;
use crate::{SourceNet, denial::Denial, limits::Limits};

/// What an HTTP client shows to be the one that it was: 128 bits that nobody can guess.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionToken(pub [u8; 16]);

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A token's hash. Sessions are looked up by it, so the time that a look-up takes says nothing about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TokenHash([u8; 32]);

impl From<SessionToken> for TokenHash {
    fn from(token: SessionToken) -> Self {
        Self(Sha256::digest(token.0).into())
    }
}

/// One client. `M` is what reaches it; the rules only hand it out.
#[derive(Debug)]
pub(super) struct Entry<M> {
    pub(super) mailbox: M,
    pub(super) ip: IpAddr,
    /// Whether its first message has been answered.
    pub(super) greeted: bool,
    net: SourceNet,
    heard: Instant,
    /// Whether it was asked for a sign of life since.
    asked: bool,
    /// INVARIANT: `(queued, id)` is in `Clients::deadlines`, and not later than the true deadline.
    queued: Instant,
    session: Option<TokenHash>,
}

/// A client that was not heard for long.
#[derive(Debug, PartialEq, Eq)]
pub enum Quiet<M> {
    /// Ask it for a sign of life, where its transport can.
    Ask(M),
    /// It is out; close what is left of it.
    Gone(M),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Clients<M> {
    entries: BTreeMap<ClientId, Entry<M>>,
    sessions: BTreeMap<TokenHash, ClientId>,
    by_net: BTreeMap<SourceNet, u32>,
    deadlines: BTreeSet<(Instant, ClientId)>,
}

impl<M> Default for Clients<M> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            sessions: BTreeMap::new(),
            by_net: BTreeMap::new(),
            deadlines: BTreeSet::new(),
        }
    }
}

/// Silence after which a client is asked for a sign of life.
fn patience(limits: &Limits) -> Duration {
    limits.tagio_silence() / 2
}

impl<M: Clone> Clients<M> {
    /// Whether there is room for one more from `net`.
    pub(super) fn has_room(&self, net: SourceNet, limits: &Limits) -> Result<(), Denial> {
        if self.entries.len() >= limits.tagio_clients_max as usize {
            return Err(Denial::TagioClientsFull);
        }
        if self.by_net.get(&net).is_some_and(|count| *count >= limits.tagio_clients_per_ip_max) {
            return Err(Denial::TagioClientsPerIp);
        }
        Ok(())
    }

    /// Adds one under a new ID.
    pub(super) fn insert(
        &mut self,
        ip: IpAddr,
        mailbox: M,
        limits: &Limits,
        rng: &mut impl CryptoRng,
        now: Instant,
    ) -> ClientId {
        let id = self.unused_id(rng);
        let (net, queued) = (SourceNet::from(ip), now + patience(limits));
        self.deadlines.insert((queued, id));
        *self.by_net.entry(net).or_default() += 1;
        let entry =
            Entry { mailbox, ip, greeted: false, net, heard: now, asked: false, queued, session: None };
        self.entries.insert(id, entry);
        id
    }

    /// Random, so that nobody can tell who came before or after; never one that is in use.
    fn unused_id(&self, rng: &mut impl CryptoRng) -> ClientId {
        loop {
            if let Some(id) = ClientId::new(rng.random())
                && !self.entries.contains_key(&id)
            {
                return id;
            }
        }
    }

    /// Gives a client a token by which it is found again.
    pub(super) fn open_session(&mut self, id: ClientId, rng: &mut impl CryptoRng) -> Option<SessionToken> {
        let entry = self.entries.get_mut(&id)?;
        let token = SessionToken(rng.random());
        let hash = TokenHash::from(token);
        if let Some(old) = entry.session.replace(hash) {
            self.sessions.remove(&old);
        }
        self.sessions.insert(hash, id);
        Some(token)
    }

    pub(super) fn by_session(&self, token: SessionToken) -> Option<ClientId> {
        self.sessions.get(&TokenHash::from(token)).copied()
    }

    pub(super) fn get(&self, id: ClientId) -> Option<&Entry<M>> {
        self.entries.get(&id)
    }

    /// A sign of life.
    pub(super) fn heard(&mut self, id: ClientId, now: Instant) -> Option<&mut Entry<M>> {
        let entry = self.entries.get_mut(&id)?;
        entry.heard = now;
        entry.asked = false;
        Some(entry)
    }

    pub(super) fn remove(&mut self, id: ClientId) -> Option<Entry<M>> {
        let entry = self.entries.remove(&id)?;
        self.deadlines.remove(&(entry.queued, id));
        if let Some(session) = entry.session {
            self.sessions.remove(&session);
        }
        if let Some(count) = self.by_net.get_mut(&entry.net) {
            *count -= 1;
            if *count == 0 {
                self.by_net.remove(&entry.net);
            }
        }
        Some(entry)
    }

    /// One client that was not heard for long. Called until it gives `None`.
    pub(super) fn pop_quiet(&mut self, limits: &Limits, now: Instant) -> Option<Quiet<M>> {
        while let Some((queued, id)) = self.deadlines.first().copied()
            && queued <= now
        {
            self.deadlines.pop_first();
            let entry = self.entries.get_mut(&id).expect("a queued client is known");
            if entry.heard + limits.tagio_silence() <= now {
                return self.remove(id).map(|entry| Quiet::Gone(entry.mailbox));
            }
            let ask = !entry.asked && entry.heard + patience(limits) <= now;
            entry.asked |= ask;
            let patience = if entry.asked { limits.tagio_silence() } else { patience(limits) };
            entry.queued = entry.heard + patience;
            self.deadlines.insert((entry.queued, id));
            if ask {
                return Some(Quiet::Ask(entry.mailbox.clone()));
            }
        }
        None
    }

    /// Removes all of them; their mailboxes.
    pub(super) fn drain(&mut self) -> Vec<M> {
        mem::take(self).entries.into_values().map(|entry| entry.mailbox).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
