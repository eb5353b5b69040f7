//! Much at once, and much in all. Not of every run:
//! `cargo test -p tagio-gui --test e2e_proxy -- --ignored --nocapture --test-threads 1`.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{lab::Lab, web::Web};

const CONNECTIONS: usize = 10_000;
/// At once.
const PROGRAMS: usize = 32;

#[test]
#[ignore = "takes a minute"]
fn a_gibibyte_each_way() {
    let Some(web) = Web::start() else { return };
    let lab = Lab::start();
    let proxy = format!("socks5h://{}", lab.socks5);
    web.transfer_a_gibibyte(&["--proxy", &proxy], &format!("localhost:{}", web.port));
}

#[test]
#[ignore = "takes a minute"]
fn ten_thousand_short_connections() {
    let lab = Lab::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Answers once it has heard the end.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut heard = Vec::new();
                stream.read_to_end(&mut heard).and_then(|_| stream.write_all(&heard))
            });
        }
    });
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    thread::scope(|threads| {
        for _ in 0..PROGRAMS {
            threads.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= CONNECTIONS {
                        return;
                    }
                    assert_eq!(
                        ask(&lab.socks5, port, number).unwrap(),
                        number.to_string(),
                        "{:?}",
                        lab.client
                    );
                }
            });
        }
    });
    let time = begun.elapsed();
    println!(
        "{CONNECTIONS} connections: {time:.1?}, {:.0} a second",
        CONNECTIONS as f64 / time.as_secs_f64()
    );
    // Nothing is left of them.
    let sockets =
        Command::new("sh").args(["-c", &format!("ls /proc/{}/fd | wc -l", lab.client.pid())]).output();
    let sockets: usize = String::from_utf8(sockets.unwrap().stdout).unwrap().trim().parse().unwrap();
    assert!(sockets < 100, "{sockets}");
}

/// One connection by SOCKS 5: says a number and that this is all, and hears it.
fn ask(door: &str, port: u16, number: usize) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(door)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut opening = vec![5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1];
    opening.extend_from_slice(&port.to_be_bytes());
    opening.extend_from_slice(number.to_string().as_bytes());
    stream.write_all(&opening)?;
    stream.shutdown(Shutdown::Write)?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    assert_eq!(head[..4], [5, 0, 5, 0]);
    let mut heard = String::new();
    stream.read_to_string(&mut heard)?;
    Ok(heard)
}
