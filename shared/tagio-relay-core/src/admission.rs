//! Which connections may come in at all, by address, before any of them is worth a handshake.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Instant,
};

use crate::{
    denial::Denial,
    limits::Limits,
    rate::{Rate, RateTable},
};

/// What counts as one address: an IPv4 address, or the /64 that an IPv6 customer gets at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceNet(IpAddr);

impl From<IpAddr> for SourceNet {
    fn from(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(v4),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        })
    }
}

impl fmt::Display for SourceNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => write!(f, "{v4}"),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

impl SourceNet {
    /// The network of one customer or office around it: IPv4 /24, IPv6 /56.
    pub fn neighbourhood(self) -> Self {
        Self(match self.0 {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                IpAddr::V4(Ipv4Addr::new(a, b, c, 0))
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d & 0xff00, 0, 0, 0, 0))
            }
        })
    }
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nobody knows yet who it is.
    Opening,
    /// Let in.
    Established,
}

#[derive(Debug, Default)]
struct PerNet {
    connections: u32,
    opening: u32,
}

/// Counts connections by address. Whoever gets an `Ok` from [`Admission::open`] owes a [`Admission::close`].
#[derive(Debug)]
pub struct Admission {
    limits: Limits,
    total: u32,
    nets: BTreeMap<SourceNet, PerNet>,
    handshakes: RateTable<SourceNet>,
    wrong_secrets: RateTable<SourceNet>,
    new_ids: RateTable<SourceNet>,
}

impl Admission {
    /// Nobody is in.
    pub fn new(limits: Limits) -> Self {
        let entries = limits.rate_entries_max;
        Self {
            limits,
            total: 0,
            nets: BTreeMap::new(),
            handshakes: RateTable::new(entries),
            wrong_secrets: RateTable::new(entries),
            new_ids: RateTable::new(entries),
        }
    }

    /// Takes over other limits; who is in stays in.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// A connection from `net` has come.
    pub fn open(&mut self, net: SourceNet) -> Result<(), Denial> {
        if self.total >= self.limits.connections_max {
            return Err(Denial::Full);
        }
        let counts = self.nets.entry(net).or_default();
        if counts.connections >= self.limits.connections_per_ip_max {
            return Err(Denial::ConnectionsPerIp);
        }
        if counts.opening >= self.limits.handshakes_per_ip_max {
            return Err(Denial::HandshakesPerIp);
        }
        counts.connections += 1;
        counts.opening += 1;
        self.total += 1;
        Ok(())
    }

    /// A connection from a believed proxy has come. Many clients share its address, so only the total counts; each of
    /// them has an [`Admission::open`] of its own once the proxy has told its address.
    pub fn open_proxy(&mut self) -> Result<(), Denial> {
        if self.total >= self.limits.connections_max {
            return Err(Denial::Full);
        }
        self.total += 1;
        Ok(())
    }

    /// Such a connection is gone.
    pub fn close_proxy(&mut self) {
        self.total = self.total.saturating_sub(1);
    }

    /// It is let in.
    pub fn established(&mut self, net: SourceNet) {
        if let Some(counts) = self.nets.get_mut(&net) {
            counts.opening = counts.opening.saturating_sub(1);
        }
    }

    /// It is gone.
    pub fn close(&mut self, net: SourceNet, phase: Phase) {
        if phase == Phase::Opening {
            self.established(net);
        }
        let Some(counts) = self.nets.get_mut(&net) else { return };
        counts.connections = counts.connections.saturating_sub(1);
        self.total = self.total.saturating_sub(1);
        if counts.connections == 0 {
            self.nets.remove(&net);
        }
    }

    /// Whether `net` may make the relay do the mathematics of one more handshake.
    pub fn spend_handshake(&mut self, net: SourceNet, now: Instant) -> Result<(), Denial> {
        let rate = Rate::new(self.limits.handshake_burst, self.limits.handshake_interval_ms);
        self.handshakes.spend(net, rate, now).map_err(|_| Denial::HandshakeRate)
    }

    /// Whether `net` may try a secret: not after too many wrong ones.
    pub fn may_try_secret(&self, net: SourceNet, now: Instant) -> Result<(), Denial> {
        let allowed = self.wrong_secrets.allows(&net, self.wrong_secret_rate(), now);
        if allowed { Ok(()) } else { Err(Denial::WrongSecretRate) }
    }

    /// `net` showed a wrong secret.
    pub fn wrong_secret(&mut self, net: SourceNet, now: Instant) {
        // A bucket that is empty already stays so.
        let _ = self.wrong_secrets.spend(net, self.wrong_secret_rate(), now);
    }

    /// Whether `net` may have one more new ID.
    pub fn spend_new_id(&mut self, net: SourceNet, now: Instant) -> Result<(), Denial> {
        let rate = Rate::new(self.limits.new_id_burst, self.limits.new_id_interval_ms);
        self.new_ids.spend(net, rate, now).map_err(|_| Denial::NewIdRate)
    }

    /// Forgets what time has settled. Called once per tick.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.handshakes.forget_full(now);
        self.wrong_secrets.forget_full(now);
        self.new_ids.forget_full(now);
    }

    /// Connections that are in.
    pub fn connections(&self) -> u32 {
        self.total
    }

    /// Addresses that are remembered because of a connection.
    pub fn nets(&self) -> usize {
        self.nets.len()
    }

    fn wrong_secret_rate(&self) -> Rate {
        Rate::new(self.limits.wrong_secret_burst, self.limits.wrong_secret_interval_ms)
    }
}
