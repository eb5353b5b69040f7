//! SOCKS 5 (RFC 1928) with user names and passwords (RFC 1929).

mod associate;
mod wire;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use bytes::Bytes;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{sleep, timeout},
};
use zeroize::Zeroizing;

use super::{Outlet, Peer, Place, Shared, WRONG_PASSWORD_PAUSE};
use crate::{BadTarget, Credentials, DialError};
use wire::{Command, Method, Reply, Request};

/// What stands for no address in a reply.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Serves a connection to its end.
pub(super) async fn serve<O: Outlet>(
    shared: &Shared<O>,
    mut stream: TcpStream,
    peer: SocketAddr,
    place: Option<Place>,
) -> io::Result<()> {
    let opening = timeout(shared.limits.opening, open(shared, &mut stream, peer)).await;
    let Some((client, request)) = opening.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? else {
        return Ok(());
    };
    drop(place);
    match request {
        Request { command: Command::Connect, target: Ok(target) } => {
            match shared.outlet.connect(&client, &target).await {
                Ok(upstream) => {
                    stream.write_all(&wire::reply(Reply::Done, NOWHERE)).await?;
                    shared.outlet.carry(stream, Bytes::new(), upstream).await
                }
                Err(error) => refuse(stream, reason(error)).await,
            }
        }
        Request { command: Command::Associate, .. } => {
            let Ok(_permit) = shared.associations.try_acquire() else {
                return refuse(stream, Reply::Failure).await;
            };
            match shared.outlet.datagrams(&client).await {
                Ok(datagrams) => associate::serve(stream, peer, datagrams).await,
                Err(error) => refuse(stream, reason(error)).await,
            }
        }
        Request { command: Command::Connect, target: Err(BadTarget::Host | BadTarget::Port) } => {
            refuse(stream, Reply::UnsupportedAddress).await
        }
        Request { command: Command::Other, .. } => refuse(stream, Reply::UnsupportedCommand).await,
    }
}

/// Who it is and what they want; `None` for somebody who was told that they may not come in.
async fn open<O: Outlet>(
    shared: &Shared<O>,
    stream: &mut TcpStream,
    addr: SocketAddr,
) -> io::Result<Option<(O::Client, Request)>> {
    let offered = wire::read_methods(stream).await?;
    let method = match (shared.outlet.wants_password(), offered.open, offered.password) {
        (false, true, _) => Method::Open,
        (_, _, true) => Method::Password,
        (_, _, false) => {
            stream.write_all(&wire::choice(Method::Unacceptable)).await?;
            return Ok(None);
        }
    };
    stream.write_all(&wire::choice(method)).await?;
    let shown = match method {
        Method::Open | Method::Unacceptable => None,
        Method::Password => {
            let (user, password) = wire::read_credentials(stream).await?;
            Some(Credentials { user, password: Zeroizing::new(password) })
        }
    };
    let client = shared.outlet.admit(Peer { addr, shown: shown.as_ref() });
    if shown.is_some() {
        if client.is_none() {
            sleep(WRONG_PASSWORD_PAUSE).await;
        }
        stream.write_all(&wire::verdict(client.is_some())).await?;
    }
    match client {
        Some(client) => Ok(Some((client, wire::read_request(stream).await?))),
        None => Ok(None),
    }
}

async fn refuse(mut stream: TcpStream, why: Reply) -> io::Result<()> {
    stream.write_all(&wire::reply(why, NOWHERE)).await?;
    stream.shutdown().await
}

fn reason(error: DialError) -> Reply {
    match error {
        DialError::Refused => Reply::Refused,
        DialError::Unreachable | DialError::UnknownName => Reply::HostUnreachable,
        // The RFC has no word for it; this one is what other proxies say.
        DialError::TimedOut => Reply::HostUnreachable,
        DialError::NotAllowed => Reply::NotAllowed,
        DialError::BadTarget => Reply::UnsupportedAddress,
        DialError::Unavailable => Reply::Failure,
    }
}
