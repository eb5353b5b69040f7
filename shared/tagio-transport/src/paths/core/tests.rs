//! Faults that lives from seeds have shown, each as short as it can be told.

use std::net::{IpAddr, Ipv6Addr};

use super::*;

const LEG: u16 = 1;
const OTHER_LEG: u16 = 2;

fn leg(number: u16) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::new(0xfd7a, 0x6710, 1, 0, 0, 0, 0, number).into(), 1)
}

fn direct(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::from([192, 0, 2, 7]), port)
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A side of a session and its clock.
struct Session {
    core: PathCore<u32>,
    start: Instant,
    /// Paths that QUIC knows, and what each has sent and received.
    counters: BTreeMap<u32, Sample>,
}

impl Session {
    /// One that has just begun, on path 0 through the relay.
    fn begin(side: Side) -> Self {
        let start = Instant::now();
        let core = PathCore::new(side, PathKind::Relay, Mapping::EndpointIndependent, start, start);
        let mut session = Self { core, start, counters: BTreeMap::from([(0, Sample::default())]) };
        session.stands(seconds(0), 0, leg(LEG));
        session
    }

    fn hears(&mut self, after: Duration, input: Input<u32>) -> Vec<Output<u32>> {
        self.core.handle(self.start + after, input);
        std::iter::from_fn(|| self.core.poll_output()).collect()
    }

    fn stands(&mut self, after: Duration, id: u32, addr: SocketAddr) -> Vec<Output<u32>> {
        self.counters.insert(id, Sample::default());
        self.hears(after, Input::Established { id, addr })
    }

    fn wakes(&mut self, after: Duration) -> Vec<Output<u32>> {
        self.core.wake(self.start + after, |id| self.counters.get(&id).copied());
        std::iter::from_fn(|| self.core.poll_output()).collect()
    }

    fn active(&self) -> Option<u32> {
        self.core.active().map(|(id, _)| id)
    }
}

fn candidates(guess: bool) -> Candidates {
    Candidates {
        addrs: vec![direct(5000)],
        token: PunchToken([7; 8]),
        public: Some(direct(5000)),
        mapping: Mapping::Random,
        guess,
    }
}

fn opens(outputs: &[Output<u32>]) -> bool {
    outputs.iter().any(|output| matches!(output, Output::Open(_)))
}

#[test]
fn a_host_follows_a_choice_that_comes_before_the_path_stands() {
    let mut host = Session::begin(Side::Host);
    host.hears(seconds(1), Input::RemoteStatus { id: 1, status: PathStatus::Available });
    assert_eq!(host.active(), Some(0), "it does not stand yet");
    let outputs = host.stands(seconds(1), 1, direct(5000));
    assert_eq!(host.active(), Some(1));
    assert!(outputs.contains(&Output::SetStatus(0, PathStatus::Backup)), "{outputs:?}");
}

#[test]
fn a_host_keeps_a_new_path_as_a_backup_until_the_viewer_chooses_it() {
    let mut host = Session::begin(Side::Host);
    let outputs = host.stands(seconds(1), 1, leg(OTHER_LEG));
    assert_eq!(outputs, [Output::SetStatus(1, PathStatus::Backup)]);
}

#[test]
fn a_direct_path_that_the_watchdog_closes_starts_the_rounds_anew() {
    let mut viewer = Session::begin(Side::Viewer);
    // Far in the back-off.
    (0..6).for_each(|round| drop(viewer.wakes(seconds(100 * round))));
    viewer.stands(seconds(600), 1, direct(5000));
    for tick in 0..12 {
        viewer.counters.insert(1, Sample { sent: tick, ..Sample::default() });
        viewer.counters.insert(0, Sample { received: tick, ..Sample::default() });
        viewer.wakes(seconds(600) + LOOK_EVERY * tick as u32);
    }
    assert_eq!(viewer.active(), Some(0), "closed");
    let mut round = |after| {
        let outputs = viewer.wakes(seconds(after));
        outputs.iter().any(|output| matches!(output, Output::FindCandidates { .. }))
    };
    assert!(round(700), "the round that was due anyway");
    assert!(round(702), "and the next after a second");
}

