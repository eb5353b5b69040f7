//! What an attacker does to a relay's port again and again, from a handful of addresses, at a pace that keeps the
//! processor of this machine for the relay.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::Result;
use futures_util::future::{FutureExt, pending, select_all};
use tagio_wire::{PublicKey, control::Preface};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream, UdpSocket},
    time::{MissedTickBehavior, interval, timeout},
};

use super::{Client, Keys, PATIENCE, hello};

/// Between two connections of an attack.
const PACE: Duration = Duration::from_millis(5);
/// Connections that an attack keeps open: a thousand and a half in all.
const HELD_MAX: usize = 250;
/// Addresses of an attacker.
const ADDRESSES: u8 = 8;
/// Datagrams at each step: 6 400 a second.
const DATAGRAMS: usize = 32;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Connects and says nothing.
    Silence,
    /// Begins TLS, and stops.
    HalfOpenTls,
    /// Sends headers without end.
    EndlessHeaders,
    /// Announces the longest control frame there can be.
    LongFrames,
    /// Opens handshakes that make the relay calculate, for nothing.
    BadHandshakes,
    /// Registers one name after the other.
    Registrations,
    /// Sends datagrams of every kind that mean nothing.
    Datagrams,
}

impl Attack {
    pub const ALL: [Self; 7] = [
        Self::Silence,
        Self::HalfOpenTls,
        Self::EndlessHeaders,
        Self::LongFrames,
        Self::BadHandshakes,
        Self::Registrations,
        Self::Datagrams,
    ];

    /// Goes on until it is dropped.
    pub async fn run(self, relay: SocketAddr) -> Infallible {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut ticks = interval(PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut held = VecDeque::new();
        for step in 0_u32.. {
            ticks.tick().await;
            if self == Self::Datagrams {
                for number in 0..DATAGRAMS {
                    // A full buffer is as good as a full relay.
                    let _ = socket.try_send_to(&[number as u8; 37], relay);
                }
                continue;
            }
            let bytes = self.bytes(step);
            // Whoever is refused comes again.
            if let Ok(stream) = open(step, relay, &bytes).await {
                held.push_back(stream);
            }
            if held.len() > HELD_MAX {
                held.pop_front();
            }
        }
        pending().await
    }

    fn bytes(self, step: u32) -> Vec<u8> {
        match self {
            Self::Silence | Self::Datagrams => Vec::new(),
            Self::HalfOpenTls => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc".to_vec(),
            Self::EndlessHeaders => {
                [&b"GET / HTTP/1.1\r\n"[..], &b"X-Header: and one more\r\n".repeat(400)].concat()
            }
            Self::LongFrames => [&Preface::ControlIk.bytes()[..], &[0xff; 512]].concat(),
            Self::BadHandshakes => {
                // An ephemeral key, then what no key opens.
                [&Preface::ControlIk.bytes()[..], &200_u16.to_be_bytes(), &step.to_be_bytes().repeat(50)]
                    .concat()
            }
            Self::Registrations => {
                let name = format!("attacker-{step:08}");
                [&(name.len() as u32).to_be_bytes()[..], name.as_bytes()].concat()
            }
        }
    }
}

async fn open(step: u32, relay: SocketAddr, bytes: &[u8]) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, 66, 0, 1 + (step % u32::from(ADDRESSES)) as u8), 0).into())?;
    let mut stream = timeout(PATIENCE, socket.connect(relay)).await??;
    stream.write_all(bytes).await?;
    Ok(stream)
}

/// How long each of `count` honest clients, one after the other, takes to come in and be answered, while all of
/// `attacks` go on.
pub async fn honest_times(
    relay: SocketAddr,
    key: PublicKey,
    attacks: &[Attack],
    count: usize,
) -> Vec<Duration> {
    let keys = Keys::new();
    let visits = async {
        let mut times = Vec::with_capacity(count);
        for number in 0..count {
            let start = Instant::now();
            let stream = TcpStream::connect(relay).await.unwrap();
            let mut client =
                Client::ik_over(stream, key, &keys, &hello()).await.expect("nobody honest is refused");
            client.ping(number as u32).await;
            times.push(start.elapsed());
        }
        times
    };
    if attacks.is_empty() {
        return visits.await;
    }
    let attacking = attacks.iter().map(|attack| attack.run(relay).boxed());
    tokio::select! {
        times = visits => times,
        (never, ..) = select_all(attacking) => match never {},
    }
}
