//! What TAGIO messages by WebSocket cost the relay: time for a message of 1 KiB from one client to another, and
//! memory for a client that is idle. The real program, in a process of its own, over loopback.
//!
//! Run: `ulimit -n 20000; cargo bench -p tagio_relay_server --bench messages`. Linux only: the relay's processor time
//! and memory come from `/proc`.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed run")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// Payload of a message.
const PAYLOAD_BYTES: usize = 1024;
/// Header, type and ID in front of it.
const HEAD_BYTES: usize = 16;
/// Messages in one write of the sending client.
const BATCH: usize = 64;
/// Batches under way: what the relay may keep for a client is never reached.
const WINDOW: usize = 16;
/// Messages of a run: some seconds.
const MESSAGES: usize = 200_000;
/// Before memory is looked at: tasks and allocator come to rest.
const REST: Duration = Duration::from_secs(3);
const IDLE_CLIENTS: usize = 20_000;
/// The kernel's unit of processor time.
const TICKS_PER_SECOND: f64 = 100.0;

struct Relay {
    child: Child,
    addr: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Relay {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("relay.toml");
        let many = 100_000;
        let limits = format!(
            "bind = [\"127.0.0.1:0\"]\nmetrics-bind = \"off\"\nstun-port = 0\n[limits]\nconnections-max = {many}\n\
             connections-per-ip-max = {many}\ntagio-clients-max = {many}\ntagio-clients-per-ip-max = {many}\n\
             tagio-client-burst = {many}\ntagio-silence-secs = 600\n"
        );
        fs::write(&config, limits).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tagio_relay_server"));
        command.arg("--config").arg(&config).arg("--data-dir").arg(dir.path());
        for variable in ["PORT", "PUBLIC_IP", "AUTH_SECRET"] {
            command.env_remove(variable);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addr = line.split(' ').nth(1).expect("the relay listens").parse().unwrap();
        Self { child, addr, _dir: dir }
    }

    /// Processor time so far, in seconds.
    fn processor_time(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the program's name, which may hold spaces: utime and stime are the 14th and 15th of all.
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        ticks as f64 / TICKS_PER_SECOND
    }

    fn resident_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A frame of a client; a mask of zeros is one, too.
fn frame(message: &[u8]) -> Vec<u8> {
    let mut out = vec![0x82];
    match u8::try_from(message.len()) {
        Ok(len @ ..126) => out.push(0x80 | len),
        _ => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(message.len() as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(message);
    out
}

/// A WebSocket that has been told its ID.
fn connect(relay: SocketAddr) -> (TcpStream, [u8; 4]) {
    let mut stream = TcpStream::connect(relay).unwrap();
    let request = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream.write_all(&frame(b"TAGIO\0\0\0\x01PING")).unwrap();
    let mut ack = [0; 18];
    stream.read_exact(&mut ack).unwrap();
    assert!(ack.starts_with(b"\x82\x10TAGIO\0\0\0\x01ACK"));
    (stream, *ack.last_chunk().unwrap())
}

/// Messages from one client to another: how many a second, and how many for a second of the relay's processor time.
fn throughput(relay: &Relay) -> (f64, f64) {
    let (mut from, _) = connect(relay.addr);
    let (mut to, id) = connect(relay.addr);
    let message = [&b"TAGIO\0\0\0\x01MSG"[..], &id, &[7; PAYLOAD_BYTES]].concat();
    let batch = frame(&message).repeat(BATCH);
    // As the relay sends it: no mask.
    let delivered = 4 + HEAD_BYTES + PAYLOAD_BYTES;
    let batches = MESSAGES / BATCH;
    let (arrived, credits) = mpsc::channel();
    let (start, busy) = (Instant::now(), relay.processor_time());
    let receiving = thread::spawn(move || {
        let mut buffer = vec![0; BATCH * delivered];
        for _ in 0..batches {
            to.read_exact(&mut buffer).unwrap();
            assert!(buffer.starts_with(b"\x82\x7e\x04\x10TAGIO\0\0\0\x01MSG"));
            // The sender may have sent everything and left.
            let _ = arrived.send(());
        }
    });
    for sent in 0..batches {
        if sent >= WINDOW {
            credits.recv().unwrap();
        }
        from.write_all(&batch).unwrap();
    }
    receiving.join().unwrap();
    let messages = (batches * BATCH) as f64;
    (messages / start.elapsed().as_secs_f64(), messages / (relay.processor_time() - busy))
}

/// Resident memory of the relay for each of so many idle clients, in bytes.
fn idle_memory(relay: &Relay, clients: usize) -> usize {
    let before = relay.resident_bytes();
    let clients: Vec<_> = (0..clients).map(|_| connect(relay.addr)).collect();
    thread::sleep(REST);
    (relay.resident_bytes() - before) / clients.len()
}

/// Sockets that a process may have, but for some that it needs itself.
fn sockets_max() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse::<usize>().unwrap_or(usize::MAX).saturating_sub(100)
}

fn main() {
    let relay = Relay::start();
    println!("{:<40}{:>12}{:>24}", "1 KiB, WebSocket to WebSocket", "messages/s", "per core of the relay");
    for run in 1..=3 {
        let (rate, per_core) = throughput(&relay);
        println!("{:<40}{rate:>12.0}{per_core:>24.0}", format!("run {run}"));
    }
    let relay = Relay::start();
    let clients = IDLE_CLIENTS.min(sockets_max());
    let each = idle_memory(&relay, clients);
    println!("{clients} idle clients: {each} bytes resident each, of {} in all", relay.resident_bytes());
}
