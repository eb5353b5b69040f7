//! The stateless proof that a UDP client receives where it sends from.
//!
//! A cookie is an HMAC over the source address and the channel, so the relay stores nothing for an address
//! that somebody made up, and a cookie for one channel or address is good for no other.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use hmac::{Hmac, Mac};
use rand::{CryptoRng, RngExt};
use sha2::Sha256;
use tagio_wire::leg::{Channel, Cookie};

/// Makes and checks cookies with a secret that changes; the one before is still good.
pub struct CookieJar {
    current: [u8; 32],
    previous: [u8; 32],
    rotated: Instant,
    rotation: Duration,
}

impl CookieJar {
    /// A jar with secrets of its own, new ones every `rotation`.
    pub fn new(rotation: Duration, now: Instant, rng: &mut impl CryptoRng) -> Self {
        Self { current: rng.random(), previous: rng.random(), rotated: now, rotation }
    }

    /// The cookie for `source` and `channel`.
    pub fn cookie(&self, source: SocketAddr, channel: Channel) -> Cookie {
        let tag = mac(&self.current, source, channel).finalize().into_bytes();
        *tag.first_chunk().expect("SHA-256 is longer than a cookie")
    }

    /// Whether `cookie` was made for `source` and `channel`, not too long ago.
    pub fn is_good(&self, cookie: &Cookie, source: SocketAddr, channel: Channel) -> bool {
        [&self.current, &self.previous]
            .into_iter()
            .any(|secret| mac(secret, source, channel).verify_truncated_left(cookie).is_ok())
    }

    /// Changes the secret when it is time.
    pub fn handle_timeout(&mut self, now: Instant, rng: &mut impl CryptoRng) {
        let age = now.saturating_duration_since(self.rotated);
        if age < self.rotation {
            return;
        }
        // After a long sleep the one before is too old as well.
        self.previous = if age < self.rotation * 2 { self.current } else { rng.random() };
        self.current = rng.random();
        self.rotated = now;
    }
}

fn mac(secret: &[u8; 32], source: SocketAddr, channel: Channel) -> Hmac<Sha256> {
    let ip = match source.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(&ip.octets());
    mac.update(&source.port().to_be_bytes());
    mac.update(&channel.0.to_be_bytes());
    mac
}
