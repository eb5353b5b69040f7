//! STUN on the relay's UDP sockets: the answer leaves by the socket that was asked.

use std::time::Instant;

use tagio_relay_core::{UdpPeer, stun::other_address};

use crate::{lock::lock, udp::Outgoing};

/// Answers a message whose first byte is STUN's, or counts why not.
pub(crate) fn handle(outgoing: &mut Outgoing<'_>, from: UdpPeer, message: &[u8]) {
    let shared = outgoing.shared;
    let sockets = &shared.sockets;
    let public = shared.public_addr.map(|addr| addr.ip());
    let other = other_address(sockets.addr(from.socket), from.addr, sockets.addrs(), public);
    let answer = lock(&shared.stun).answer(from.addr, message, other, Instant::now());
    match answer {
        Ok(answer) => outgoing.send(from, &[], &answer),
        Err(denial) => shared.denials.count(denial),
    }
}
