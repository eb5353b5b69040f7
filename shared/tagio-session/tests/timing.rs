//! How long a handshake takes: `cargo test --release -p tagio-session --test timing -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, reason = "a test says no by failing")]
#![allow(dead_code, reason = "the world is shared with other tests")]

mod world;

use std::time::Instant;

use tagio_session::{Secret, StoredSecret};
use world::{End, Knows, World};

#[test]
#[ignore = "a measurement, good only in a release build on a quiet machine"]
fn handshake_time() {
    const ROUNDS: u32 = 20;
    let world = World::new();
    for knows in [Knows::HostKey, Knows::Nothing] {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            let end = world.meet(knows, world.secret("bcdf-ghjk"));
            assert!(matches!(end, End::Admitted { .. }));
        }
        println!("both sides, {knows:?}: {:?}", start.elapsed() / ROUNDS);
    }
    let start = Instant::now();
    for _ in 0..ROUNDS {
        world.meet(Knows::HostKey, tagio_session::handshake::Credential::Resume(world.token));
    }
    println!("both sides, resume: {:?}", start.elapsed() / ROUNDS);
    let start = Instant::now();
    for _ in 0..ROUNDS {
        StoredSecret::create(&Secret::from_typed("bcdf-ghjk")).unwrap();
    }
    println!("registration (mostly Argon2): {:?}", start.elapsed() / ROUNDS);
}
