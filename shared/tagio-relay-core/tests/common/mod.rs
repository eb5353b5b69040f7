//! A relay without a server: time is what the test says, randomness is a seed.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};
use tagio_relay_core::{
    Client, ConnId, Denial, Denials, Limits, Output, RelayState, SocketIndex, SourceNet, UdpPeer,
    relay::Verdict,
};
use tagio_wire::{
    PeerId, PublicKey,
    control::{ClientMessage, RelayMessage},
    leg::{Cookie, Datagram, LegGrant},
};

pub struct World {
    pub relay: RelayState<StdRng>,
    pub denials: Arc<Denials>,
    pub now: Instant,
}

impl World {
    pub fn new() -> Self {
        Self::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Self {
        Self::from_seed(limits, 1)
    }

    pub fn from_seed(limits: Limits, seed: u64) -> Self {
        let (denials, now) = (Arc::new(Denials::default()), Instant::now());
        let rng = StdRng::seed_from_u64(seed);
        Self { relay: RelayState::new(limits, Arc::clone(&denials), rng, now), denials, now }
    }

    /// Lets time pass, in steps of a second.
    pub fn wait(&mut self, secs: u64) {
        for _ in 0..secs {
            self.now += Duration::from_secs(1);
            self.relay.handle_timeout(self.now);
        }
    }

    /// Client number `n`, proven, callable.
    pub fn join(&mut self, n: u8) -> ConnId {
        self.join_as(n, true)
    }

    pub fn join_as(&mut self, n: u8, proven: bool) -> ConnId {
        self.relay.connect(client(n), proven, self.now)
    }

    pub fn say(&mut self, conn: ConnId, message: ClientMessage) -> Vec<Output> {
        self.relay.handle_message(conn, message, self.now);
        self.outputs()
    }

    pub fn ping(&mut self, conn: ConnId) -> Vec<Output> {
        self.say(conn, ClientMessage::Ping { nonce: 1 })
    }

    pub fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.relay.poll_output()).collect()
    }

    /// A call that goes through: the grants of caller and target.
    pub fn call(&mut self, caller: ConnId, call: u32, target: u8) -> (LegGrant, LegGrant) {
        let outputs = self.say(caller, ClientMessage::Call { call, target: id(target) });
        match &outputs[..] {
            [
                Output::Send { message: RelayMessage::Incoming { leg: theirs, .. }, .. },
                Output::Send { to, message: RelayMessage::Ringing { leg, .. } },
            ] if *to == caller => (*leg, *theirs),
            other => panic!("expected a call, got {other:?}"),
        }
    }

    pub fn datagram(&mut self, from: UdpPeer, datagram: &Datagram<'_>) -> Verdict {
        self.relay.handle_datagram(from, &datagram.bytes(), self.now)
    }

    pub fn cookie(&mut self, from: UdpPeer, grant: LegGrant) -> Cookie {
        match self.datagram(from, &Datagram::Bind { grant, cookie: [0; 16] }) {
            Verdict::Reply(Datagram::Challenge { cookie, .. }) => cookie,
            other => panic!("expected a challenge, got {other:?}"),
        }
    }

    pub fn bind(&mut self, from: UdpPeer, grant: LegGrant) -> Verdict {
        let cookie = self.cookie(from, grant);
        self.datagram(from, &Datagram::Bind { grant, cookie })
    }

    pub fn data(&mut self, from: UdpPeer, grant: LegGrant) -> Verdict {
        self.datagram(from, &Datagram::Data { channel: grant.channel, packet: b"packet" })
    }

    pub fn denied(&self, denial: Denial) -> u64 {
        self.denials.of(denial)
    }
}

pub fn id(n: u8) -> PeerId {
    PeerId::new(100_000_000 + u32::from(n)).unwrap()
}

pub fn client(n: u8) -> Client {
    let net = SourceNet::from(SocketAddr::from(([192, 0, 2, n], 1)).ip());
    Client { key: PublicKey([n; 32]), id: id(n), net, presence: true }
}

pub fn peer(n: u16) -> UdpPeer {
    UdpPeer { socket: SocketIndex(0), addr: SocketAddr::from(([198, 51, 100, 1], n)) }
}

/// Where client number `n` has its control connection.
pub fn home(n: u8) -> UdpPeer {
    UdpPeer { socket: SocketIndex(0), addr: SocketAddr::from(([192, 0, 2, n], 1)) }
}
