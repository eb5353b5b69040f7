//! Which sessions serve which route, and which of them gets the next visitor.

use std::{collections::HashMap, ops::RangeInclusive};

use rand::Rng;
use tagio_wire::tunnel::{Place, TunnelRefusal, TunnelSecret};

use super::HostName;
use crate::{admission::SourceNet, denial::Denial, limits::Limits};

/// One tunnel's control connection, numbered for as long as the relay runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// In whose name a route is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Whoever knows this token. Several sessions of one owner share a route's visitors.
    Token(TokenId),
    /// One run of a client on a relay that wants no token.
    Run(TunnelRun),
    /// Clients that speak yamux and say nothing about themselves: the newest gets all visitors.
    Yamux,
}

/// Stands for a token: the same one as long as the token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenId(pub u64);

/// What one token may have, where it is not the same as for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Tunnels at once; `None`: [`Limits::tunnels_per_client_max`].
    pub tunnels_max: Option<u32>,
    /// Visitors of all its tunnels at once; `None`: no more than each tunnel's own limit.
    pub visits_max: Option<u32>,
}

/// [`tagio_wire::tunnel::Open::run`], comparable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TunnelRun(u64, u64, u64, u64);

impl From<TunnelSecret> for TunnelRun {
    fn from(TunnelSecret(bytes): TunnelSecret) -> Self {
        let word = |at: usize| bytes[at..].first_chunk().map_or(0, |chunk| u64::from_be_bytes(*chunk));
        Self(word(0), word(8), word(16), word(24))
    }
}

/// By what visitors come in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// The ingress port, whatever is said there.
    Ingress,
    /// The ingress port, by this name.
    Name(HostName),
    /// A TCP port of its own.
    TcpPort(u16),
    /// A UDP port of its own.
    UdpPort(u16),
}

/// What the relay gives out.
#[derive(Clone, Debug, Default)]
pub struct Naming {
    /// Names are given under it.
    pub domain: Option<HostName>,
    /// Ports that may be asked for.
    pub ports: Option<RangeInclusive<u16>>,
    /// Whether whole names outside of the domain may be had: where clients are known by their tokens.
    pub own_domains: bool,
}

/// A session that wants a route.
#[derive(Clone, Debug)]
pub struct Claim {
    /// In whose name.
    pub owner: Owner,
    /// What the owner may have.
    pub quota: Quota,
    /// Which run of a client.
    pub run: Option<TunnelRun>,
    /// From where.
    pub net: SourceNet,
    /// Which one.
    pub route: Route,
}

/// A claim that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The new session.
    pub session: SessionId,
    /// Sessions whose place it takes; they are in the book no more.
    pub replaced: Vec<SessionId>,
}

/// Why a claim was not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimError {
    /// Other owners' sessions stand there. Ask them whether they live; [`TunnelBook::claim`] again then.
    Contested(Vec<SessionId>),
    /// Not now.
    Denied(Denial),
}

#[derive(Debug)]
struct Session {
    claim: Claim,
    /// Asked for a sign of life, and none has come since.
    doubted: bool,
    /// Somebody answers at the client's side.
    healthy: bool,
    /// Takes no new visitors.
    leaving: bool,
    visits: u32,
    /// When it last got a visitor, counted in visitors: between equals the one that waited longest is next.
    last_chosen: u64,
}

/// All sessions.
#[derive(Debug)]
pub struct TunnelBook {
    limits: Limits,
    naming: Naming,
    sessions: HashMap<SessionId, Session>,
    /// Oldest first. INVARIANT: exactly the sessions above, none of the lists empty.
    routes: HashMap<Route, Vec<SessionId>>,
    next_session: u64,
    next_request: u64,
    visits: u32,
}

impl TunnelBook {
    /// An empty book.
    pub fn new(limits: Limits, naming: Naming) -> Self {
        Self {
            limits,
            naming,
            sessions: HashMap::new(),
            routes: HashMap::new(),
            next_session: 1,
            next_request: 1,
            visits: 0,
        }
    }

