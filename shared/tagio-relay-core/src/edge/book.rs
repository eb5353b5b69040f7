//! Which nodes there are, and which of them a user's session leaves by.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{
    Direction, NodeId, UserName,
    pace::{Paces, Way},
};
use crate::{
    Denial, Limits, SourceNet,
    rate::{Rate, RateTable},
};

/// One WebSocket of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkId(pub u64);

/// What stays with one node: a user's named session, or without a name what comes from one address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Sticky {
    user: String,
    what: Result<String, SourceNet>,
}

#[derive(Debug)]
struct Node {
    link: LinkId,
    net: SourceNet,
    sessions: u32,
}

/// A node that was chosen for a session, which counts until [`EdgeBook::end`].
#[derive(Clone, Debug)]
pub struct Chosen {
    /// Through which the session goes.
    pub link: LinkId,
    node: NodeId,
    user: String,
}

impl Chosen {
    fn way(&self, direction: Direction) -> Way<'_> {
        Way { user: &self.user, node: &self.node, direction }
    }
}

/// See the module.
#[derive(Debug)]
pub struct EdgeBook {
    limits: Limits,
    nodes: HashMap<NodeId, Node>,
    by_net: HashMap<SourceNet, u32>,
    stickies: HashMap<Sticky, (NodeId, Instant)>,
    by_user: HashMap<String, u32>,
    sessions: u32,
    asked: RateTable<SourceNet>,
    opened: RateTable<String>,
    paces: Paces,
}

