//! IDs belong to keys for good, and nobody can tell the next.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::collections::BTreeSet;
use tagio_relay_core::bindings::{AssignError, MemoryBindings, id_for};
use tagio_wire::PublicKey;

#[test]
fn a_key_keeps_its_id_and_no_two_keys_share_one() {
    let (mut store, mut rng) = (MemoryBindings::default(), StdRng::seed_from_u64(3));
    let keys: Vec<_> = (0..2000).map(|_| PublicKey(rng.random())).collect();
    let mut id_of = |key| id_for(&mut store, key, u64::MAX, &mut rng).unwrap();
    let ids: Vec<_> = keys.iter().map(&mut id_of).collect();
    let again: Vec<_> = keys.iter().map(&mut id_of).collect();
    assert_eq!(ids, again);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), keys.len());
}

#[test]
fn ids_are_spread_over_all_numbers_and_differ_between_relays() {
    let first_ids = |seed| {
        let (mut store, mut rng) = (MemoryBindings::default(), StdRng::seed_from_u64(seed));
        (0..100_u8)
            .map(|n| id_for(&mut store, &PublicKey([n; 32]), u64::MAX, &mut rng).unwrap().number())
            .collect::<Vec<_>>()
    };
    let ids = first_ids(1);
    for hundred_millions in 1..=9 {
        assert!(ids.iter().any(|id| id / 100_000_000 == hundred_millions));
    }
    assert!(first_ids(2).iter().all(|id| !ids.contains(id)));
}

#[test]
fn a_full_relay_gives_no_new_id_and_still_knows_the_old_ones() {
    let (mut store, mut rng) = (MemoryBindings::default(), StdRng::seed_from_u64(3));
    let mut id_of = |n: u8| id_for(&mut store, &PublicKey([n; 32]), 2, &mut rng);
    let first = id_of(1).unwrap();
    id_of(2).unwrap();
    assert_eq!(id_of(3), Err(AssignError::Full));
    assert_eq!(id_of(1), Ok(first));
}
