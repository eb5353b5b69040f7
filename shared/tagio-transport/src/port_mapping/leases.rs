//! Which mappings are held, asked for and due: a state machine that is handed time and answers. Pure.
//!
//! A round asks for every lease that is not held: by PCP or NAT-PMP at once, by UPnP when a search has found
//! a gateway. The first good answer is kept, later ones are given back. A check that fails asks for a
//! renewal, a renewal that fails starts a round; a round that brings nothing is repeated ever more rarely.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    MappedAddr,
    ask::{Ask, Health, MapAsk},
    epoch::Epoch,
    error::MappingError,
    grant::{Grant, Protocol},
    pcp::Nonce,
};

/// Pause after a round that brought nothing; each further one is four times as long, up to the longest.
/// The first is short because a multicast is lost easily, over radio above all.
const RETRY_AFTER: Duration = Duration::from_secs(15);
const RETRY_FACTOR: u32 = 4;
const RETRY_AFTER_MAX: Duration = Duration::from_secs(32 * 60);
/// How often a router is asked whether it still knows: its restart cuts the way in until the next question.
const CHECK_EVERY: Duration = Duration::from_secs(60);

/// The mappings of one network.
#[derive(Debug)]
pub(super) struct Leases {
    leases: Vec<Lease>,
    asks: VecDeque<Ask>,
    searching: Vec<Protocol>,
    retry_at: Option<Instant>,
    check_at: Option<Instant>,
    /// Rounds in a row that brought nothing.
    failures: u32,
    epoch: Epoch,
    is_closing: bool,
}

/// One socket that peers should be able to reach.
#[derive(Debug)]
struct Lease {
    internal: SocketAddr,
    nonce: Nonce,
    last: Option<Grant>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Waits for the next round.
    Idle,
    /// So many protocols may still give one.
    Asking { open: u8 },
    /// `renew_at` is `None` while the renewal is on its way.
    Held { grant: Grant, renew_at: Option<Instant> },
}

impl Leases {
    /// For these sockets, each with a nonce of its own; the first round is due at once.
    pub(super) fn new(sockets: impl IntoIterator<Item = (SocketAddr, Nonce)>, now: Instant) -> Self {
        let lease = |(internal, nonce)| Lease { internal, nonce, last: None, state: State::Idle };
        let leases: Vec<_> = sockets.into_iter().map(lease).collect();
        Self {
            retry_at: (!leases.is_empty()).then_some(now),
            leases,
            asks: VecDeque::new(),
            searching: Vec::new(),
            check_at: None,
            failures: 0,
            epoch: Epoch::default(),
            is_closing: false,
        }
    }

    /// The next question, until `None`.
    pub(super) fn poll_ask(&mut self) -> Option<Ask> {
        self.asks.pop_front()
    }