    /// Takes over other limits; who is in stays in.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The route that a client's wish means. Port 0 has to be chosen by the caller.
    pub fn route(&self, place: &Place, rng: &mut impl Rng) -> Result<Route, TunnelRefusal> {
        match place {
            Place::Any => match &self.naming.domain {
                None => Ok(Route::Ingress),
                Some(domain) => {
                    HostName::random(domain, rng).map(Route::Name).ok_or(TunnelRefusal::NameNotAllowed)
                }
            },
            Place::Name(text) => self.named(text).map(Route::Name),
            Place::TcpPort(port) => self.port(*port).map(Route::TcpPort),
            Place::UdpPort(port) => self.port(*port).map(Route::UdpPort),
        }
    }

    fn named(&self, text: &str) -> Result<HostName, TunnelRefusal> {
        let name = HostName::parse(text).ok_or(TunnelRefusal::BadName)?;
        let domain = self.naming.domain.as_ref();
        if name.is_label() {
            let domain = domain.ok_or(TunnelRefusal::NameNotAllowed)?;
            return name.under(domain).ok_or(TunnelRefusal::BadName);
        }
        let is_ours = domain.is_some_and(|domain| name.is_under(domain));
        if is_ours || self.naming.own_domains { Ok(name) } else { Err(TunnelRefusal::NameNotAllowed) }
    }

    fn port(&self, port: u16) -> Result<u16, TunnelRefusal> {
        let ports = self.naming.ports.as_ref().ok_or(TunnelRefusal::PortNotAllowed)?;
        if port == 0 || ports.contains(&port) { Ok(port) } else { Err(TunnelRefusal::PortNotAllowed) }
    }

    /// Ports that may be asked for and that nobody of this kind has, in order.
    pub fn free_ports(&self, route: impl Fn(u16) -> Route) -> impl Iterator<Item = u16> {
        let ports = self.naming.ports.clone();
        ports.into_iter().flatten().filter(move |port| !self.routes.contains_key(&route(*port)))
    }

    /// Enters a session. Sessions of the same run on the same route are replaced, and so are other owners' that were
    /// asked for a sign of life ([`TunnelBook::doubt`]) and gave none.
    pub fn claim(&mut self, claim: Claim) -> Result<Claimed, ClaimError> {
        let standing = self.routes.get(&claim.route).map_or(&[][..], Vec::as_slice);
        let (mut replaced, mut contested) = (Vec::new(), Vec::new());
        for id in standing {
            let session = &self.sessions[id];
            let same_run = claim.run.is_some() && session.claim.run == claim.run;
            let same_owner = session.claim.owner == claim.owner;
            if same_owner && same_run || !same_owner && session.doubted {
                replaced.push(*id);
            } else if !same_owner {
                contested.push(*id);
            }
        }
        if !contested.is_empty() {
            return Err(ClaimError::Contested(contested));
        }
        self.has_room(&claim, &replaced).map_err(ClaimError::Denied)?;
        for id in &replaced {
            self.release(*id);
        }
        let session = SessionId(self.next_session);
        self.next_session += 1;
        self.routes.entry(claim.route.clone()).or_default().push(session);
        let entry =
            Session { claim, doubted: false, healthy: true, leaving: false, visits: 0, last_chosen: 0 };
        self.sessions.insert(session, entry);
        Ok(Claimed { session, replaced })
    }

    fn has_room(&self, claim: &Claim, replaced: &[SessionId]) -> Result<(), Denial> {
        let count = |same: &dyn Fn(&Claim) -> bool| {
            let stay = self.sessions.iter().filter(|(id, _)| !replaced.contains(id));
            stay.filter(|(_, session)| same(&session.claim)).count()
        };
        let limit = |limit: u32| limit as usize;
        if count(&|_| true) >= limit(self.limits.tunnels_max) {
            return Err(Denial::TunnelsFull);
        }
        let per_owner = match claim.owner {
            Owner::Token(_) => count(&|other| other.owner == claim.owner),
            Owner::Run(_) | Owner::Yamux => count(&|other| other.net == claim.net),
        };
        if per_owner >= limit(claim.quota.tunnels_max.unwrap_or(self.limits.tunnels_per_client_max)) {
            return Err(Denial::TunnelsPerClient);
        }
        Ok(())
    }

    /// Takes a session out.
    pub fn release(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.visits -= session.visits;
        if let Some(sessions) = self.routes.get_mut(&session.claim.route) {
            sessions.retain(|other| *other != id);
            if sessions.is_empty() {
                self.routes.remove(&session.claim.route);
            }
        }
    }

