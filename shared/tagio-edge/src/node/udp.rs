//! A flow of datagrams between a POP's user and one target.

use std::{io, time::Duration};

use bytes::Bytes;
use tagio_proxy::{Dialer, Target};
use tokio::{
    net::UdpSocket,
    time::{Instant, sleep_until},
};
use tracing::debug;

use crate::{
    inbox::Step,
    session::Session,
    wire::{Message, MessageType, UdpData, read},
};

/// Longest datagram.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Serves it until it was silent for so long.
pub(super) async fn serve(dialer: Dialer, session: Session, first: Bytes, silence: Duration) {
    let Ok(first) = read::<UdpData>(first) else { return };
    let Ok(target) = Target::parse(&first.addr, None) else { return };
    match dialer.connect_udp(&target).await {
        Ok(socket) => exchange(session, &socket, first, silence).await,
        Err(error) => debug!(%target, "no way for datagrams: {error}"),
    }
}

async fn exchange(session: Session, socket: &UdpSocket, first: UdpData, silence: Duration) {
    let mut last = Instant::now();
    // One that cannot be sent is lost, as anywhere on its way.
    let _ = socket.send(&first.data).await;
    loop {
        tokio::select! {
            step = session.next() => {
                let Step::Data(payload) = step else { return };
                let Ok(datagram) = read::<UdpData>(payload) else { return };
                // A flow has one target: what names another is of another flow.
                if datagram.addr == first.addr {
                    let _ = socket.send(&datagram.data).await;
                }
            }
            ready = socket.readable() => {
                match ready.and_then(|()| receive(socket)) {
                    Ok(datagram) => {
                        // A link that has no room for it loses it, as any network would.
                        session.try_send(Message::new(MessageType::ProxyUdpData, session.id(), datagram));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                    // A target that has told of its closed port may open it again.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                    Err(_) => return,
                }
            }
            () = sleep_until(last + silence) => return,
        }
        last = Instant::now();
    }
}

/// A datagram that is there. The buffer is on the stack, so that a quiet flow has none.
fn receive(socket: &UdpSocket) -> io::Result<Bytes> {
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    let len = socket.try_recv(&mut buffer)?;
    Ok(Bytes::copy_from_slice(&buffer[..len]))
}
