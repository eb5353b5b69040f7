//! Local services behind one tunnel: who serves the next visitor.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A local service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[derive(Debug)]
struct State {
    up: bool,
    visits: u32,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Targets {
    list: Vec<Target>,
    /// As long as the list.
    states: Mutex<Vec<State>>,
}

impl Targets {
    pub(super) fn new(list: Vec<Target>) -> Self {
        let states = list.iter().map(|_| State { up: true, visits: 0 }).collect();
        Self { list, states: Mutex::new(states) }
    }

    pub(super) fn list(&self) -> &[Target] {
        &self.list
    }

    /// Those that a visitor should be offered to, best first: the one with the fewest visitors of those that are up,
    /// and in the end also those that seem down, because the checks may be behind.
    pub(super) fn in_order(&self) -> Vec<usize> {
        let states = self.lock();
        let mut order: Vec<usize> = (0..self.list.len()).collect();
        order.sort_by_key(|index| (!states[*index].up, states[*index].visits));
        order
    }

    /// A check's or an attempt's outcome. Whether the answer to [`Targets::any_up`] has changed by it.
    pub(super) fn set_up(&self, index: usize, up: bool) -> bool {
        let mut states = self.lock();
        let any_up = |states: &[State]| states.iter().any(|state| state.up);
        let before = any_up(&states);
        states[index].up = up;
        before != any_up(&states)
    }

    /// Whether anybody serves.
    pub(super) fn any_up(&self) -> bool {
        self.lock().iter().any(|state| state.up)
    }

    /// A visitor is with this one until the guard is dropped.
    pub(super) fn begin_visit(&self, index: usize) -> VisitGuard<'_> {
        self.lock()[index].visits += 1;
        VisitGuard { targets: self, index }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Targets::begin_visit`].
pub(super) struct VisitGuard<'a> {
    targets: &'a Targets,
    index: usize,
}

impl Drop for VisitGuard<'_> {
    fn drop(&mut self) {
        self.targets.lock()[self.index].visits -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Targets {
        Targets::new((1..=3).map(|port| Target { host: "::1".to_owned(), port }).collect())
    }

    #[test]
    fn visitors_are_spread_over_those_that_are_up() {
        let targets = three();
        assert!(!targets.set_up(1, false));
        let first = targets.begin_visit(targets.in_order()[0]);
        assert_eq!(targets.in_order(), [2, 0, 1]);
        drop(first);
        assert_eq!(targets.in_order(), [0, 2, 1]);
        assert_eq!(targets.list()[0].to_string(), "[::1]:1");
    }

    #[test]
    fn it_is_told_when_nobody_serves_any_more() {
        let targets = three();
        assert_eq!([0, 1, 2].map(|index| targets.set_up(index, false)), [false, false, true]);
        assert!(!targets.any_up() && targets.in_order().len() == 3);
        assert!(targets.set_up(2, true));
    }
}
