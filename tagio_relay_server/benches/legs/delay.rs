//! What the relay adds to a packet's way while it is half busy, against two sockets that talk to each other.

use std::{
    net::UdpSocket,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    common::ANY,
    datagrams::{Flow, PACKET_BYTES, datagram, socket},
    forwarder::system::{SocketOption, set_option},
    relay::Relay,
};

/// Datagrams at once of the load beside it.
const BURST: usize = 10;
const LOAD_FLOWS: usize = 20;
const WARM_UP: usize = 200;
const ROUND_TRIPS: usize = 5_000;
/// The load's sender sleeps no shorter: the system would be late.
const SLEEP_MIN: Duration = Duration::from_micros(100);
/// A probe that takes longer is lost.
const LOST_AFTER: Duration = Duration::from_secs(1);

/// Prints round trips of a packet and its answer, through the relay and without it, in turn.
pub(crate) fn measure(relay: &Relay, load_gigabits_per_second: f64) {
    let probe = relay.datagram_flows(1).remove(0);
    let direct = direct_flow(&probe);
    let load = relay.datagram_flows(LOAD_FLOWS);
    let is_over = AtomicBool::new(false);
    let (mut direct_times, mut relayed_times) = (Vec::new(), Vec::new());
    thread::scope(|threads| {
        threads.spawn(|| send_evenly(&load, load_gigabits_per_second, &is_over));
        for flow in [&probe, &direct] {
            threads.spawn(|| echo(&flow.to, &is_over));
        }
        for trip in 0..WARM_UP + ROUND_TRIPS {
            let times = (round_trip(&direct), round_trip(&probe));
            if trip >= WARM_UP {
                direct_times.push(times.0);
                relayed_times.push(times.1);
            }
            thread::sleep(SLEEP_MIN);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    println!("\nround trip of a packet and its answer beside {load_gigabits_per_second:.1} Gb/s, µs");
    println!("{:<32}{:>12}{:>12}", "", "p50", "p99");
    let direct = print_row("direct", &mut direct_times);
    let relayed = print_row("through the relay, twice", &mut relayed_times);
    println!(
        "{:<32}{:>12.0}{:>12.0}",
        "added, each time",
        (relayed.0 - direct.0) / 2.0,
        (relayed.1 - direct.1) / 2.0
    );
}

fn print_row(what: &str, times: &mut [Duration]) -> (f64, f64) {
    times.sort_unstable();
    let at = |percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1e6;
    let (p50, p99) = (at(50), at(99));
    println!("{what:<32}{p50:>12.0}{p99:>12.0}");
    (p50, p99)
}

/// Two sockets, one of them the other's product.
fn direct_flow(like: &Flow) -> Flow {
    let to = UdpSocket::bind(ANY).unwrap();
    let from = socket(to.local_addr().unwrap());
    to.connect(from.local_addr().unwrap()).unwrap();
    Flow { from, to, channel: like.channel }
}

fn round_trip(flow: &Flow) -> Duration {
    let packet = datagram(flow.channel);
    let mut buffer = vec![0; packet.len() + 1];
    flow.from.set_read_timeout(Some(LOST_AFTER)).unwrap();
    let started = Instant::now();
    flow.from.send(&packet).unwrap();
    match flow.from.recv(&mut buffer) {
        Ok(len) => assert_eq!(&buffer[..len], packet),
        Err(error) => println!("a probe was lost: {error}"),
    }
    started.elapsed()
}

fn echo(socket: &UdpSocket, is_over: &AtomicBool) {
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut buffer = [0; 2 * PACKET_BYTES];
    while !is_over.load(Ordering::Relaxed) {
        if let Ok(len) = socket.recv(&mut buffer) {
            socket.send(&buffer[..len]).unwrap();
        }
    }
}

/// Bursts in all flows in turn. Nobody reads what arrives: the system drops it there.
fn send_evenly(flows: &[Flow], gigabits_per_second: f64, is_over: &AtomicBool) {
    let bursts: Vec<_> = flows.iter().map(|flow| datagram(flow.channel).repeat(BURST)).collect();
    for flow in flows {
        set_option(&flow.from, SocketOption::Segment(bursts[0].len() / BURST)).unwrap();
    }
    let pause = Duration::from_secs_f64(bursts[0].len() as f64 * 8.0 / (gigabits_per_second * 1e9));
    let mut due = Instant::now();
    for (flow, burst) in flows.iter().zip(&bursts).cycle() {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let early = due.saturating_duration_since(Instant::now());
        if early > SLEEP_MIN {
            thread::sleep(early);
        }
        due += pause;
        flow.from.send(burst).unwrap();
    }
}
