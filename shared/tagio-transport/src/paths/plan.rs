//! What a round of punching sends, and where to: decided from how the NATs of both sides map. Pure.
//!
//! RFC 4787 has the terms. A NAT that gives a port the same mapping towards everybody can be punched from both ends at
//! once. One that gives each destination another mapping hides where the next one will be: where its ports grow evenly
//! they are predicted, else one side opens many and the other tries many (the birthday method).

use std::net::{IpAddr, SocketAddr};

use tagio_wire::{limits::CANDIDATES_MAX, nat::Mapping, session::Candidates};

use super::candidates::is_usable;

/// Ports ahead of the newest one that are tried where ports grow evenly: others behind that NAT take some, too.
const PREDICTED: i32 = 16;
/// Ports below this are never given out by a NAT for a port that is not one of them itself (RFC 4787, REQ-3).
pub(super) const PORT_MIN: u16 = 1024;

/// One side's part of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Where punches go.
    pub(crate) targets: Vec<SocketAddr>,
    /// What to do besides, where those stay without an answer.
    pub(crate) guess: Option<Guess>,
}

/// One side's part of the birthday method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guess {
    /// This side's NAT is the one that hides: many of its sockets send here.
    Open(SocketAddr),
    /// The peer's NAT is: many of its ports are tried, the likeliest first.
    Try {
        /// Where they are.
        ip: IpAddr,
        /// The newest that is known, and by how much they grow.
        near: Option<(u16, i16)>,
    },
}

/// Whether a NAT hides where its next mapping will be.
pub(super) fn hides(mapping: Mapping) -> bool {
    matches!(mapping, Mapping::Random | Mapping::Sequential { .. })
}

/// Plans a round against `peer` for a side whose NAT does `own` and that may be reached at `own_addrs`.
pub(crate) fn plan(own: Mapping, own_addrs: &[SocketAddr], peer: &Candidates) -> Plan {
    let usable = |addr: &SocketAddr| is_usable(*addr) && !own_addrs.contains(addr);
    let mut targets: Vec<SocketAddr> =
        peer.addrs.iter().copied().take(CANDIDATES_MAX).filter(usable).collect();
    targets.extend(peer.public.filter(|public| !targets.contains(public)).filter(usable));
    targets.extend(predicted(peer));
    Plan { targets, guess: guess(own, peer) }
}

/// Where the peer's next mappings will be.
fn predicted(peer: &Candidates) -> Vec<SocketAddr> {
    let (Some(newest), Mapping::Sequential { step }) = (peer.public, peer.mapping) else { return Vec::new() };
    let first = i32::from(PORT_MIN);
    let span = i32::from(u16::MAX) + 1 - first;
    let ahead =
        |count: i32| first + (i32::from(newest.port()) + count * i32::from(step) - first).rem_euclid(span);
    let ports = (1..=PREDICTED).filter_map(|count| u16::try_from(ahead(count)).ok());
    ports.map(|port| SocketAddr::new(newest.ip(), port)).filter(|addr| is_usable(*addr)).collect()
}

fn guess(own: Mapping, peer: &Candidates) -> Option<Guess> {
    let public = peer.public.filter(|public| public.is_ipv4() && is_usable(*public))?;
    let is_blocked = [own, peer.mapping].contains(&Mapping::Blocked);
    match (hides(own), peer.mapping) {
        _ if is_blocked => None,
        (true, theirs) => (!hides(theirs)).then_some(Guess::Open(public)),
        (false, Mapping::Sequential { step }) => {
            Some(Guess::Try { ip: public.ip(), near: Some((public.port(), step)) })
        }
        (false, Mapping::Random) => Some(Guess::Try { ip: public.ip(), near: None }),
        (false, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use tagio_wire::leg::PunchToken;

    use super::*;

    const OWN: &str = "192.0.2.1:4000";

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn peer(mapping: Mapping, public: Option<&str>) -> Candidates {
        let addrs = vec![addr("192.168.1.10:5000"), addr(OWN), addr("0.0.0.0:1")];
        Candidates { addrs, token: PunchToken([1; 8]), public: public.map(addr), mapping, guess: true }
    }

    fn plan_against(own: Mapping, peer: &Candidates) -> Plan {
        plan(own, &[addr(OWN)], peer)
    }

    #[test]
    fn candidates_that_are_no_address_of_the_peer_get_nothing() {
        let plan = plan_against(
            Mapping::EndpointIndependent,
            &peer(Mapping::EndpointIndependent, Some("198.51.100.1:5000")),
        );
        assert_eq!(plan.targets, [addr("192.168.1.10:5000"), addr("198.51.100.1:5000")]);
        assert_eq!(plan.guess, None);
    }

    #[test]
    fn ports_that_grow_evenly_are_predicted_and_wrap_around() {
        let theirs = peer(Mapping::Sequential { step: 2 }, Some("198.51.100.1:65533"));
        let targets = plan_against(Mapping::EndpointIndependent, &theirs).targets;
        assert_eq!(targets.len(), 2 + 16);
        assert_eq!(
            targets[2..5],
            [addr("198.51.100.1:65535"), addr("198.51.100.1:1025"), addr("198.51.100.1:1027")]
        );
    }

    #[test]
    fn exactly_one_side_hides_and_the_other_tries() {
        let public = addr("198.51.100.1:5000");
        let against = |own, theirs| plan_against(own, &peer(theirs, Some("198.51.100.1:5000"))).guess;
        let tries = |near| Some(Guess::Try { ip: public.ip(), near });
        let sequential = Mapping::Sequential { step: 1 };
        assert_eq!(against(Mapping::Random, Mapping::EndpointIndependent), Some(Guess::Open(public)));
        assert_eq!(against(sequential, Mapping::Unknown), Some(Guess::Open(public)));
        assert_eq!(against(Mapping::EndpointIndependent, Mapping::Random), tries(None));
        assert_eq!(against(Mapping::Unknown, sequential), tries(Some((5000, 1))));
        for (own, theirs) in [
            (Mapping::Random, Mapping::Random),
            (sequential, Mapping::Random),
            (Mapping::Blocked, Mapping::Random),
            (Mapping::Random, Mapping::Blocked),
            (Mapping::EndpointIndependent, Mapping::EndpointIndependent),
        ] {
            assert_eq!(against(own, theirs), None, "{own:?} against {theirs:?}");
        }
    }

    #[test]
    fn nothing_is_guessed_without_a_public_address() {
        assert_eq!(plan_against(Mapping::EndpointIndependent, &peer(Mapping::Random, None)).guess, None);
        assert_eq!(
            plan_against(Mapping::EndpointIndependent, &peer(Mapping::Random, Some("[2001:db8::1]:5"))).guess,
            None
        );
    }
}
