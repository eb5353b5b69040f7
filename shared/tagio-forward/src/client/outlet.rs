//! What the doors of `tagio-proxy` see of a tunnel.

use std::{io, sync::PoisonError};

use bytes::Bytes;
use noq::{RecvStream, SendStream};
use tagio_proxy::{Datagrams, DialError, Outlet, Peer, Target, Users};
use tokio::{
    io::Join,
    net::TcpStream,
    sync::{Mutex, mpsc},
};

use super::{
    Tunnel,
    datagrams::{ASSOCIATION_QUEUE, Heard},
};
use crate::{
    pump,
    wire::{self, Answer},
};

/// A tunnel as the way out of local doors.
pub struct TunnelOutlet {
    tunnel: Tunnel,
    users: Users,
}

impl TunnelOutlet {
    /// For these users, or for everybody.
    pub fn new(tunnel: Tunnel, users: Users) -> Self {
        Self { tunnel, users }
    }
}

impl Outlet for TunnelOutlet {
    type Client = ();
    type Stream = Join<RecvStream, SendStream>;
    type Datagrams = Associated;

    fn wants_password(&self) -> bool {
        !self.users.is_empty()
    }

    fn admit(&self, peer: Peer<'_>) -> Option<()> {
        self.users.admits(peer.shown).then_some(())
    }

    async fn connect(&self, (): &(), target: &Target) -> Result<Self::Stream, DialError> {
        let live = self.tunnel.live().await.ok_or(DialError::Unavailable)?;
        let opened = live.connection.open_bi().await;
        let (mut send, mut receive) = opened.map_err(|_| DialError::Unavailable)?;
        let request = wire::tcp_request(target);
        send.write_all(&request).await.map_err(|_| DialError::Unavailable)?;
        match wire::read_answer(&mut receive).await {
            Ok(Answer::Done) => Ok(tokio::io::join(receive, send)),
            Ok(Answer::Failed(Some(reason))) => Err(reason.into()),
            Ok(Answer::Failed(None)) => Err(DialError::Unreachable),
            Err(_) => Err(DialError::Unavailable),
        }
    }

    async fn datagrams(&self, (): &()) -> Result<Associated, DialError> {
        self.tunnel.live().await.ok_or(DialError::Unavailable)?;
        let (sender, receiver) = mpsc::channel(ASSOCIATION_QUEUE);
        Ok(Associated { tunnel: self.tunnel.clone(), sender, receiver: Mutex::new(receiver) })
    }

    async fn carry(&self, mut socket: TcpStream, early: Bytes, stream: Self::Stream) -> io::Result<()> {
        let (mut receive, mut send) = stream.into_inner();
        send.write_chunk(early).await?;
        pump::join(&mut socket, (&mut send, &mut receive), &[]).await
    }
}

/// Datagrams of one program. It outlives the connection that they go by: what falls into a gap is lost.
pub struct Associated {
    tunnel: Tunnel,
    sender: mpsc::Sender<Heard>,
    receiver: Mutex<mpsc::Receiver<Heard>>,
}

impl Datagrams for Associated {
    fn send(&self, target: &Target, payload: Bytes) {
        let Some(live) = self.tunnel.live_now() else { return };
        let datagram = wire::datagram(target, &payload);
        let head = datagram.slice(..datagram.len() - payload.len());
        let mut routes = live.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if routes.add(&head, &self.sender) {
            drop(routes);
            // Too long for the way, or the connection is gone: lost, as with any UDP.
            let _ = live.connection.send_datagram(datagram);
        }
    }

    async fn receive(&self) -> Option<(Target, Bytes)> {
        self.receiver.lock().await.recv().await
    }
}
