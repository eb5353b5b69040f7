//! Where nothing happens, nothing runs and nothing is sent.
#![cfg(target_os = "linux")]

use std::{net::Ipv4Addr, thread, time::Duration};

use tagio_testkit::{
    Canvas, Lab, Namespace, Program,
    lab::{Host, LIMIT, PASSWORD},
    procfs::{cpu_time, network_bytes},
    skipped,
};

/// Until the picture is repaired and paths have settled.
const SETTLING_TIME: Duration = Duration::from_secs(5);
const MEASURED_TIME: Duration = Duration::from_secs(10);

/// The best of so many windows counts: another test may disturb one of them, a program that never rests all.
const CPU_WINDOWS: u32 = 3;
const CPU_WINDOW: Duration = Duration::from_secs(5);

/// Of a core.
const CPU_SHARE_MAX: f64 = 0.01;

/// Keep-alives and reports of two connections, with room.
const BYTES_PER_SECOND_MAX: u64 = 2_000;

#[test]
fn a_watched_still_screen_costs_almost_no_time() {
    let Some(lab) = Lab::new() else { return };
    let _canvas = Canvas::cover(lab.host_display.screen(), 71);
    let relay = lab.relay();
    let host = lab.host(&relay, &[]);
    let viewer = lab.viewer(Some(&relay), &host.id(), &["--fullscreen"]);
    viewer.word("first-frame", LIMIT);
    thread::sleep(SETTLING_TIME);
    let programs = [("host", host.program.pid()), ("viewer", viewer.pid()), ("relay", relay.program.pid())];
    let mut best = [f64::INFINITY; 3];
    for _ in 0..CPU_WINDOWS {
        let before = programs.map(|(_, pid)| cpu_time(pid));
        thread::sleep(CPU_WINDOW);
        for (index, (name, pid)) in programs.into_iter().enumerate() {
            let share = (cpu_time(pid) - before[index]).as_secs_f64() / CPU_WINDOW.as_secs_f64();
            println!("{name}: {:.2} % of a core", share * 100.0);
            best[index] = best[index].min(share);
        }
    }
    for ((name, _), share) in programs.into_iter().zip(best) {
        assert!(share < CPU_SHARE_MAX, "the {name} uses {:.2} % of a core for nothing", share * 100.0);
    }
}

#[test]
fn a_watched_still_screen_sends_almost_nothing() {
    let Some(lab) = Lab::new() else { return };
    let (Some(host_net), Some(viewer_net)) = (Namespace::new("host"), Namespace::new("viewer")) else {
        return;
    };
    let host_address = Ipv4Addr::new(10, 78, 1, 1);
    viewer_net.join(Ipv4Addr::new(10, 78, 1, 2), &host_net, host_address).expect("a cable");
    let _canvas = Canvas::cover(lab.host_display.screen(), 72);
    let listen = format!("{host_address}:0");
    let command = lab.host_command(&["--password", PASSWORD, "--listen", &listen]);
    let host = Host::start(&mut host_net.inside(&command));
    let target = host.address().to_string();
    let command = lab.viewer_command(&target, &["--fullscreen", "--password", PASSWORD]);
    let viewer = Program::start("viewer", &mut viewer_net.inside(&command));
    viewer.word("first-frame", LIMIT);
    thread::sleep(SETTLING_TIME);
    let count = || host_net.run(&["cat", "/proc/net/dev"]).map(|dev| network_bytes(&dev));
    let (Ok(before), true) = (count(), count().is_ok()) else {
        skipped("the bytes of a namespace cannot be counted");
        return;
    };
    thread::sleep(MEASURED_TIME);
    let bytes = count().expect("the same count again") - before;
    let per_second = bytes / MEASURED_TIME.as_secs();
    println!("a still session: {per_second} bytes a second");
    assert!(per_second < BYTES_PER_SECOND_MAX, "{per_second} bytes a second for nothing");
}
