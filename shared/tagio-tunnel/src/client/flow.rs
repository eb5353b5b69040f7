//! A flow of datagrams: from a stream to a local UDP service and back.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::atomic::Ordering,
};

use tokio::{
    io::split,
    net::{UdpSocket, lookup_host},
};

use super::targets::Target;
use crate::{
    datagrams::{self, Activity},
    pipe::Meter,
    stream::Stream,
};

/// Longest datagram that a service can send.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Carries it until it is quiet for long, or the stream ends.
pub(super) async fn carry(stream: Stream, target: &Target, meter: &Meter) -> io::Result<()> {
    let socket = connect(target).await?;
    let (mut read, mut write) = split(stream);
    let activity = Activity::default();
    let inward = async {
        let mut datagram = Vec::new();
        loop {
            datagrams::read(&mut read, &mut datagram).await?;
            // A service that is away for a moment is none of the flow's business.
            let _ = socket.send(&datagram).await;
            meter.inward.fetch_add(datagram.len() as u64, Ordering::Relaxed);
            activity.mark();
        }
    };
    let outward = async {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            // The system's word that an earlier datagram found nobody.
            let Ok(len) = socket.recv(&mut buffer).await else {
                tokio::task::yield_now().await;
                continue;
            };
            datagrams::write(&mut write, &buffer[..len]).await?;
            meter.outward.fetch_add(len as u64, Ordering::Relaxed);
            activity.mark();
        }
    };
    tokio::select! {
        ended = inward => ended,
        ended = outward => ended,
        () = activity.ended() => Ok(()),
    }
}

async fn connect(target: &Target) -> io::Result<UdpSocket> {
    let to = lookup_host((target.host.as_str(), target.port)).await?.next();
    let to = to.ok_or(io::ErrorKind::NotFound)?;
    let any: SocketAddr =
        if to.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(to).await?;
    Ok(socket)
}
