//! Random lives of a relay, from seeds: whatever happens, its books balance in the end.

mod common;

use common::{World, home, id, peer};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use tagio_relay_core::{ConnId, Limits, Output, Route, TcpLegId, relay::Verdict};
use tagio_wire::{
    control::{ClientMessage, RelayMessage},
    leg::{Datagram, LegGrant},
};

const SEEDS: u64 = 60;
const STEPS: usize = 1500;

/// What a test knows of the relay from outside.
#[derive(Default)]
struct Seen {
    conns: Vec<ConnId>,
    grants: Vec<LegGrant>,
    tcp: Vec<(TcpLegId, LegGrant)>,
}

impl Seen {
    fn note(&mut self, world: &mut World, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send { message: RelayMessage::Ringing { leg, .. }, .. }
                | Output::Send { message: RelayMessage::Incoming { leg, .. }, .. } => self.grants.push(leg),
                Output::Send { .. } | Output::Packet { to: Route::Udp(_), .. } => {}
                Output::Packet { to: Route::Tcp(to), .. } => {
                    assert!(self.tcp.iter().any(|(id, _)| *id == to), "sent to a connection that is closed");
                }
                Output::Close { conn } => {
                    world.relay.disconnect(conn);
                    self.conns.retain(|known| *known != conn);
                }
                Output::CloseLeg { leg } => {
                    let at = self.tcp.iter().position(|(known, _)| *known == leg);
                    let (id, grant) = self.tcp.swap_remove(at.expect("only open connections are closed"));
                    world.relay.tcp_closed(id, grant.channel);
                }
            }
        }
    }
}

fn step(world: &mut World, seen: &mut Seen, rng: &mut StdRng) {
    let from = if rng.random() { peer(rng.random_range(1..3)) } else { home(rng.random_range(1..4)) };
    let grant = seen.grants.choose(rng).copied();
    let outputs = match (rng.random_range(0..14), seen.conns.choose(rng).copied(), grant) {
        (0, _, _) => {
            seen.conns.push(world.join_as(rng.random_range(1..8), rng.random()));
            world.outputs()
        }
        (1, Some(conn), _) => {
            world.relay.disconnect(conn);
            seen.conns.retain(|known| *known != conn);
            world.outputs()
        }
        (2..=4, Some(conn), _) => {
            let (call, target) = (rng.random_range(0..4), id(rng.random_range(1..8)));
            world.say(conn, ClientMessage::Call { call, target })
        }
        (5, Some(conn), _) => world.say(conn, ClientMessage::EndCall { call: rng.random_range(0..4) }),
        (6, Some(conn), _) => world.ping(conn),
        (7..=8, _, Some(grant)) => {
            world.bind(from, grant);
            world.outputs()
        }
        (12, _, Some(grant)) => {
            world.cookie(from, grant);
            world.outputs()
        }
        (9, _, Some(grant)) => {
            if let Ok(id) = world.relay.bind_tcp(&grant, world.now) {
                seen.tcp.push((id, grant));
            }
            world.outputs()
        }
        (10, _, Some(grant)) => {
            if let Verdict::Forward(Route::Tcp(to)) = world.data(from, grant) {
                assert!(seen.tcp.iter().any(|(id, _)| *id == to), "sent to a connection that is closed");
            }
            world.outputs()
        }
        (11, _, _) if !seen.tcp.is_empty() => {
            let (id, grant) = seen.tcp.swap_remove(rng.random_range(0..seen.tcp.len()));
            world.relay.tcp_closed(id, grant.channel);
            world.outputs()
        }
        _ => {
            world.wait(rng.random_range(0..8));
            world.outputs()
        }
    };
    seen.note(world, outputs);
}

#[test]
fn whatever_happens_the_books_balance_in_the_end() {
    let limits = Limits { legs_max: 12, call_burst: 100, call_per_ip_burst: 1000, ..Limits::default() };
    let mut forwarded = 0;
    for seed in 0..SEEDS {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut world = World::from_seed(limits.clone(), seed);
        let mut seen = Seen::default();
        for _ in 0..STEPS {
            step(&mut world, &mut seen, &mut rng);
            assert!(world.relay.legs().len() <= 12, "seed {seed}");
            assert_eq!(world.relay.presence().len(), seen.conns.len(), "seed {seed}");
            assert!(world.relay.presence().callable_len() <= seen.conns.len(), "seed {seed}");
        }
        forwarded += world.relay.traffic().packets;
        world.wait(300);
        let outputs = world.outputs();
        seen.note(&mut world, outputs);
        assert!(world.relay.legs().is_empty(), "seed {seed}");
        assert!(world.relay.presence().is_empty(), "seed {seed}");
        assert_eq!(world.relay.presence().callable_len(), 0, "seed {seed}");
        assert!(seen.tcp.is_empty(), "seed {seed}: a connection without a purpose stays open");
    }
    assert!(forwarded > 100, "only {forwarded} packets went through: the test tests nothing");
}

#[test]
fn random_bytes_never_panic_and_never_forward() {
    let mut rng = StdRng::seed_from_u64(11);
    let mut world = World::new();
    let (caller, _) = (world.join(1), world.join(2));
    let (a, b) = world.call(caller, 1, 2);
    world.bind(peer(1), a);
    world.bind(peer(2), b);
    for _ in 0..50_000 {
        let mut bytes = vec![0; rng.random_range(0..64)];
        rng.fill(&mut bytes[..]);
        if let Some(first) = bytes.first_mut() {
            *first %= 16;
        }
        let verdict = world.relay.handle_datagram(peer(9), &bytes, world.now);
        assert!(matches!(verdict, Verdict::Drop | Verdict::Reply(Datagram::Challenge { .. })), "{verdict:?}");
    }
}
