//! Names of the length-prefixed protocol: registered, looked up, given back.
//!
//! A name space of its own: a name here never stands for an ID that people dial, nor for a client of TAGIO
//! messages. Clients have no keys, so the first holder of a name keeps it while its connection lives. Only the
//! address that it came from may take it over: that is what a client looks like that lost its connection before
//! the relay noticed. Whoever shares the address with it (a NAT) can do so too; the protocol knows no better.

pub mod wire;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Instant};

use self::wire::Name;
use crate::{
    SourceNet,
    denial::{Denial, Denials},
    limits::Limits,
    rate::{Rate, RateTable},
};

/// Names a registered connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RegistrationId(u64);

#[derive(Debug)]
struct Holder<M> {
    id: RegistrationId,
    addr: SocketAddr,
    mailbox: M,
}

/// A name is registered.
#[derive(Debug, PartialEq, Eq)]
pub struct Registered<M> {
    /// For [`Registrations::leave`] and [`Registrations::look_up`].
    pub id: RegistrationId,
    /// The connection that had the name before; it is to be closed.
    pub replaced: Option<M>,
}

/// Whom a name led to.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<M> {
    /// Where it is.
    pub addr: SocketAddr,
    /// For the news that somebody looks for it; `None` when it asked for itself.
    pub tell: Option<M>,
}

/// All names. `M` is a handle on the mailbox of a connection, which belongs to whoever writes to it.
pub struct Registrations<M> {
    limits: Limits,
    denials: Arc<Denials>,
    holders: BTreeMap<Name, Holder<M>>,
    lookups: RateTable<SourceNet>,
    /// Never used twice.
    next_id: u64,
}

impl<M: Clone> Registrations<M> {
    /// No name is taken.
    pub fn new(limits: Limits, denials: Arc<Denials>) -> Self {
        let lookups = RateTable::new(limits.rate_entries_max);
        Self { limits, denials, holders: BTreeMap::new(), lookups, next_id: 0 }
    }

    /// Takes over other limits for what comes from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Somebody at `addr`, who has shown the relay's secret where there is one, wants `name`.
    pub fn register(&mut self, name: Name, addr: SocketAddr, mailbox: M) -> Result<Registered<M>, Denial> {
        let is_full = self.holders.len() >= self.limits.registrations_max as usize;
        match self.holders.get(&name) {
            Some(holder) if SourceNet::from(holder.addr.ip()) != SourceNet::from(addr.ip()) => {
                return Err(Denial::RegistrationTaken);
            }
            None if is_full => return Err(Denial::RegistrationsFull),
            Some(_) | None => {}
        }
        let id = RegistrationId(self.next_id);
        self.next_id += 1;
        let replaced = self.holders.insert(name, Holder { id, addr, mailbox }).map(|holder| holder.mailbox);
        Ok(Registered { id, replaced })
    }

    /// A connection is gone. A name that a newer one took over stays.
    pub fn leave(&mut self, id: RegistrationId, name: &Name) {
        if self.holders.get(name).is_some_and(|holder| holder.id == id) {
            self.holders.remove(name);
        }
    }

    /// Who has `name`, for the connection `id` at `from`. To ask too fast looks as if nobody had it.
    pub fn look_up(
        &mut self,
        id: RegistrationId,
        from: SocketAddr,
        name: &Name,
        now: Instant,
    ) -> Option<Found<M>> {
        let rate =
            Rate::new(self.limits.registration_lookup_burst, self.limits.registration_lookup_interval_ms);
        if self.lookups.spend(from.ip().into(), rate, now).is_err() {
            self.denials.count(Denial::RegistrationLookupRate);
            return None;
        }
        let holder = self.holders.get(name)?;
        Some(Found { addr: holder.addr, tell: (holder.id != id).then(|| holder.mailbox.clone()) })
    }

    /// Lets time pass; called about once a second.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.lookups.forget_full(now);
    }

    /// How many names are taken.
    pub fn len(&self) -> usize {
        self.holders.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }
}
