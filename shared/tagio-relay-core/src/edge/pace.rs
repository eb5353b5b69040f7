//! How fast the bytes of users and nodes may go, in each direction.

use std::time::{Duration, Instant};

use super::NodeId;
use crate::{
    Limits,
    rate::{ByteRate, RateTable},
};

/// Where bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the user to the target.
    Up,
    /// From the target to the user.
    Down,
}

/// Whose bytes they are, and through which node they go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way<'a> {
    pub(super) user: &'a String,
    pub(super) node: &'a NodeId,
    pub(super) direction: Direction,
}

/// A bucket for each user and each node, in each direction.
#[derive(Debug)]
pub(super) struct Paces {
    users: ByDirection<String>,
    nodes: ByDirection<NodeId>,
}

impl Paces {
    /// Of so many users and nodes at most.
    pub(super) fn new(entries_max: u32) -> Self {
        Self { users: ByDirection::new(entries_max), nodes: ByDirection::new(entries_max) }
    }

    /// Spends bytes; how long they wait until both the user's rate and the node's let them go.
    pub(super) fn spend(&mut self, limits: &Limits, way: Way<'_>, bytes: usize, now: Instant) -> Duration {
        let user = ByteRate::new(limits.edge_user_bytes_per_sec)
            .map(|rate| self.users.of(way.direction).spend_bytes(way.user, rate, bytes, now));
        let node = ByteRate::new(limits.edge_node_bytes_per_sec)
            .map(|rate| self.nodes.of(way.direction).spend_bytes(way.node, rate, bytes, now));
        user.max(node).unwrap_or_default()
    }

    /// Spends bytes that cannot wait, if they need not.
    pub(super) fn try_spend(&mut self, limits: &Limits, way: Way<'_>, bytes: usize, now: Instant) -> bool {
        let user_may = ByteRate::new(limits.edge_user_bytes_per_sec)
            .is_none_or(|rate| self.users.of(way.direction).allows_bytes(way.user, rate, bytes, now));
        let node_may = ByteRate::new(limits.edge_node_bytes_per_sec)
            .is_none_or(|rate| self.nodes.of(way.direction).allows_bytes(way.node, rate, bytes, now));
        user_may && node_may && self.spend(limits, way, bytes, now).is_zero()
    }

    /// Forgets who has rested. Called once per tick.
    pub(super) fn forget_full(&mut self, now: Instant) {
        self.users.forget_full(now);
        self.nodes.forget_full(now);
    }
}

#[derive(Debug)]
struct ByDirection<K> {
    up: RateTable<K>,
    down: RateTable<K>,
}

impl<K: Ord> ByDirection<K> {
    fn new(entries_max: u32) -> Self {
        Self { up: RateTable::new(entries_max), down: RateTable::new(entries_max) }
    }

    fn of(&mut self, direction: Direction) -> &mut RateTable<K> {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }

    fn forget_full(&mut self, now: Instant) {
        self.up.forget_full(now);
        self.down.forget_full(now);
    }
}
