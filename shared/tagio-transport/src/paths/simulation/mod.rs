//! Lives of sessions from seeds, with a clock of their own: what [`super::core`] decides while lines lose, routers
//! restart, machines sleep and the relay dies.
//!
//! `TAGIO_LIVES=100000 cargo test --release -p tagio-transport --lib lives_of` hunts; `TAGIO_SEED=…` lives one life
//! again, or is where the hunt begins.

mod checks;
mod fate;
mod life;
mod net;
mod quic;

use std::{
    env,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use tagio_testkit::{Seeded, nat_lab::Kind};

use fate::{Fate, Turn};
use life::{Told, live};

/// Lives of a plain test run, which a debug build lives in a few seconds.
const LIVES: u64 = 150;

/// The life that a seed stands for.
fn life_of(seed: u64, is_traced: bool) -> Result<Told, life::Wrong> {
    let mut chance = Seeded::new(seed);
    let fate = Fate::any(&mut chance);
    live(fate, chance, is_traced)
}

/// Panics with the seed and the last events of a life that goes wrong.
#[track_caller]
fn must_be_right(seed: u64) -> Told {
    life_of(seed, false).unwrap_or_else(|_| {
        let wrong = life_of(seed, true).expect_err("a seed brings the same life back");
        let fate = Fate::any(&mut Seeded::new(seed));
        panic!("TAGIO_SEED={seed}\n{fate:#?}\n{wrong}");
    })
}

fn number(name: &str) -> Option<u64> {
    let told = env::var(name).ok()?;
    Some(told.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn lives_of_every_kind_stay_right() {
    let first = number("TAGIO_SEED");
    let lives = number("TAGIO_LIVES").unwrap_or_else(|| if first.is_some() { 1 } else { LIVES });
    let end = first.unwrap_or(0) + lives;
    let (start, next) = (Instant::now(), AtomicU64::new(first.unwrap_or(0)));
    let (events, direct, wrong) = (AtomicU64::new(0), AtomicU64::new(0), std::sync::Mutex::new(None));
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || wrong.lock().unwrap().is_some() {
                        return;
                    }
                    match life_of(seed, false) {
                        Ok(told) => {
                            events.fetch_add(told.events, Ordering::Relaxed);
                            direct.fetch_add(u64::from(told.direct), Ordering::Relaxed);
                        }
                        Err(_) => *wrong.lock().unwrap() = Some(seed),
                    }
                }
            });
        }
    });
    if let Some(seed) = wrong.into_inner().unwrap() {
        must_be_right(seed);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{lives} lives, {direct:?} of them direct in the end, {events:?} events, {:.0} lives a second",
        lives as f64 / seconds
    );
}

/// Lives that were wrong once: what QUIC never sent again, and guesses without a pause.
#[test]
fn lives_that_were_wrong_stay_right() {
    for seed in [1168, 10382] {
        must_be_right(seed);
    }
}

#[test]
fn the_relays_death_is_not_noticed_in_a_direct_session() {
    let second = Duration::from_secs(1);
    for seed in 0..50 {
        let turns = vec![(10 * second, Turn::RelayDown), (25 * second, Turn::RelayUp)];
        let fate = Fate { turns, calm_at: 40 * second, ..Fate::quiet([Kind::PortCone, Kind::Linux]) };
        let told = live(fate, Seeded::new(seed), true).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert_eq!((told.connections, told.switches, told.direct), (1, 1, true), "{told:?}");
    }
}

#[test]
fn a_seed_brings_a_life_back() {
    for seed in 0..20 {
        assert_eq!(must_be_right(seed), must_be_right(seed));
    }
}
