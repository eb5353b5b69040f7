//! How many openings each source may have under way, so that nobody fills a door with silence. Pure but for its lock.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Of an IPv6 address, what one customer has alone: a /64 (RFC 6177).
const NETWORK_V6: u128 = !0 << 64;

/// Openings under way, by source. It holds no more entries than there are connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// The right to one opening, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    sources: Sources,
    source: IpAddr,
}

impl Sources {
    /// A place for somebody at `ip`, unless their source has `max` of them.
    pub(super) fn enter(&self, ip: IpAddr, max: usize) -> Option<Place> {
        let source = source(ip);
        let mut openings = self.lock();
        if openings.get(&source).copied().unwrap_or_default() >= max {
            return None;
        }
        *openings.entry(source).or_default() += 1;
        Some(Place { sources: self.clone(), source })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut openings = self.sources.lock();
        if let Some(count) = openings.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                openings.remove(&self.source);
            }
        }
    }
}

fn source(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & NETWORK_V6).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

    use super::*;

    #[test]
    fn each_source_has_its_own_places_and_gets_them_back() {
        let sources = Sources::default();
        let enter = |ip: &str| sources.enter(ip.parse().unwrap(), 2);
        let one = [enter("192.0.2.1"), enter("::ffff:192.0.2.1")];
        assert!(one.iter().all(Option::is_some) && enter("192.0.2.1").is_none());
        let other = [enter("2001:db8::1"), enter("2001:db8::2:0:0:1")];
        assert!(other.iter().all(Option::is_some) && enter("2001:db8::3").is_none());
        assert!(enter("2001:db8:0:1::1").is_some() && enter("192.0.2.2").is_some());
        drop(one);
        assert!(enter("192.0.2.1").is_some());
        drop(other);
        assert!(sources.lock().is_empty());
    }
}
