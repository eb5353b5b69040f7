//! The host's side of the search on the local network: hears questions, and answers those that are for it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use if_addrs::Ifv4Addr;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tagio_wire::{PeerId, PublicKey};
use tokio::{net::UdpSocket, task::JoinSet, time::sleep};

use super::{
    GROUP, LanKey, is_near,
    message::{Kind, MESSAGE_LEN, Message},
    networks,
};
use crate::network_watch::NetworkChanges;

/// Questions that are looked at in a second; the others are dropped. A viewer asks three times, and a stranger who
/// tries all IDs shall need a year.
const QUESTIONS_PER_SECOND: u32 = 20;
/// Until a socket that has failed is opened anew.
const PAUSE: Duration = Duration::from_secs(5);

/// Answers who looks for this host on the local network, until it is dropped.
#[derive(Debug)]
pub struct Answering {
    _task: JoinSet<()>,
}

impl Answering {
    /// Begins to answer for the host with `key` and, where it has one, `id`, that waits at UDP `port`. Needs a tokio
    /// runtime.
    pub fn spawn(key: PublicKey, id: Option<PeerId>, port: u16, changes: NetworkChanges) -> Self {
        let mut task = JoinSet::new();
        task.spawn(run(key, id, port, changes));
        Self { _task: task }
    }
}

async fn run(key: PublicKey, id: Option<PeerId>, port: u16, mut changes: NetworkChanges) {
    let mut keys = vec![LanKey::of_host(&key)];
    if let Some(id) = id {
        keys.push(LanKey::of(None, id).await);
    }
    loop {
        let networks = networks();
        tokio::select! {
            // Each network has to be joined.
            () = changes.next() => {}
            failed = answer(&keys, port, &networks) => {
                if let Err(error) = failed {
                    tracing::debug!(%error, "nobody is answered on the local network");
                }
                sleep(PAUSE).await;
            }
        }
    }
}

async fn answer(keys: &[LanKey], port: u16, networks: &[Ifv4Addr]) -> io::Result<()> {
    let socket = open(networks)?;
    let mut bucket = Bucket::default();
    // One byte more, so that a longer message is no message.
    let mut bytes = [0; MESSAGE_LEN + 1];
    loop {
        let (len, from) = socket.recv_from(&mut bytes).await?;
        let Some(question) = Message::parse(&bytes[..len], Kind::Question) else { continue };
        // Who is further away has no business here.
        if !is_near(networks, from.ip()) || !bucket.take(Instant::now()) {
            continue;
        }
        if let Some(key) = keys.iter().find(|key| question.is_by(key)) {
            tracing::debug!(%from, "looked for on the local network");
            socket.send_to(question.answer(key, port).bytes(), from).await.ok();
        }
    }
}

/// A socket in the group on each network; other hosts of this machine may be in it, too.
fn open(networks: &[Ifv4Addr]) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, GROUP.port())).into())?;
    let socket = UdpSocket::from_std(socket.into())?;
    for network in networks {
        if let Err(error) = SockRef::from(&socket).join_multicast_v4(GROUP.ip(), &network.ip) {
            tracing::debug!(%error, "no multicast on a network");
        }
    }
    Ok(socket)
}

/// Allows [`QUESTIONS_PER_SECOND`].
#[derive(Debug, Default)]
struct Bucket {
    began: Option<Instant>,
    taken: u32,
}

impl Bucket {
    fn take(&mut self, now: Instant) -> bool {
        if self.began.is_none_or(|began| now >= began + Duration::from_secs(1)) {
            *self = Self { began: Some(now), taken: 0 };
        }
        self.taken += 1;
        self.taken <= QUESTIONS_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_tries_ids_faster_than_is_allowed() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        let looked_at = |bucket: &mut Bucket, at| (0..1000).filter(|_| bucket.take(at)).count();
        assert_eq!(looked_at(&mut bucket, start), QUESTIONS_PER_SECOND as usize);
        assert_eq!(looked_at(&mut bucket, start + Duration::from_millis(900)), 0);
        assert_eq!(looked_at(&mut bucket, start + Duration::from_secs(1)), QUESTIONS_PER_SECOND as usize);
    }
}
