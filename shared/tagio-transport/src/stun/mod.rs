//! How the NAT in front of this side maps its ports, learned by STUN from the relay (RFC 8489, RFC 5780).
//!
//! Here is what follows from the answers, without IO; `message` reads and writes them, `probe` asks.

mod message;
mod probe;

use std::net::SocketAddr;

use tagio_wire::nat::{Mapping, Reach};

use crate::paths::is_usable;

pub(crate) use message::{QuestionId, id_of};
pub(crate) use probe::{newest, probe};

/// Widest step that counts as a pattern. NATs that count go by 1, some by 2, for a pair with RTCP's port.
const STEP_MAX: i32 = 8;
/// Widest gap between two ports in a sequence: others behind the same NAT take ports meanwhile.
const GAP_MAX: i32 = 32;

/// How the NAT in front of this side maps one of its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatReport {
    /// How it chooses public ports.
    pub mapping: Mapping,
    /// Where the relay saw the newest question come from.
    pub public: Option<SocketAddr>,
    /// Whether that is this machine's own address, so that there is no NAT on the way.
    pub local_is_public: bool,
}

/// One vantage point and what it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Who was asked.
    pub(crate) server: SocketAddr,
    /// Where the question came from.
    pub(crate) mapped: SocketAddr,
}

/// What follows from `answers`, which stand in the order in which they were asked for, by a socket at `local`.
///
/// Where all vantage points share an IP, a NAT that goes by the destination's IP alone looks endpoint independent.
pub(crate) fn classify(local: SocketAddr, answers: &[Answer]) -> NatReport {
    let local_is_public = !answers.is_empty() && answers.iter().all(|answer| answer.mapped == local);
    let servers = distinct(answers.iter().map(|answer| answer.server));
    let mapped = distinct(answers.iter().map(|answer| answer.mapped));
    let mapping = match (servers.len(), mapped.as_slice()) {
        (0, _) | (_, []) => Mapping::Blocked,
        (1, [_]) if !local_is_public => Mapping::Unknown,
        (_, [_]) => Mapping::EndpointIndependent,
        (_, many) => step(many).map_or(Mapping::Random, |step| Mapping::Sequential { step }),
    };
    NatReport { mapping, public: answers.last().map(|answer| answer.mapped), local_is_public }
}

/// By how much ports grow from one to the next, if they do so regularly.
fn step(mapped: &[SocketAddr]) -> Option<i16> {
    if mapped.iter().any(|addr| addr.ip() != mapped[0].ip()) {
        return None;
    }
    let gaps: Vec<_> =
        mapped.windows(2).map(|pair| i32::from(pair[1].port()) - i32::from(pair[0].port())).collect();
    // The first mapping leads to the relay's main port and may be as old as the leg: it says nothing about now.
    let fresh = if gaps.len() > 1 { &gaps[1..] } else { &gaps[..] };
    let regular = fresh.iter().all(|gap| gap.abs() <= GAP_MAX && gap.signum() == fresh[0].signum());
    let step = fresh.iter().copied().min_by_key(|gap| gap.abs())?;
    (regular && step.abs() <= STEP_MAX).then(|| i16::try_from(step).ok()).flatten()
}

/// Where to ask next, once the server at `relay` has named `other`: never the same address again, and nothing that an
/// honest server of that reach could not mean.
fn vantage_points(relay: SocketAddr, other: SocketAddr) -> Vec<SocketAddr> {
    let mut found = vec![SocketAddr::new(relay.ip(), other.port())];
    if relay.is_ipv4() == other.is_ipv4() && Reach::of(relay.ip()) == Reach::of(other.ip()) {
        found.extend([other, SocketAddr::new(other.ip(), relay.port())]);
    }
    let mut found = distinct(found.into_iter());
    found.retain(|addr| *addr != relay && is_usable(*addr));
    found
}

/// The first of each; there are a handful.
fn distinct(addrs: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for addr in addrs {
        if !found.contains(&addr) {
            found.push(addr);
        }
    }
    found
}

#[cfg(test)]
mod tests;