    /// When [`Self::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let renewals = self.leases.iter().filter_map(|lease| match lease.state {
            State::Held { renew_at, .. } => renew_at,
            State::Idle | State::Asking { .. } => None,
        });
        let retry_at = self.retry_at.filter(|_| !self.is_busy());
        renewals.chain(retry_at).chain(self.check_at).min()
    }

    /// Where peers can reach this machine, by what is held now.
    pub(super) fn external(&self) -> Vec<MappedAddr> {
        let held = self.leases.iter().filter_map(Lease::held);
        held.map(|grant| MappedAddr { external: grant.external, by: grant.handle.by() }).collect()
    }

    /// Asks what is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.is_closing {
            return;
        }
        for id in 0..self.leases.len() {
            if let State::Held { grant, renew_at } = &mut self.leases[id].state
                && renew_at.is_some_and(|at| at <= now)
            {
                *renew_at = None;
                let protocol = grant.handle.protocol();
                self.ask_for(id, protocol);
            }
        }
        if self.check_at.is_some_and(|at| at <= now) {
            self.check(now);
        }
        if self.retry_at.is_some_and(|at| at <= now) && !self.is_busy() {
            self.begin_round();
        }
    }

    /// Something may have changed: what is held is renewed, what is not is asked for.
    pub(super) fn look_again(&mut self, now: Instant) {
        self.failures = 0;
        self.retry_at = self.leases.iter().any(|lease| lease.held().is_none()).then_some(now);
        self.renew_all(now, |_| true);
    }

    /// From now on everything is given back, what is still on its way included.
    pub(super) fn close(&mut self) {
        self.is_closing = true;
        (self.retry_at, self.check_at) = (None, None);
        self.asks.clear();
        for id in 0..self.leases.len() {
            if let Some(grant) = self.leases[id].held() {
                self.leases[id].state = State::Idle;
                self.give_back(id, grant);
            }
        }
    }

    /// A search has ended.
    pub(super) fn handle_search(&mut self, protocol: Protocol, is_there: bool, now: Instant) {
        self.searching.retain(|searched| *searched != protocol);
        for id in 0..self.leases.len() {
            let lease = &self.leases[id];
            if !protocol.serves(lease.internal) || !matches!(lease.state, State::Asking { .. }) {
                continue;
            }
            if is_there && !self.is_closing {
                self.ask_for(id, protocol);
            } else {
                self.refused(id, protocol, now);
            }
        }
    }

    /// A router has answered a [`MapAsk`], or never will.
    pub(super) fn handle_map(&mut self, ask: &MapAsk, outcome: Result<Grant, MappingError>, now: Instant) {
        let (id, protocol) = (ask.lease, ask.protocol);
        match outcome {
            Ok(grant) if self.is_closing || !grant.is_useful() => {
                self.give_back(id, grant);
                self.refused(id, protocol, now);
            }
            Ok(grant) => self.granted(id, grant, now),
            Err(error) => {
                tracing::debug!(%error, ?protocol, "no port mapping");
                self.refused(id, protocol, now);
            }
        }
    }

    /// A router has answered [`Ask::Check`], or never will.
    pub(super) fn handle_check(
        &mut self,
        protocol: Protocol,
        outcome: Result<Health, MappingError>,
        now: Instant,
    ) {
        match outcome {
            Ok(health) => {
                let has_forgotten = health.epoch.is_some_and(|epoch| self.epoch.is_broken_by(epoch, now));
                self.renew_all(now, |grant| {
                    let moved = health.external_ip.is_some_and(|ip| ip != grant.external.ip());
                    grant.handle.protocol() == protocol && (has_forgotten || moved)
                });
            }
            // It may be gone, or not know this question: the renewal will tell.
            Err(error) => {
                tracing::debug!(%error, ?protocol, "the router does not say how it is");
                self.renew_all(now, |grant| grant.handle.protocol() == protocol);
            }
        }
    }

    fn is_busy(&self) -> bool {
        let asking = self.leases.iter().any(|lease| matches!(lease.state, State::Asking { .. }));
        asking || !self.searching.is_empty()
    }

    fn begin_round(&mut self) {
        self.retry_at = None;
        for id in 0..self.leases.len() {
            if self.leases[id].held().is_some() {
                continue;
            }
            if self.leases[id].internal.is_ipv4() {
                self.leases[id].state = State::Asking { open: 2 };
                self.ask_for(id, Protocol::PortControl);
                self.search(Protocol::Upnp);
            } else {
                self.leases[id].state = State::Asking { open: 1 };
                self.search(Protocol::Pinhole);
            }
        }
    }

    fn search(&mut self, protocol: Protocol) {
        if !self.searching.contains(&protocol) {
            self.searching.push(protocol);
            self.asks.push_back(Ask::Search(protocol));
        }
    }

    fn ask_for(&mut self, id: usize, protocol: Protocol) {
        let Lease { internal, nonce, last, .. } = self.leases[id];
        self.asks.push_back(Ask::Map(MapAsk { lease: id, protocol, internal, nonce, last }));
    }

    fn check(&mut self, now: Instant) {
        let held: Vec<_> = self.leases.iter().filter_map(Lease::held).collect();
        // A pinhole's address is this machine's own, and the firewall has no epoch: nothing to ask.
        for protocol in [Protocol::PortControl, Protocol::Upnp] {
            if held.iter().any(|grant| grant.handle.protocol() == protocol) {
                self.asks.push_back(Ask::Check(protocol));
            }
        }
        self.check_at = (!held.is_empty()).then_some(now + CHECK_EVERY);
    }

    fn renew_all(&mut self, now: Instant, is_due: impl Fn(&Grant) -> bool) {
        for lease in &mut self.leases {
            if let State::Held { grant, renew_at: Some(at) } = &mut lease.state
                && is_due(grant)
            {
                *at = now;
            }
        }
    }

    fn granted(&mut self, id: usize, grant: Grant, now: Instant) {
        if let Some(held) = self.leases[id].held()
            && held.handle.protocol() != grant.handle.protocol()
        {
            // Both names of one mapping, on a router that speaks both languages: giving one back would take
            // the other, too.
            if held.external != grant.external {
                self.give_back(id, grant);
            }
            return;
        }
        let renew_at = Some(now + grant.renew_after());
        let lease = &mut self.leases[id];
        lease.state = State::Held { grant, renew_at };
        lease.last = Some(grant);
        self.failures = 0;
        self.check_at.get_or_insert(now + CHECK_EVERY);
        if let Some(epoch) = grant.epoch {
            self.epoch.begin(epoch, now);
        }
        self.end_round(now);
    }

    fn refused(&mut self, id: usize, protocol: Protocol, now: Instant) {
        let state = &mut self.leases[id].state;
        match state {
            State::Asking { open: open @ 2.. } => *open -= 1,
            State::Asking { .. } => {
                *state = State::Idle;
                self.end_round(now);
            }
            // The renewal failed: everybody is asked anew.
            State::Held { grant, .. } if grant.handle.protocol() == protocol => {
                *state = State::Idle;
                self.retry_at = Some(now);
            }
            State::Held { .. } | State::Idle => {}
        }
    }

    /// Plans the next round once nobody can answer any more.
    fn end_round(&mut self, now: Instant) {
        let asks = self.leases.iter().any(|lease| matches!(lease.state, State::Asking { .. }));
        let lacks = self.leases.iter().any(|lease| matches!(lease.state, State::Idle));
        if asks || !lacks || self.is_closing || self.retry_at.is_some() {
            return;
        }
        let pause =
            RETRY_AFTER.saturating_mul(RETRY_FACTOR.saturating_pow(self.failures)).min(RETRY_AFTER_MAX);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(now + pause);
    }

    fn give_back(&mut self, id: usize, grant: Grant) {
        let Lease { internal, nonce, .. } = self.leases[id];
        self.asks.push_back(Ask::GiveBack { internal, nonce, grant });
    }
}

impl Lease {
    fn held(&self) -> Option<Grant> {
        match self.state {
            State::Held { grant, .. } => Some(grant),
            State::Idle | State::Asking { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
