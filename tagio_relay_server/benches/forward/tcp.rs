//! TCP through the tunnel, from a program's socket to a target's, beside a bare QUIC stream. All processes may use both
//! cores; what is on the way shares them with source and sink.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tagio_forward::client::{ClientConfig, Trust, Tunnel, TunnelOutlet};
use tagio_proxy::{Outlet, Target, Users};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    sync::mpsc,
    task::JoinSet,
};

use crate::{
    bare,
    process::{LOAD_CORE, MEASURED_CORE, Process},
    relay::Relay,
};

/// Before anything is counted.
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(5);
/// The sides are measured in turns, so that what else the machine does hits both.
const ROUNDS: usize = 3;
const CORES: [usize; 2] = [MEASURED_CORE, LOAD_CORE];
const BUFFER_BYTES: usize = 256 * 1024;

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

/// What was measured.
#[derive(Clone, Copy)]
struct Figure {
    gigabits_per_second: f64,
    /// Of the server's side: relay, or bare server.
    server: f64,
    /// Of everything.
    all: f64,
}

pub(crate) fn measure() {
    println!("{:<28}{:>10}{:>20}{:>20}", "one TCP connection", "Gb/s", "server, CPU s/Gb", "all, CPU s/Gb");
    for (name, direction) in [("to the target", Direction::Up), ("from the target", Direction::Down)] {
        let mut rounds: Vec<_> = (0..ROUNDS).map(|_| (tunnel(direction), bare_stream(direction))).collect();
        // The median by the share.
        let share = |(ours, theirs): &(Figure, Figure)| ours.gigabits_per_second / theirs.gigabits_per_second;
        rounds.sort_by(|one, other| share(one).total_cmp(&share(other)));
        let median = rounds[ROUNDS / 2];
        row(&format!("{name}, tunnel"), median.0);
        row(&format!("{name}, bare QUIC"), median.1);
        let best = |pick: fn(&(Figure, Figure)) -> f64| rounds.iter().map(pick).fold(0.0, f64::max);
        println!(
            "{:<28}{:>9.0}%   (best of each: {:.2} and {:.2} Gb/s)",
            format!("{name}, share"),
            100.0 * share(&median),
            best(|round| round.0.gigabits_per_second),
            best(|round| round.1.gigabits_per_second),
        );
    }
}

fn row(what: &str, figure: Figure) {
    println!("{what:<28}{:>10.2}{:>20.3}{:>20.3}", figure.gigabits_per_second, figure.server, figure.all);
}

/// Lets `arrived` grow for a while; both sides' processor time beside it.
fn watch(server: &Process, arrived: &AtomicU64) -> Figure {
    thread::sleep(WARM_UP);
    let look = || {
        let all = server.cpu_seconds() + own_cpu_seconds();
        (Instant::now(), arrived.load(Ordering::Relaxed), server.cpu_seconds(), all)
    };
    let before = look();
    thread::sleep(MEASURED);
    let after = look();
    let gigabits = (after.1 - before.1) as f64 * 8.0 / 1e9;
    Figure {
        gigabits_per_second: gigabits / (after.0 - before.0).as_secs_f64(),
        server: (after.2 - before.2) / gigabits,
        all: (after.3 - before.3) / gigabits,
    }
}

fn own_cpu_seconds() -> f64 {
    crate::process::cpu_seconds_of(std::process::id())
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(CORES.len()).enable_all().build().unwrap()
}

fn bare_stream(direction: Direction) -> Figure {
    let this = std::env::current_exe().unwrap();
    let mut server = Process::start_on(&CORES, this, &[bare::SERVER, &CORES.len().to_string()]);
    let line = server.first_line();
    let arrived = Arc::<AtomicU64>::default();
    let runtime = runtime();
    let counted = Arc::clone(&arrived);
    match direction {
        Direction::Up => runtime.spawn(async move {
            let (_endpoint, connection, mut send, _receive) = bare::connect(&line, bare::SINK).await;
            let writing = async {
                // Counted as they are taken; what is under way is the same at both looks.
                while send.write_chunk(bytes::Bytes::from_static(&[7; 64 * 1024])).await.is_ok() {
                    counted.fetch_add(64 * 1024, Ordering::Relaxed);
                }
            };
            tokio::select! { () = writing => {}, _ = connection.closed() => {} }
        }),
        Direction::Down => runtime.spawn(async move {
            let (_endpoint, _connection, _send, mut receive) = bare::connect(&line, bare::SOURCE).await;
            let count = |bytes| {
                counted.fetch_add(bytes as u64, Ordering::Relaxed);
            };
            bare::drain(&mut receive, count).await;
        }),
    };
    let figure = watch(&server, &arrived);
    runtime.shutdown_background();
    figure
}

fn tunnel(direction: Direction) -> Figure {
    let relay = Relay::start(&CORES);
    let arrived = Arc::<AtomicU64>::default();
    let runtime = runtime();
    runtime.spawn(carry(relay.addr, relay.pin, direction, Arc::clone(&arrived)));
    let figure = watch(&relay.process, &arrived);
    runtime.shutdown_background();
    figure
}

/// A program, the tunnel's client, and a target.
async fn carry(relay: std::net::SocketAddr, pin: [u8; 32], direction: Direction, arrived: Arc<AtomicU64>) {
    let config = ClientConfig {
        host: relay.ip().to_string(),
        port: relay.port(),
        server_name: None,
        trust: Trust::Pinned(pin),
        token: None,
        keep_alive: Duration::from_secs(1),
    };
    // Nobody looks at them, and there are few.
    let (events, _kept) = mpsc::channel(16);
    let (tunnel, keeping) = Tunnel::new(&config, events).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { drop(keeping.await) });
    let outlet = TunnelOutlet::new(tunnel, Users::default());
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let program = TcpStream::connect(door.local_addr().unwrap()).await.unwrap();
    let (inside, _) = door.accept().await.unwrap();
    let stream = outlet.connect(&(), &Target::from(target.local_addr().unwrap())).await.unwrap();
    let (far, _) = target.accept().await.unwrap();
    let (from, mut to) = match direction {
        Direction::Up => (program, far),
        Direction::Down => (far, program),
    };
    tasks.spawn(async move {
        let mut from = from;
        let bytes = vec![7; BUFFER_BYTES];
        while from.write_all(&bytes).await.is_ok() {}
    });
    tasks.spawn(async move {
        let mut bytes = vec![0; BUFFER_BYTES];
        while let Ok(read @ 1..) = to.read(&mut bytes).await {
            arrived.fetch_add(read as u64, Ordering::Relaxed);
        }
    });
    // Until the run is over.
    let _ = outlet.carry(inside, bytes::Bytes::new(), stream).await;
}
