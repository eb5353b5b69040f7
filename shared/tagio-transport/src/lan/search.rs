//! The viewer's side: asks on every local network for one host.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    net::UdpSocket,
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::{
    GROUP, LanKey, is_near,
    message::{Kind, MESSAGE_LEN, Message},
    networks,
};

/// How long each sending of the question is waited for; wireless networks lose multicasts easily.
const WAITS: [Duration; 3] =
    [Duration::from_millis(150), Duration::from_millis(350), Duration::from_millis(700)];

/// Looks for the host behind `key` on the networks of this machine, for 1.2 s at most. Where it waits for sessions, by
/// its own word.
pub async fn search(key: LanKey) -> Option<SocketAddr> {
    let mut searches = JoinSet::new();
    for network in networks() {
        let key = key.clone();
        searches.spawn(async move {
            ask(&key, network.ip)
                .await
                .inspect_err(|error| tracing::debug!(%error, "no question on a network"))
                .ok()
                .flatten()
        });
    }
    while let Some(found) = searches.join_next().await {
        if let Ok(Some(addr)) = found {
            return Some(addr);
        }
    }
    None
}

async fn ask(key: &LanKey, own: Ipv4Addr) -> io::Result<Option<SocketAddr>> {
    let socket = UdpSocket::bind((own, 0)).await?;
    SockRef::from(&socket).set_multicast_if_v4(&own)?;
    // Never beyond this network.
    socket.set_multicast_ttl_v4(1)?;
    let networks = networks();
    let question = Message::question(key, rand::random());
    let mut bytes = [0; MESSAGE_LEN + 1];
    for wait in WAITS {
        socket.send_to(question.bytes(), GROUP).await?;
        let until = Instant::now() + wait;
        while let Ok(received) = timeout_at(until, socket.recv_from(&mut bytes)).await {
            let (len, from) = received?;
            let answer = Message::parse(&bytes[..len], Kind::Answer).filter(|answer| answer.is_by(key));
            if let Some(answer) = answer.filter(|answer| answer.nonce() == question.nonce())
                && is_near(&networks, from.ip())
                && answer.port() != 0
            {
                return Ok(Some(SocketAddr::new(from.ip(), answer.port())));
            }
        }
    }
    Ok(None)
}
