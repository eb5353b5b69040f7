//! Who is connected now, and who of them can be called.
//!
//! The newest connection of a key takes its presence over, but only once it has proven to be live: the
//! first message of Noise IK can be replayed by whoever recorded it. Until such a connection has said
//! something that only the key's owner can say, calls go to it *and* to the one before. The recorder gets
//! bytes that it cannot read, and a true owner who came back misses nothing.

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

/// What a message from a client came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Whether the client keeps to the rate.
    pub allowed: bool,
    /// The connection that lost the presence because this one is proven now.
    pub replaced: Option<ConnId>,
}

/// A connected client, for the relay's admin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientView {
    /// Who it is.
    pub client: Client,
    /// Since it was let in.
    pub age: Duration,
    /// Since it said something.
    pub silence: Duration,
    /// Its calls that still have a leg.
    pub calls: usize,
}

/// On which connections an ID can be called.
#[derive(Debug, Default)]
struct Callable {
    proven: Option<ConnId>,
    /// The newest one that is not proven yet.
    pending: Option<ConnId>,
}

#[derive(Debug)]
struct Entry {
    client: Client,
    /// Whether it has shown that it is no replay.
    proven: bool,
    since: Instant,
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
    callable: BTreeMap<PeerId, Callable>,
    deadlines: BTreeSet<(Instant, ConnId)>,
}

impl Presence {
    /// A client has come; `proven` says that its handshake cannot be a replay. The connection that it takes
    /// the presence over from, if any.
    pub fn insert(
        &mut self,
        conn: ConnId,
        client: Client,
        proven: bool,
        timeout: Duration,
        now: Instant,
    ) -> Option<ConnId> {
        let queued = now + timeout;
        self.deadlines.insert((queued, conn));
        let calls = Vec::new();
        self.entries
            .insert(conn, Entry { client, proven, since: now, heard: now, queued, messages: now, calls });
        if !client.presence {
            return None;
        }
        let callable = self.callable.entry(client.id).or_default();
        if proven {
            return callable.proven.replace(conn);
        }
        callable.pending = Some(conn);
        None
    }

    /// A client is gone. A presence that a newer connection took over stays.
    pub fn remove(&mut self, conn: ConnId) -> Option<Client> {
        let entry = self.entries.remove(&conn)?;
        self.deadlines.remove(&(entry.queued, conn));
        let id = entry.client.id;
        if let Some(callable) = self.callable.get_mut(&id) {
            callable.proven.take_if(|proven| *proven == conn);
            callable.pending.take_if(|pending| *pending == conn);
            if callable.proven.is_none() && callable.pending.is_none() {
                self.callable.remove(&id);
            }
        }
        Some(entry.client)
    }

    /// Who is behind a connection.
    pub fn client(&self, conn: ConnId) -> Option<&Client> {
        self.entries.get(&conn).map(|entry| &entry.client)
    }

    /// The connections on which `id` can be called: one, for a short time two, of the same key.
    pub fn callable(&self, id: PeerId) -> impl Iterator<Item = ConnId> + use<> {
        let callable = self.callable.get(&id);
        let proven = callable.and_then(|callable| callable.proven);
        let pending = callable.and_then(|callable| callable.pending);
        proven.into_iter().chain(pending)
    }

    /// A message came and was authentic. `None` when the connection is not known.
    pub fn heard(&mut self, conn: ConnId, rate: Rate, now: Instant) -> Option<Heard> {
        let entry = self.entries.get_mut(&conn)?;
        entry.heard = now;
        let allowed = rate.spend(&mut entry.messages, now).is_ok();
        let newly_proven = !std::mem::replace(&mut entry.proven, true);
        let client = entry.client;
        let replaced = if newly_proven && client.presence { self.prove(conn, client.id) } else { None };
        Some(Heard { allowed, replaced })
    }

    fn prove(&mut self, conn: ConnId, id: PeerId) -> Option<ConnId> {
        let callable = self.callable.entry(id).or_default();
        callable.pending.take_if(|pending| *pending == conn);
        match callable.proven {
            // Names count upwards: a newer one has proven itself first.
            Some(newer) if newer > conn => Some(conn),
            older => {
                callable.proven = Some(conn);
                older
            }
        }
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

    /// The newest clients, at most `max`, newest first.
    pub fn newest(&self, max: usize, now: Instant) -> Vec<ClientView> {
        let view = |entry: &Entry| ClientView {
            client: entry.client,
            age: now.saturating_duration_since(entry.since),
            silence: now.saturating_duration_since(entry.heard),
            calls: entry.calls.len(),
        };
        self.entries.values().rev().take(max).map(view).collect()
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
