//! The router's side of NAT-PMP and PCP, written from the standards and not from the client.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Mutex,
};

use crate::router::{Malice, PATIENCE, State};

const UDP: u8 = 17;

pub(crate) fn bind(lan: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((lan, 5351))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

pub(crate) fn serve(socket: &UdpSocket, state: &Mutex<State>) {
    let mut buffer = [0; 2000];
    let Ok((length, from)) = socket.recv_from(&mut buffer) else { return };
    let mut state = state.lock().expect("no thread of the router has panicked");
    state.asked += 1;
    let Some(mut answer) = respond(&mut state, from, &buffer[..length]) else { return };
    match state.manners.malice {
        Some(Malice::Noise) => answer.iter_mut().for_each(|byte| *byte = byte.wrapping_mul(31) ^ 0xa5),
        Some(Malice::Short) => answer.truncate(answer.len() / 2),
        _ => {}
    }
    socket.send_to(&answer, from).expect("the client can be reached");
}

fn respond(state: &mut State, from: SocketAddr, request: &[u8]) -> Option<Vec<u8>> {
    match request {
        [2, ..] if state.manners.pcp => pcp(state, from, request),
        // As RFC 6886 asks of a router that knows nothing newer.
        [2, opcode, ..] if state.manners.nat_pmp => Some(vec![0, opcode | 0x80, 0, 1, 0, 0, 0, 0]),
        [0, ..] if state.manners.nat_pmp => nat_pmp(state, from, request),
        _ => None,
    }
}

fn nat_pmp(state: &mut State, from: SocketAddr, request: &[u8]) -> Option<Vec<u8>> {
    let mut answer = vec![0, request[1] | 0x80, 0, 0];
    answer.extend(state.epoch().to_be_bytes());
    match request[1] {
        0 => answer.extend(state.manners.external.octets()),
        1 if request.len() == 12 => {
            let internal = SocketAddr::new(from.ip(), be16(request, 4));
            let lifetime_secs = u32::from_be_bytes(request[8..12].try_into().expect("4 bytes"));
            let (port, lifetime_secs) = map(state, be16(request, 6), internal, lifetime_secs);
            answer.extend(internal.port().to_be_bytes());
            answer.extend(port.to_be_bytes());
            answer.extend(lifetime_secs.to_be_bytes());
        }
        _ => return None,
    }
    Some(answer)
}

fn pcp(state: &mut State, from: SocketAddr, request: &[u8]) -> Option<Vec<u8>> {
    let client = Ipv6Addr::from(<[u8; 16]>::try_from(request.get(8..24)?).expect("16 bytes"));
    assert_eq!(client.to_canonical(), from.ip(), "a PCP client names the address that it sends from");
    let mut answer = request.to_vec();
    answer[1] |= 0x80;
    answer[8..12].copy_from_slice(&state.epoch().to_be_bytes());
    answer[12..24].fill(0);
    match request[1] {
        0 => {}
        1 => {
            assert!(request.len() == 60 && request[36] == UDP, "a MAP request for UDP");
            let internal = SocketAddr::new(from.ip(), be16(request, 40));
            let lifetime_secs = u32::from_be_bytes(request[4..8].try_into().expect("4 bytes"));
            let (port, lifetime_secs) = map(state, be16(request, 42), internal, lifetime_secs);
            answer[4..8].copy_from_slice(&lifetime_secs.to_be_bytes());
            answer[42..44].copy_from_slice(&port.to_be_bytes());
            answer[44..60].copy_from_slice(&state.manners.external.to_ipv6_mapped().octets());
        }
        _ => return None,
    }
    Some(answer)
}

fn map(state: &mut State, wanted: u16, internal: SocketAddr, lifetime_secs: u32) -> (u16, u32) {
    if lifetime_secs == 0 {
        state.remove(|_, entry| entry.internal == internal);
        return (0, 0);
    }
    let (port, lifetime_secs) = state.add(wanted, internal, lifetime_secs);
    if state.manners.malice == Some(Malice::PortZero) { (0, lifetime_secs) } else { (port, lifetime_secs) }
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
