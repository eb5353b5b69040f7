//! Datagrams from senders, each with a socket of its own, through a product to receivers.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

use futures_util::future::join_all;
use socket2::SockRef;
use tagio_wire::leg::{Channel, Datagram};

use crate::{
    forwarder::system::{SocketOption, set_option},
    load::{Arrivals, Figure, closed_loop},
    process::Process,
};

/// Of a packet in a datagram.
pub(crate) const PACKET_BYTES: usize = 1200;
/// Under way at most: no buffer of a socket is smaller.
const WINDOW_BYTES: u64 = 512 * 1024;
/// Asked of the system, for each socket; the relay asks for as much.
const SOCKET_BYTES: usize = 8 * 1024 * 1024;
/// The most that one datagram, or several that the system has joined, can have.
const JOINED_BYTES_MAX: usize = 64 * 1024;

/// Two sockets that know where to send, and their channel.
pub(crate) struct Flow {
    pub(crate) from: UdpSocket,
    pub(crate) to: UdpSocket,
    pub(crate) channel: Channel,
}

/// A socket that sends to `product`.
pub(crate) fn socket(product: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(crate::common::ANY).unwrap();
    socket.connect(product).unwrap();
    enlarge(&socket);
    socket
}

/// Asks for large buffers, and takes what there is.
pub(crate) fn enlarge(socket: &UdpSocket) {
    let socket = SockRef::from(socket);
    socket.set_recv_buffer_size(SOCKET_BYTES).unwrap();
    socket.set_send_buffer_size(SOCKET_BYTES).unwrap();
}

/// One packet, as it travels.
pub(crate) fn datagram(channel: Channel) -> Vec<u8> {
    Datagram::Data { channel, packet: &[7; PACKET_BYTES] }.bytes()
}

/// Packets in all flows in turn, `burst` at once, as fast as they arrive.
pub(crate) fn throughput(product: &Process, flows: &[Flow], burst: usize) -> Figure {
    let bursts: Vec<_> = flows.iter().map(|flow| datagram(flow.channel).repeat(burst)).collect();
    let datagram_bytes = bursts[0].len() / burst;
    for flow in flows {
        set_option(&flow.from, SocketOption::Segment(datagram_bytes)).unwrap();
        set_option(&flow.to, SocketOption::Join).unwrap();
    }
    let mut turns = flows.iter().zip(&bursts).cycle();
    let send = move || {
        let (flow, burst) = turns.next().unwrap();
        flow.from.send(burst).unwrap()
    };
    closed_loop(product, WINDOW_BYTES, send, async |arrivals| {
        join_all(flows.iter().map(|flow| receive(flow, arrivals))).await;
    })
}

async fn receive(flow: &Flow, arrivals: &Arrivals) {
    let socket = flow.to.try_clone().unwrap();
    socket.set_nonblocking(true).unwrap();
    let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
    let mut buffer = vec![0; JOINED_BYTES_MAX];
    loop {
        socket.readable().await.unwrap();
        match socket.try_recv(&mut buffer) {
            Ok(bytes) => arrivals.add(bytes),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}"),
        }
    }
}