impl EdgeBook {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        let entries = limits.rate_entries_max;
        Self {
            limits,
            nodes: HashMap::new(),
            by_net: HashMap::new(),
            stickies: HashMap::new(),
            by_user: HashMap::new(),
            sessions: 0,
            asked: RateTable::new(entries),
            opened: RateTable::new(entries),
            paces: Paces::new(entries),
        }
    }

    /// Other limits from now on; who is in stays in.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Somebody asks for a token.
    ///
    /// # Errors
    /// They ask too often.
    pub fn ask(&mut self, net: SourceNet, now: Instant) -> Result<(), Denial> {
        let rate = Rate::new(self.limits.edge_token_burst, self.limits.edge_token_interval_ms);
        self.asked.spend(net, rate, now).map_err(|_| Denial::EdgeTokenRate)
    }

    /// A node has come; the link of the one whose place it takes, which is to end.
    ///
    /// # Errors
    /// There is no room.
    pub fn join(&mut self, id: NodeId, link: LinkId, net: SourceNet) -> Result<Option<LinkId>, Denial> {
        let old = self.nodes.get(&id).map(|node| (node.link, node.net));
        if old.is_none() && self.nodes.len() >= self.limits.edge_nodes_max as usize {
            return Err(Denial::EdgeNodesFull);
        }
        let from_here = self.by_net.get(&net).copied().unwrap_or(0);
        if old.is_none_or(|(_, old)| old != net) && from_here >= self.limits.edge_nodes_per_ip_max {
            return Err(Denial::EdgeNodesPerIp);
        }
        let old = old.map(|(link, _)| link);
        if let Some(old) = old {
            self.leave(&id, old);
        }
        *self.by_net.entry(net).or_default() += 1;
        self.nodes.insert(id, Node { link, net, sessions: 0 });
        Ok(old)
    }

    /// A node's link has ended. One whose place was taken has left already.
    pub fn leave(&mut self, id: &NodeId, link: LinkId) {
        if self.nodes.get(id).is_none_or(|node| node.link != link) {
            return;
        }
        if let Some(node) = self.nodes.remove(id) {
            count_down(&mut self.by_net, &node.net);
        }
    }

    /// The node for a new session of a user who comes from `net`: the one that the name asks for, and no other; else
    /// that of the last time, unless it is full; else the one with the fewest sessions.
    ///
    /// # Errors
    /// There is none, or as many sessions as may be.
    pub fn choose(&mut self, name: &UserName, net: SourceNet, now: Instant) -> Result<Chosen, Denial> {
        if self.sessions >= self.limits.edge_sessions_max {
            return Err(Denial::EdgeSessionsFull);
        }
        if self.by_user.get(&name.user).is_some_and(|count| *count >= self.limits.edge_sessions_per_user_max)
        {
            return Err(Denial::EdgeSessionsPerUser);
        }
        let rate = Rate::new(self.limits.edge_session_burst, self.limits.edge_session_interval_ms);
        self.opened.spend(name.user.clone(), rate, now).map_err(|_| Denial::EdgeSessionRate)?;
        let id = match &name.node {
            Some(id) => self.has_room(id).map(|()| id.clone())?,
            None => self.stick(name, net, now)?,
        };
        let node = self.nodes.get_mut(&id).ok_or(Denial::EdgeNoNode)?;
        node.sessions += 1;
        let link = node.link;
        self.sessions += 1;
        *self.by_user.entry(name.user.clone()).or_default() += 1;
        Ok(Chosen { link, node: id, user: name.user.clone() })
    }

    /// A session has ended.
    pub fn end(&mut self, chosen: &Chosen) {
        self.sessions = self.sessions.saturating_sub(1);
        count_down(&mut self.by_user, &chosen.user);
        if let Some(node) = self.nodes.get_mut(&chosen.node).filter(|node| node.link == chosen.link) {
            node.sessions = node.sessions.saturating_sub(1);
        }
    }

    /// Bytes of a session are to go; how long they wait for the rates of its user and its node.
    pub fn spend(&mut self, chosen: &Chosen, direction: Direction, bytes: usize, now: Instant) -> Duration {
        self.paces.spend(&self.limits, chosen.way(direction), bytes, now)
    }

    /// A datagram is to go.
    ///
    /// # Errors
    /// Its user or its node is too fast: it is to be dropped, as on any line that is full.
    pub fn spend_datagram(
        &mut self,
        chosen: &Chosen,
        direction: Direction,
        bytes: usize,
        now: Instant,
    ) -> Result<(), Denial> {
        let goes = self.paces.try_spend(&self.limits, chosen.way(direction), bytes, now);
        goes.then_some(()).ok_or(Denial::EdgeDatagramRate)
    }

    /// Forgets what was long ago. Called once per tick.
    pub fn handle_timeout(&mut self, now: Instant) {
        let kept = Duration::from_secs(self.limits.edge_sticky_secs.into());
        self.stickies.retain(|_, (_, used)| now.saturating_duration_since(*used) < kept);
        self.asked.forget_full(now);
        self.opened.forget_full(now);
        self.paces.forget_full(now);
    }

    /// Nodes and sessions that there are.
    pub fn counts(&self) -> (usize, u32) {
        (self.nodes.len(), self.sessions)
    }

    /// The node of the last time if it is there and has room, else another one from now on. Where there is no room to
    /// remember it, the next session may leave by another.
    fn stick(&mut self, name: &UserName, net: SourceNet, now: Instant) -> Result<NodeId, Denial> {
        let sticky = Sticky { user: name.user.clone(), what: name.session.clone().ok_or(net) };
        let last = self.stickies.get(&sticky).map(|(id, _)| id.clone());
        let id = match last.filter(|id| self.has_room(id).is_ok()) {
            Some(id) => id,
            None => self.idlest()?,
        };
        if self.stickies.len() < self.limits.edge_stickies_max as usize || self.stickies.contains_key(&sticky)
        {
            self.stickies.insert(sticky, (id.clone(), now));
        }
        Ok(id)
    }

    /// The node with the fewest sessions.
    fn idlest(&self) -> Result<NodeId, Denial> {
        let idlest = self.nodes.iter().min_by_key(|(id, node)| (node.sessions, *id));
        let id = idlest.map(|(id, _)| id.clone()).ok_or(Denial::EdgeNoNode)?;
        self.has_room(&id).map(|()| id)
    }

    /// Whether a node is there and takes one more session.
    fn has_room(&self, id: &NodeId) -> Result<(), Denial> {
        let node = self.nodes.get(id).ok_or(Denial::EdgeNoNode)?;
        let has_room = node.sessions < self.limits.edge_sessions_per_node_max;
        has_room.then_some(()).ok_or(Denial::EdgeSessionsPerNode)
    }
}

fn count_down<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
