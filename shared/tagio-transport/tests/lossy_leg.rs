//! What a session gets through the relay over a line that loses packets: by a leg over UDP, and by one over TCP.
//!
//! Run: `cargo test -p tagio-transport --test lossy_leg -- --ignored --nocapture`, as root.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::{process::Command, sync::mpsc, thread, time::Duration};

use tagio_testkit::{
    Namespace, NatLab, TempDir, binaries,
    lab::{self, LIMIT},
    nat_lab::{Kind, Line, RELAY_ADDRESSES, Site},
};
use tagio_transport::{
    Carrier, CarrierKind, Connection, Endpoint, NetworkChanges, ReachSettings,
    relay::{Relay, RelayConfig, RelayEvent},
};
use tagio_wire::PeerId;
use tokio::{
    runtime::Builder,
    time::{Instant, timeout, timeout_at},
};

/// Between the viewer and the relay: 40 ms there and back.
const BAD_LINE: Line = Line { loss_percent: 1.0, ..Line::slow(20, 0) };
/// Until congestion control knows the line.
const WARM_UP: Duration = Duration::from_secs(3);
const MEASURED: Duration = Duration::from_secs(10);
const CHUNK_BYTES: usize = 64 * 1024;
const PRIORITY: i32 = 0;
/// TCP's congestion control. Nearly every system has CUBIC, which on this line does as Reno does (RFC 9438, 4.3); and
/// Reno is the one that every kernel lets be chosen in a namespace.
const TCP_DEFAULT: &str = "reno";
/// What the leg over UDP has to be better by.
const FACTOR: f64 = 3.0;

/// Runs a program of one thread on a machine of the laboratory.
fn on<T>(machine: &Namespace, program: impl Future<Output = T>) -> T {
    machine.enter().unwrap();
    Builder::new_current_thread().enable_all().build().unwrap().block_on(program)
}

async fn next<T>(relay: &mut Relay, wanted: impl Fn(RelayEvent) -> Option<T>) -> T {
    let found = timeout(LIMIT, async {
        loop {
            if let Some(found) = wanted(relay.event().await.expect("the relay is not given up")) {
                return found;
            }
        }
    });
    found.await.expect("an event in time")
}

/// Registers; with which ID.
async fn register(relay: &str, presence: bool) -> (Relay, PeerId) {
    let config = RelayConfig {
        addr: relay.to_owned(),
        key: None,
        identity: rand::random(),
        auth: None,
        presence,
        reach: ReachSettings::default(),
    };
    let mut relay = Relay::spawn(config, NetworkChanges::none());
    let id = next(&mut relay, |event| match event {
        RelayEvent::Online { welcome, .. } => Some(welcome.id),
        _ => None,
    });
    let id = id.await;
    (relay, id)
}

/// Waits for a call and sends bytes until the viewer goes.
async fn host(relay: &str, registered: mpsc::Sender<PeerId>) {
    let (mut relay, id) = register(relay, true).await;
    registered.send(id).unwrap();
    let incoming = next(&mut relay, |event| match event {
        RelayEvent::Incoming { leg, relay, .. } => Some((relay, leg)),
        _ => None,
    });
    let (route, grant) = incoming.await;
    let endpoint = Endpoint::bind(None).unwrap();
    let _leg = endpoint.bind_leg(&route, grant).await.unwrap();
    let connection: Connection = endpoint.accept().await.unwrap().accept().await.unwrap();
    let mut stream = connection.open_uni(PRIORITY).await.unwrap();
    while stream.write(&[7; CHUNK_BYTES]).await.is_ok() {}
}

/// Calls and reads; what carried the leg, and how many megabits came in a second.
async fn viewer(relay: &str, host: PeerId) -> (Carrier, f64) {
    let (mut relay, _) = register(relay, false).await;
    relay.call(1, host);
    let ringing = next(&mut relay, |event| match event {
        RelayEvent::Ringing { leg, relay, .. } => Some((relay, leg)),
        _ => None,
    });
    let (route, grant) = ringing.await;
    let endpoint = Endpoint::bind(None).unwrap();
    let connecting = timeout(LIMIT, endpoint.connect_by_leg(&route, grant));
    let (leg, connection) = connecting.await.unwrap().unwrap();
    let mut stream = connection.accept_uni().await.unwrap();
    let mut chunk = vec![0; CHUNK_BYTES];
    let start = Instant::now() + WARM_UP;
    while timeout_at(start, stream.read_exact(&mut chunk)).await.is_ok_and(|read| read.is_ok()) {}
    let mut bytes = 0;
    while timeout_at(start + MEASURED, stream.read_exact(&mut chunk)).await.is_ok_and(|read| read.is_ok()) {
        bytes += chunk.len();
    }
    assert!(start.elapsed() >= MEASURED, "the host went");
    connection.close();
    endpoint.close().await;
    (leg.carrier(), bytes as f64 * 8.0 / 1e6 / MEASURED.as_secs_f64())
}

/// Megabits a second from a host to a viewer behind a bad line, where TCP has this congestion control.
fn rate(viewers: Kind, control: &str, expected: Carrier) -> Option<f64> {
    let nets = NatLab::new(viewers, Kind::PortCone)?;
    nets.impair(Site::A, BAD_LINE);
    let setting = format!("net.ipv4.tcp_congestion_control={control}");
    for machine in [nets.relay(), nets.viewer()] {
        machine.run(&["sysctl", "-w", &setting]).unwrap();
    }
    let folder = TempDir::new();
    let [ip, _] = RELAY_ADDRESSES;
    let mut command = Command::new(binaries::relay_server());
    command.args(["--bind", "0.0.0.0:443", "--metrics-bind", "off", "--public-ip", &ip.to_string()]);
    command.arg("--data-dir").arg(folder.path());
    let _relay = lab::Relay::start(&mut nets.relay().inside(&command));
    let relay = format!("{ip}:443");
    let (registered, id) = mpsc::channel();
    let (nets, relay) = (&nets, relay.as_str());
    let (carrier, rate) = thread::scope(|threads| {
        threads.spawn(move || on(nets.host(), host(relay, registered)));
        let id = id.recv().unwrap();
        threads.spawn(move || on(nets.viewer(), viewer(relay, id))).join().unwrap()
    });
    assert_eq!(carrier, expected);
    println!("{carrier}: {rate:.1} Mb/s, the system's TCP being {control}");
    Some(rate)
}

#[test]
#[ignore = "half a minute of figures"]
fn a_leg_over_udp_gets_three_times_as_much_through_a_bad_line() {
    let Some(udp) = rate(Kind::PortCone, TCP_DEFAULT, Carrier::Udp) else { return };
    let tcp = Carrier::Stream { kind: CarrierKind::Tcp, proxied: false };
    let Some(tcp) = rate(Kind::UdpBlocked, TCP_DEFAULT, tcp) else { return };
    println!("{:.1} times as much", udp / tcp);
    assert!(udp >= FACTOR * tcp, "{udp:.1} Mb/s by UDP, {tcp:.1} by TCP");
}
