//! STUN on the relay's UDP sockets: the answer leaves by the socket that was asked.

use std::time::Instant;

use tagio_relay_core::{UdpPeer, stun::other_address};

use crate::{hub::Delivery, lock::lock, shared::Shared, udp};

/// Answers a message whose first byte is STUN's, or counts why not.
pub(crate) fn handle(shared: &Shared, from: UdpPeer, message: &[u8]) {
    let sockets = &shared.sockets;
    let public = shared.public_addr.map(|addr| addr.ip());
    let other = other_address(sockets.addr(from.socket), from.addr, sockets.addrs(), public);
    let answer = lock(&shared.stun).answer(from.addr, message, other, Instant::now());
    match answer {
        Ok(answer) => udp::deliver(shared, &Delivery::Udp(from), &answer),
        Err(denial) => shared.denials.count(denial),
    }
}
