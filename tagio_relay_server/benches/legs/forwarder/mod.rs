//! The simplest forwarder of datagrams: one loop over `recvmmsg` and `sendmmsg`, and a table of channels.

pub(crate) mod system;

use std::{
    collections::HashMap,
    net::{SocketAddr, SocketAddrV4, UdpSocket},
};

use tagio_wire::leg::{Channel, Datagram, LegGrant, LegToken};

use crate::{
    FORWARDER,
    common::ANY,
    datagrams::{self, Flow, enlarge},
    process::Process,
};
use system::Batch;

/// Becomes it; ends with the process.
pub(crate) fn run() {
    let socket = UdpSocket::bind(ANY).unwrap();
    enlarge(&socket);
    println!("{}", socket.local_addr().unwrap());
    let mut receivers: HashMap<Channel, SocketAddrV4> = HashMap::new();
    let mut batch = Batch::new();
    loop {
        batch.recv(&socket).unwrap();
        batch.keep(|datagram, from| match Datagram::parse(datagram)? {
            Datagram::Data { channel, .. } => receivers.get(&channel).copied(),
            Datagram::Bind { grant, .. } => {
                receivers.insert(grant.channel, from);
                Some(from)
            }
            _ => None,
        });
        batch.send(&socket).unwrap();
    }
}

/// A process that does this.
pub(crate) struct Forwarder {
    process: Process,
    addr: SocketAddr,
}

/// Starts one.
pub(crate) fn start() -> Forwarder {
    let mut process = Process::start(std::env::current_exe().unwrap(), &[FORWARDER]);
    let addr = process.first_line().trim().parse().unwrap();
    Forwarder { process, addr }
}

impl Forwarder {
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    pub(crate) fn flows(&self, count: usize) -> Vec<Flow> {
        let flow = |channel| {
            let (from, to) = (datagrams::socket(self.addr), datagrams::socket(self.addr));
            let grant = LegGrant { channel, token: LegToken([0; 16]) };
            to.send(&Datagram::Bind { grant, cookie: [0; 16] }.bytes()).unwrap();
            // It comes back: the way is known.
            to.recv(&mut [0; 64]).unwrap();
            Flow { from, to, channel }
        };
        (0..count).map(|number| flow(Channel(number as u32))).collect()
    }
}
