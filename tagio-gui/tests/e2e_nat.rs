//! Real programs behind NATs: who can meet meets directly, and who cannot has a picture all the same.
#![cfg(target_os = "linux")]

use std::{thread, time::Duration};

use tagio_testkit::{
    Canvas, Lab, NatLab,
    lab::LIMIT,
    nat_lab::{Kind, Meeting, is_direct},
    program::Stream,
};

/// What becomes of a session.
#[derive(Clone, Copy, Debug)]
enum Path {
    /// It goes directly, no later than this after the viewer's start.
    Direct(Duration),
    /// It never does: a path that was found is a row to be changed.
    Relayed,
}
use Path::{Direct, Relayed};

/// For a first round of punches or the next, in a debug build on a busy machine.
const SOON: Duration = Duration::from_secs(10);
/// For ports that have to be guessed, round after round.
const IN_THE_END: Duration = Duration::from_secs(20);
/// How long a session that stays with the relay is watched: two rounds of punches and more.
const WATCHED: Duration = Duration::from_secs(6);

/// The viewer's NAT, the host's, and what becomes of them.
const PAIRS: [(Kind, Kind, Path); 16] = [
    (Kind::None, Kind::None, Direct(SOON)),
    (Kind::Firewall, Kind::None, Direct(SOON)),
    (Kind::None, Kind::PortCone, Direct(SOON)),
    (Kind::FullCone, Kind::Symmetric, Direct(SOON)),
    (Kind::SymmetricSequential, Kind::AddressCone, Direct(SOON)),
    (Kind::PortCone, Kind::PortCone, Direct(SOON)),
    (Kind::PortConeRandom, Kind::Firewall, Direct(SOON)),
    (Kind::Linux, Kind::Linux, Direct(SOON)),
    (Kind::LinuxOpen, Kind::LinuxOpen, Direct(SOON)),
    (Kind::CarrierPortCone, Kind::PortCone, Direct(SOON)),
    (Kind::Linux, Kind::SymmetricSequential, Direct(SOON)),
    (Kind::Symmetric, Kind::PortCone, Direct(IN_THE_END)),
    (Kind::Firewall, Kind::CarrierSymmetric, Direct(IN_THE_END)),
    (Kind::Symmetric, Kind::Symmetric, Relayed),
    (Kind::UdpBlocked, Kind::PortCone, Relayed),
    (Kind::None, Kind::UdpBlocked, Relayed),
];

/// Tries one pair; the complaint, if there is one.
fn check(lab: &Lab, canvas: &mut Canvas, (a, b, path): (Kind, Kind, Path)) -> Result<(), String> {
    let Some(nets) = NatLab::new(a, b).map(NatLab::with_distances) else { return Ok(()) };
    let meeting = Meeting::start(lab, &nets);
    let viewer = meeting.viewer(&["--fullscreen"]);
    let complain = |what: &str| {
        println!("{a} and {b}, TAGIO_SEED={}: {what}\n{viewer:?}\n{:?}", nets.seed, meeting.host.program);
        Err(format!("{a} and {b}: {what}"))
    };
    let Some(first_frame) = viewer.time_of(|line| line.starts_with("first-frame "), LIMIT) else {
        return complain("no picture");
    };
    match path {
        Direct(limit) => match viewer.time_of(is_direct, limit.saturating_sub(viewer.age())) {
            Some(direct) => println!("{a} and {b}: picture after {first_frame:?}, direct after {direct:?}"),
            None => return complain(&format!("not direct within {limit:?}")),
        },
        Relayed => {
            thread::sleep(WATCHED);
            if viewer.lines_of(Stream::Out).iter().any(|line| is_direct(line)) {
                return complain("direct, against all expectation");
            }
            println!("{a} and {b}: picture after {first_frame:?}");
        }
    }
    canvas.repaint(nets.seed);
    lab.viewer_display.screen().wait_for_picture(canvas.picture(), LIMIT);
    Ok(())
}

#[test]
fn each_pair_of_nats_gets_the_best_path_there_is() {
    let Some(lab) = Lab::new() else { return };
    let mut canvas = Canvas::cover(lab.host_display.screen(), 71);
    let complaints: Vec<_> = PAIRS.iter().filter_map(|pair| check(&lab, &mut canvas, *pair).err()).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