    /// Asks for a sign of life: until one comes, visitors go elsewhere where they can.
    pub fn doubt(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.doubted = true;
        }
    }

    /// It lives.
    pub fn heard(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.doubted = false;
        }
    }

    /// Whether it was asked for a sign of life and gave none yet. One that is gone is beyond doubt.
    pub fn is_doubted(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| session.doubted)
    }

    /// What the client's own checks say.
    pub fn set_health(&mut self, id: SessionId, healthy: bool) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.healthy = healthy;
        }
    }

    /// No new visitors for it.
    pub fn leave(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.leaving = true;
        }
    }

    /// Whether visitors have to say by what name they come.
    pub fn has_names(&self) -> bool {
        self.naming.domain.is_some() || self.routes.keys().any(|route| matches!(route, Route::Name(_)))
    }

    /// Other sessions of the same route.
    pub fn siblings(&self, id: SessionId) -> Vec<SessionId> {
        let route = self.sessions.get(&id).map(|session| &session.claim.route);
        let all = route.and_then(|route| self.routes.get(route)).map_or(&[][..], Vec::as_slice);
        all.iter().copied().filter(|other| *other != id).collect()
    }

    /// Who gets a visitor: the one with the fewest, of those that are in the best state.
    pub fn choose(&self, route: &Route) -> Option<SessionId> {
        let sessions = self.routes.get(route)?;
        let candidates = sessions.iter().rev().filter(|id| !self.sessions[id].leaving);
        candidates.copied().min_by_key(|id| {
            let session = &self.sessions[id];
            let load = if session.claim.owner == Owner::Yamux { 0 } else { session.visits };
            // Among those that speak yamux the first, which is the newest, stays.
            let turn = if session.claim.owner == Owner::Yamux { 0 } else { session.last_chosen };
            (!session.healthy, session.doubted, load, turn)
        })
    }

    /// A visitor goes to `id`. Its number, which is in all logs; [`TunnelBook::end_visit`] is owed.
    pub fn begin_visit(&mut self, id: SessionId) -> Result<u64, Denial> {
        if self.visits >= self.limits.tunnel_visits_max {
            return Err(Denial::TunnelVisitsFull);
        }
        let request = self.next_request;
        let session = self.sessions.get(&id).ok_or(Denial::TunnelUnknown)?;
        if session.claim.quota.visits_max.is_some_and(|most| self.visits_of(session.claim.owner) >= most) {
            return Err(Denial::TunnelVisitsPerToken);
        }
        let session = self.sessions.get_mut(&id).ok_or(Denial::TunnelUnknown)?;
        if session.visits >= self.limits.tunnel_visits_per_client_max {
            return Err(Denial::TunnelVisitsPerClient);
        }
        session.visits += 1;
        session.last_chosen = request;
        self.visits += 1;
        self.next_request += 1;
        Ok(request)
    }

    fn visits_of(&self, owner: Owner) -> u32 {
        let own = self.sessions.values().filter(|session| session.claim.owner == owner);
        own.map(|session| session.visits).sum()
    }

    /// Whether a session from this address stands.
    pub fn is_known(&self, net: SourceNet) -> bool {
        self.sessions.values().any(|session| session.claim.net == net)
    }

    /// Sessions of tokens that are not among `tokens`.
    pub fn without_token(&self, tokens: &[TokenId]) -> Vec<SessionId> {
        let is_out = |owner| matches!(owner, Owner::Token(token) if !tokens.contains(&token));
        let out = self.sessions.iter().filter(|(_, session)| is_out(session.claim.owner));
        out.map(|(id, _)| *id).collect()
    }

    /// Whether whole names outside of the domain may be had from now on.
    pub fn set_own_domains(&mut self, allowed: bool) {
        self.naming.own_domains = allowed;
    }

    /// It is gone. Also right when the session went before it.
    pub fn end_visit(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.visits -= 1;
            self.visits -= 1;
        }
    }

    /// Sessions, and visitors that are with them.
    pub fn counts(&self) -> (usize, u32) {
        (self.sessions.len(), self.visits)
    }
}
