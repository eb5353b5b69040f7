//! The place of one session among all: what it counts for, and how fast its bytes go.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tagio_edge::meter::Meter;
use tagio_relay_core::edge::{Chosen, Direction};

use super::Edges;
use crate::lock::lock;

/// Bytes of all sessions.
#[derive(Default)]
pub(super) struct Traffic {
    pub(super) up: AtomicU64,
    pub(super) down: AtomicU64,
    /// Those of streams that had to wait for a rate.
    pub(super) held: AtomicU64,
}

/// A session's place in the book, given up when it is dropped.
pub(super) struct Place {
    edges: Arc<Edges>,
    chosen: Chosen,
}

impl Place {
    pub(super) fn new(edges: &Arc<Edges>, chosen: Chosen) -> Self {
        Self { edges: Arc::clone(edges), chosen }
    }

    /// Whether a datagram may go; one that may not is lost, as on any line that is full.
    pub(super) fn lets_datagram(&self, direction: Direction, bytes: usize) -> bool {
        let spent =
            lock(&self.edges.desk).book.spend_datagram(&self.chosen, direction, bytes, Instant::now());
        match spent {
            Ok(()) => self.count(direction, bytes),
            Err(denial) => {
                self.edges.deny(denial);
            }
        }
        spent.is_ok()
    }

    fn spend(&self, direction: Direction, bytes: usize) -> Duration {
        self.count(direction, bytes);
        let wait = lock(&self.edges.desk).book.spend(&self.chosen, direction, bytes, Instant::now());
        if !wait.is_zero() {
            self.edges.traffic.held.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        wait
    }

    fn count(&self, direction: Direction, bytes: usize) {
        let traffic = &self.edges.traffic;
        let counter = match direction {
            Direction::Up => &traffic.up,
            Direction::Down => &traffic.down,
        };
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Meter for Place {
    fn outward(&self, bytes: usize) -> Duration {
        self.spend(Direction::Up, bytes)
    }

    fn inward(&self, bytes: usize) -> Duration {
        self.spend(Direction::Down, bytes)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.edges.desk).book.end(&self.chosen);
    }
}
