//! Who is connected now, and who of them can be called.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use tagio_wire::{PeerId, PublicKey, control::CallId, leg::Channel};

use crate::{admission::SourceNet, rate::Rate};

/// Names a control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// Who is at the other end of a control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Proven by the handshake.
    pub key: PublicKey,
    /// Bound to the key.
    pub id: PeerId,
    /// Where it comes from.
    pub net: SourceNet,
    /// Whether it can be called.
    pub presence: bool,
}

#[derive(Debug)]
struct Entry {
    client: Client,
    heard: Instant,
    /// INVARIANT: `(queued, conn)` is in `Presence::deadlines`, and not later than the true deadline.
    queued: Instant,
    /// State of the message [`Rate`].
    messages: Instant,
    /// Calls that this connection made and that still have a leg. Few: `legs_per_caller_max` bounds it.
    calls: Vec<(CallId, Channel)>,
}

/// All connected clients.
#[derive(Debug, Default)]
pub struct Presence {
    entries: BTreeMap<ConnId, Entry>,
    callable: BTreeMap<PeerId, ConnId>,
    deadlines: BTreeSet<(Instant, ConnId)>,
}

impl Presence {
    /// A client has come. The connection that it takes the presence over from, if any: the newest wins.
    pub fn insert(
        &mut self,
        conn: ConnId,
        client: Client,
        timeout: Duration,
        now: Instant,
    ) -> Option<ConnId> {
        let queued = now + timeout;
        self.deadlines.insert((queued, conn));
        self.entries.insert(conn, Entry { client, heard: now, queued, messages: now, calls: Vec::new() });
        if client.presence { self.callable.insert(client.id, conn) } else { None }
    }

    /// A client is gone. A presence that a newer connection took over stays.
    pub fn remove(&mut self, conn: ConnId) -> Option<Client> {
        let entry = self.entries.remove(&conn)?;
        self.deadlines.remove(&(entry.queued, conn));
        if self.callable.get(&entry.client.id) == Some(&conn) {
            self.callable.remove(&entry.client.id);
        }
        Some(entry.client)
    }

    /// Who is behind a connection.
    pub fn client(&self, conn: ConnId) -> Option<&Client> {
        self.entries.get(&conn).map(|entry| &entry.client)
    }

    /// The connection on which `id` can be called.
    pub fn callable(&self, id: PeerId) -> Option<(ConnId, &Client)> {
        let conn = *self.callable.get(&id)?;
        Some((conn, self.client(conn)?))
    }

    /// A message came: whether `rate` allows it. `None` when the connection is not known.
    pub fn heard(&mut self, conn: ConnId, rate: Rate, now: Instant) -> Option<bool> {
        let entry = self.entries.get_mut(&conn)?;
        entry.heard = now;
        Some(rate.spend(&mut entry.messages, now).is_ok())
    }

    /// Remembers the leg of a call; the leg that an earlier call of this number had, if any.
    pub fn add_call(&mut self, conn: ConnId, call: CallId, channel: Channel) -> Option<Channel> {
        let old = self.take_call(conn, call);
        if let Some(entry) = self.entries.get_mut(&conn) {
            entry.calls.push((call, channel));
        }
        old
    }

    /// Forgets a call; its leg.
    pub fn take_call(&mut self, conn: ConnId, call: CallId) -> Option<Channel> {
        let calls = &mut self.entries.get_mut(&conn)?.calls;
        let index = calls.iter().position(|(number, _)| *number == call)?;
        Some(calls.swap_remove(index).1)
    }

    /// One client that was silent for too long; it stays until it is removed. Called until it gives `None`.
    pub fn pop_silent(&mut self, timeout: Duration, now: Instant) -> Option<ConnId> {
        while let Some((queued, conn)) = self.deadlines.first().copied()
            && queued <= now
        {
            self.deadlines.pop_first();
            let entry = self.entries.get_mut(&conn).expect("a queued connection is known");
            let due = entry.heard + timeout;
            // A silent one is looked at again after another timeout, should nobody remove it.
            entry.queued = if due <= now { now + timeout } else { due };
            self.deadlines.insert((entry.queued, conn));
            if due <= now {
                return Some(conn);
            }
        }
        None
    }

    /// All connections, oldest first.
    pub fn conns(&self) -> impl Iterator<Item = ConnId> {
        self.entries.keys().copied()
    }

    /// How many clients are connected.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many of them can be called.
    pub fn callable_len(&self) -> usize {
        self.callable.len()
    }
}
