//! What the relay's admin sees of clients and legs.

mod common;

use std::time::Duration;

use common::{World, id, peer};
use tagio_relay_core::Route;

#[test]
fn the_newest_clients_and_the_latest_legs_come_first() {
    let mut world = World::new();
    let caller = world.join(1);
    world.join(2);
    let (a, b) = world.call(caller, 1, 2);
    world.call(caller, 2, 2);
    world.bind(peer(1), a);
    world.bind(peer(2), b);
    world.wait(5);
    world.join(3);
    world.wait(2);
    world.data(peer(1), a);
    world.data(peer(2), b);
    world.wait(1);

    let clients = world.relay.presence().newest(2, world.now);
    assert_eq!(clients.iter().map(|view| view.client.id).collect::<Vec<_>>(), [id(3), id(2)]);
    assert_eq!(clients[0].age, Duration::from_secs(3));
    let all = world.relay.presence().newest(9, world.now);
    assert_eq!(
        (all[2].calls, all[2].age, all[2].silence),
        (2, Duration::from_secs(8), Duration::from_secs(8))
    );

    let legs = world.relay.legs().latest(9, world.now);
    assert_eq!(legs.len(), 2);
    assert_eq!((legs[0].parties.caller, legs[0].parties.target), (id(1), id(2)));
    assert_eq!(legs[0].routes, [Some(Route::Udp(peer(1))), Some(Route::Udp(peer(2)))]);
    assert_eq!((legs[0].bytes, legs[1].bytes), (2 * b"packet".len() as u64, 0));
    assert_eq!((legs[0].age, legs[0].idle), (Duration::from_secs(8), Duration::from_secs(1)));
    assert_eq!(world.relay.legs().latest(1, world.now), legs[..1]);
}