#[test]
fn a_leg_that_does_not_open_is_called_for_again() {
    let mut viewer = Session::begin(Side::Viewer);
    viewer.stands(seconds(1), 1, direct(5000));
    let outputs = viewer.hears(seconds(2), Input::Abandoned(0));
    assert_eq!(outputs, [Output::Stranded, Output::Tell(PathsEvent::RelayLost)]);
    viewer.hears(seconds(3), Input::NewLeg(leg(OTHER_LEG)));
    let outputs = viewer.hears(seconds(9), Input::NotOpened(leg(OTHER_LEG)));
    assert_eq!(outputs, [Output::Tell(PathsEvent::RelayLost)]);
}

#[test]
fn a_path_that_dies_when_it_is_left_is_given_up() {
    for side in [Side::Viewer, Side::Host] {
        let mut session = Session::begin(side);
        session.stands(seconds(1), 1, direct(5000));
        session.hears(seconds(1), Input::RemoteStatus { id: 1, status: PathStatus::Available });
        assert_eq!(session.active(), Some(1));
        let mut closed = Vec::new();
        for tick in 1..20 {
            session.counters.insert(1, Sample { sent: tick, received: tick, ..Sample::default() });
            let outputs = session.wakes(seconds(1) + LOOK_EVERY * tick as u32);
            if outputs.contains(&Output::Close(0)) {
                assert!(outputs.contains(&Output::Stranded), "{outputs:?}");
                closed.push(tick);
            }
        }
        assert_eq!(closed, [5], "after a quarter of a second, once");
        assert_eq!(session.active(), Some(1));
    }
}

#[test]
fn a_leg_is_opened_however_many_direct_paths_are_under_way() {
    let mut viewer = Session::begin(Side::Viewer);
    for port in 1..=9 {
        let outputs = viewer.hears(seconds(1), Input::Heard(direct(port)));
        assert_eq!(opens(&outputs), usize::from(port) <= OPENING_MAX);
    }
    assert!(opens(&viewer.hears(seconds(1), Input::NewLeg(leg(OTHER_LEG)))));
}

#[test]
fn direct_paths_that_fail_leave_numbers_for_the_relay() {
    let mut viewer = Session::begin(Side::Viewer);
    let mut opened = 0;
    for second in 0..100_000 {
        let after = seconds(second);
        if opens(&viewer.hears(after, Input::Heard(direct(5000)))) {
            opened += 1;
            viewer.hears(after, Input::NotOpened(direct(5000)));
            assert!(!opens(&viewer.hears(after, Input::Heard(direct(5000)))), "at once again");
        }
    }
    assert_eq!(opened, FAILED_MAX);
}

#[test]
fn ports_are_not_guessed_faster_however_often_a_peer_asks() {
    let mut host = Session::begin(Side::Host);
    let mut guesses = 0;
    for second in 0..100 {
        let after = seconds(second);
        host.hears(after, Input::PeerCandidates(candidates(true)));
        let own = Candidates { mapping: Mapping::EndpointIndependent, ..candidates(true) };
        let outputs = host.hears(after, Input::Found { own, peer: Some(candidates(true)) });
        guesses += outputs.iter().filter(|output| matches!(output, Output::Guess { .. })).count();
    }
    assert_eq!(guesses, 10);
}

#[test]
fn two_answers_that_come_late_are_both_answers() {
    let mut viewer = Session::begin(Side::Viewer);
    viewer.wakes(seconds(0));
    viewer.wakes(seconds(1));
    viewer.hears(seconds(2), Input::PeerCandidates(candidates(false)));
    let before = viewer.core.next_wake();
    viewer.hears(seconds(2), Input::PeerCandidates(candidates(false)));
    assert_eq!(viewer.core.next_wake(), before, "no round at once");
    assert_eq!(viewer.core.round, 2);
    viewer.hears(seconds(2), Input::PeerCandidates(candidates(false)));
    assert_eq!(viewer.core.round, 0, "the third was not asked for");
}

#[test]
fn a_path_that_quic_never_forgets_counts_as_silence() {
    let mut viewer = Session::begin(Side::Viewer);
    viewer.stands(seconds(1), 1, direct(5000));
    viewer.hears(seconds(2), Input::Abandoned(1));
    viewer.wakes(seconds(7));
    assert_eq!(viewer.core.facts().silence, seconds(5));
    viewer.counters.remove(&1);
    viewer.wakes(seconds(8));
    assert_eq!(viewer.core.facts().silence, seconds(0));
}
