//! A name server that says what a test wants, for a network of its own whose programs ask nobody else. For root only.

use std::{
    collections::HashMap,
    fs, io,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::Namespace;

const PORT: u16 = 53;
/// How soon the server notices that it is to end.
const LOOK: Duration = Duration::from_millis(50);
const HEADER_LEN: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
/// A response, recursion desired and available (RFC 1035, 4.1.1); with the code "no such name" in the second one.
const FOUND: [u8; 2] = [0x81, 0x80];
const UNKNOWN: [u8; 2] = [0x81, 0x83];
/// The name of the question, and class IN.
const SAME_NAME: [u8; 2] = [0xc0, 12];
const CLASS_IN: [u8; 2] = [0, 1];
/// Seconds that an answer may be kept.
const TTL: [u8; 4] = [0; 4];

/// Names with their answers, which are given in turns; the last one stays.
pub type Lies<'a> = &'a [(&'a str, &'a [&'a [IpAddr]])];

/// See the module. Programs that [`Namespace::inside`] starts from now on ask it.
#[derive(Debug)]
pub struct LyingDns {
    is_over: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
    /// What `ip netns exec` mounts over `/etc`.
    etc: PathBuf,
}

impl LyingDns {
    /// Tells these in a network, where no name server is yet. Nothing may be kept by who asks.
    pub fn start(namespace: &Namespace, lies: Lies<'_>) -> Result<Self> {
        let etc = PathBuf::from("/etc/netns").join(namespace.name());
        fs::create_dir_all(&etc).with_context(|| format!("no {}", etc.display()))?;
        fs::write(etc.join("resolv.conf"), "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n")?;
        let socket = namespace.udp_socket(Ipv4Addr::LOCALHOST, PORT)?;
        socket.set_read_timeout(Some(LOOK))?;
        let answers = |(name, turns): &(&str, &[&[IpAddr]])| {
            ((*name).to_owned(), turns.iter().map(|turn| turn.to_vec()).rev().collect())
        };
        let mut book = Book(lies.iter().map(answers).collect());
        let is_over = Arc::<AtomicBool>::default();
        let ends = Arc::clone(&is_over);
        let serving = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                // Nothing came, or the system tells of an answer that found nobody.
                let _ = book.answer_next(&socket);
            }
        });
        Ok(Self { is_over, serving: Some(serving), etc })
    }
}

impl Drop for LyingDns {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(serving) = self.serving.take() {
            // A panic of it has been seen.
            let _ = serving.join();
        }
        let _ = fs::remove_dir_all(&self.etc);
    }
}

/// By name, the answers that are left; the next one is the last.
struct Book(HashMap<String, Vec<Vec<IpAddr>>>);

impl Book {
    fn answer_next(&mut self, socket: &UdpSocket) -> io::Result<()> {
        let mut bytes = [0; 1500];
        let (len, from) = socket.recv_from(&mut bytes)?;
        if let Some(answer) = self.answer(&bytes[..len]) {
            socket.send_to(&answer, from)?;
        }
        Ok(())
    }

    fn answer(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        let (name, name_len) = question(query.get(HEADER_LEN..)?)?;
        let question = query.get(HEADER_LEN..HEADER_LEN + name_len + 4)?;
        let kind = u16::from_be_bytes([question[name_len], question[name_len + 1]]);
        let turns = self.0.get_mut(&name);
        let code = if turns.is_some() { FOUND } else { UNKNOWN };
        // Resolvers ask for both kinds each time.
        let addrs: Vec<_> = match turns {
            Some(turns) if kind == TYPE_A && turns.len() > 1 => turns.pop().unwrap_or_default(),
            Some(turns) => turns.last().cloned().unwrap_or_default(),
            None => Vec::new(),
        };
        let data = addrs.iter().filter_map(|addr| match (kind, addr) {
            (TYPE_A, IpAddr::V4(v4)) => Some(v4.octets().to_vec()),
            (TYPE_AAAA, IpAddr::V6(v6)) => Some(v6.octets().to_vec()),
            _ => None,
        });
        let data: Vec<_> = data.collect();
        let counts = [0, 1, 0, u8::try_from(data.len()).ok()?, 0, 0, 0, 0];
        let mut answer = [&query[..2], &code, &counts, question].concat();
        for one in data {
            let len = u16::try_from(one.len()).ok()?.to_be_bytes();
            answer.extend([&SAME_NAME[..], &kind.to_be_bytes(), &CLASS_IN, &TTL, &len, &one].concat());
        }
        Some(answer)
    }
}

/// The name at the start of these bytes, and how many of them it takes.
fn question(bytes: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut at = 0;
    loop {
        let len = usize::from(*bytes.get(at)?);
        at += 1;
        if len == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(bytes.get(at..at + len)?).to_lowercase());
        at += len;
    }
}
