//! The relay's program, two clients of it, and legs between them.

use std::{
    fs,
    net::{SocketAddr, TcpStream, UdpSocket},
};

use tagio_wire::{
    PublicKey,
    control::{ClientMessage, RelayMessage},
    leg::{Datagram, LegGrant},
};
use tokio::runtime::{Builder, Runtime};

use crate::{
    common::{self, Client, Keys},
    datagrams::{self, Flow},
    process::Process,
    streams,
};

/// See the module.
pub(crate) struct Relay {
    process: Process,
    addr: SocketAddr,
    key: PublicKey,
    runtime: Runtime,
    _dir: tempfile::TempDir,
}

impl Relay {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("relay.toml");
        let many = 100_000;
        let limits = format!(
            "bind = [\"127.0.0.1:0\"]\nmetrics-bind = \"off\"\nstun-port = 0\n[limits]\nconnections-per-ip-max = {many}\n\
             handshakes-per-ip-max = {many}\nmessage-burst = {many}\ncall-burst = {many}\ncall-per-ip-burst = {many}\n\
             legs-per-caller-max = {many}\nlegs-per-target-max = {many}\nunmet-legs-per-net-max = {many}\n\
             keepalive-secs = 600\n"
        );
        fs::write(&config, limits).unwrap();
        let arguments = ["--config", config.to_str().unwrap(), "--data-dir", dir.path().to_str().unwrap()];
        let mut process = Process::start(env!("CARGO_BIN_EXE_tagio_relay_server"), &arguments);
        let line = process.first_line();
        let words: Vec<_> = line.split_whitespace().collect();
        let (addr, key) = (words[1].parse().unwrap(), words[3].parse().unwrap());
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Self { process, addr, key, runtime, _dir: dir }
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Both ends of each of so many legs.
    fn grants(&self, count: usize) -> Vec<(LegGrant, LegGrant)> {
        self.runtime.block_on(async {
            let (mut caller, mut target) = (self.client().await, self.client().await);
            let mut grants = Vec::new();
            for call in 0..count {
                let call = u32::try_from(call).unwrap();
                caller.send(&ClientMessage::Call { call, target: target.id() }).await;
                let RelayMessage::Ringing { leg, .. } = caller.recv().await else { panic!("no ringing") };
                let RelayMessage::Incoming { leg: theirs, .. } = target.recv().await else {
                    panic!("no call")
                };
                grants.push((leg, theirs));
            }
            grants
        })
    }

    /// Legs outlive the connection of who has called.
    async fn client(&self) -> Client {
        let stream = tokio::net::TcpStream::connect(self.addr).await.unwrap();
        let mut client = Client::ik_over(stream, self.key, &Keys::new(), &common::hello()).await.unwrap();
        client.ping(0).await;
        client
    }

    pub(crate) fn datagram_flows(&self, count: usize) -> Vec<Flow> {
        let flow = |(from, to): (LegGrant, LegGrant)| Flow {
            from: self.datagram_end(from),
            to: self.datagram_end(to),
            channel: from.channel,
        };
        self.grants(count).into_iter().map(flow).collect()
    }

    fn datagram_end(&self, grant: LegGrant) -> UdpSocket {
        let socket = datagrams::socket(self.addr);
        let mut buffer = [0; 64];
        let mut ask = |cookie| {
            socket.send(&Datagram::Bind { grant, cookie }.bytes()).unwrap();
            let len = socket.recv(&mut buffer).unwrap();
            buffer[..len].to_vec()
        };
        let challenge = ask([0; 16]);
        let Some(Datagram::Challenge { cookie, .. }) = Datagram::parse(&challenge) else {
            panic!("no cookie")
        };
        assert!(matches!(Datagram::parse(&ask(cookie)), Some(Datagram::Bound { .. })));
        socket
    }

    pub(crate) fn stream_flows(&self, count: usize) -> Vec<streams::Flow> {
        self.grants(count)
            .into_iter()
            .map(|(from, to)| (self.stream_end(from), self.stream_end(to)))
            .collect()
    }

    fn stream_end(&self, grant: LegGrant) -> TcpStream {
        let stream = self.runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(self.addr).await.unwrap();
            common::end_over(stream, grant).await.unwrap().into_std().unwrap()
        });
        stream.set_nonblocking(false).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }
}
