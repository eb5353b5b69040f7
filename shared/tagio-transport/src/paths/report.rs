//! What was tried to get a direct path, and what came of it, for people. Pure.

use std::net::SocketAddr;

use tagio_wire::nat::Mapping;

use super::plan::hides;
use crate::carrier::Carrier;

/// Most tried addresses that are remembered: those of two rounds with predicted ports.
const TRIED_MAX: usize = 64;

/// How the search for a direct path goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathReport {
    /// What this side's NAT does.
    pub own: Mapping,
    /// What the peer's does, once it has said so.
    pub peer: Option<Mapping>,
    /// What carries this side's newest relay leg; `None` before there is one.
    pub carrier: Option<Carrier>,
    /// Rounds so far.
    pub rounds: u32,
    /// Whether ports were guessed.
    pub guessed: bool,
    /// The peer's addresses that punches were sent to, and others from which it was heard.
    pub tried: Vec<Tried>,
}

/// One of the peer's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Where it is.
    pub addr: SocketAddr,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Nothing has come from there.
    Silent,
    /// Punches pass.
    Answered,
    /// Punches pass, and QUIC does not.
    Failed,
    /// A path stands.
    Open,
}

/// Why a session goes through the relay, as far as it is known, the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relayed {
    /// The first rounds are not over.
    StillTrying,
    /// This side's network lets no UDP out.
    OwnUdpBlocked,
    /// The peer's lets none.
    PeerUdpBlocked,
    /// Both NATs hide where their next port will be.
    BothHide,
    /// Punches pass and QUIC does not: something on the way changes or drops large packets.
    QuicFails,
    /// Nothing answers, and the NATs should let it: a firewall drops what it did not ask for.
    Firewall,
}

/// Rounds after which the search has had its chance: twelve seconds.
const ROUNDS_FAIR: u32 = 4;

impl PathReport {
    /// A round against the peer begins.
    pub(super) fn begin(&mut self, own: Mapping, peer: Mapping, targets: &[SocketAddr], guesses: bool) {
        (self.own, self.peer) = (own, Some(peer));
        self.rounds += 1;
        self.guessed |= guesses;
        targets.iter().for_each(|addr| self.note(*addr, Outcome::Silent));
    }

    /// What came of an address; a better outcome stays.
    pub(super) fn note(&mut self, addr: SocketAddr, outcome: Outcome) {
        match self.tried.iter_mut().find(|tried| tried.addr == addr) {
            Some(tried) if outcome == Outcome::Failed => tried.outcome = outcome,
            Some(tried) => tried.outcome = tried.outcome.max(outcome),
            None => {
                self.tried.push(Tried { addr, outcome });
                if self.tried.len() > TRIED_MAX {
                    let oldest =
                        self.tried.iter().position(|tried| tried.outcome == Outcome::Silent).unwrap_or(0);
                    self.tried.remove(oldest);
                }
            }
        }
    }

    /// Why there is no direct path.
    pub fn why_relayed(&self) -> Relayed {
        let any = |outcome| self.tried.iter().any(|tried| tried.outcome == outcome);
        match (self.own, self.peer) {
            (Mapping::Blocked, _) => Relayed::OwnUdpBlocked,
            (_, Some(Mapping::Blocked)) => Relayed::PeerUdpBlocked,
            _ if self.rounds < ROUNDS_FAIR => Relayed::StillTrying,
            (own, Some(peer)) if hides(own) && hides(peer) => Relayed::BothHide,
            _ if any(Outcome::Failed) || any(Outcome::Answered) => Relayed::QuicFails,
            _ => Relayed::Firewall,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> SocketAddr {
        SocketAddr::new([192, 0, 2, 7].into(), port)
    }

    fn after(rounds: u32, own: Mapping, peer: Mapping) -> PathReport {
        let mut report = PathReport::default();
        (0..rounds).for_each(|_| report.begin(own, peer, &[addr(1), addr(2)], false));
        report
    }

    #[test]
    fn the_reason_is_the_surest_one() {
        let easy = Mapping::EndpointIndependent;
        assert_eq!(after(1, Mapping::Blocked, easy).why_relayed(), Relayed::OwnUdpBlocked);
        assert_eq!(after(1, easy, Mapping::Blocked).why_relayed(), Relayed::PeerUdpBlocked);
        assert_eq!(after(3, easy, easy).why_relayed(), Relayed::StillTrying);
        assert_eq!(after(4, easy, easy).why_relayed(), Relayed::Firewall);
        let both = after(4, Mapping::Random, Mapping::Sequential { step: 1 });
        assert_eq!(both.why_relayed(), Relayed::BothHide);
        let mut answered = after(4, easy, easy);
        answered.note(addr(2), Outcome::Answered);
        assert_eq!(answered.why_relayed(), Relayed::QuicFails);
    }

    #[test]
    fn an_outcome_only_gets_better_but_for_a_failure_and_the_list_has_an_end() {
        let mut report = after(1, Mapping::Unknown, Mapping::Unknown);
        report.note(addr(1), Outcome::Open);
        report.note(addr(1), Outcome::Silent);
        assert_eq!(report.tried[0].outcome, Outcome::Open);
        report.note(addr(1), Outcome::Failed);
        assert_eq!(report.tried[0].outcome, Outcome::Failed);
        (10..200).for_each(|port| report.note(addr(port), Outcome::Silent));
        assert_eq!(report.tried.len(), TRIED_MAX);
        assert_eq!(report.tried[0].addr, addr(1), "what tells something stays");
    }
}
