//! One end of a relay leg over TCP.

use std::sync::Arc;

use tagio_relay_core::{Denial, TcpLegId};
use tagio_wire::leg::{Channel, DATA_HEADER_LEN, LegGrant, LegToken, PACKET_BYTES_MAX, TCP_LEG_OK, tag};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    time::timeout_at,
};

use crate::{
    carrier::Carrier,
    connection::Newcomer,
    lock::lock,
    outbox::{Outbox, WriteError},
    shared::Shared,
    udp,
};

/// What is read at once from a leg: a dozen packets per system call.
const READ_BYTES: usize = 16 * 1024;

/// Serves a TCP leg to its end.
pub(crate) async fn serve(shared: &Arc<Shared>, mut newcomer: Newcomer) -> Result<(), Denial> {
    let deadline = newcomer.deadline;
    let leg = timeout_at(deadline, bind(shared, &mut newcomer.stream)).await;
    let leg = leg.map_err(|_| Denial::OpeningDeadline)??;
    newcomer.pass.establish();
    let stall = shared.limits().write_stall();
    let (read, mut write) = newcomer.stream.into_split();
    tokio::select! {
        read = receive(shared, BufReader::with_capacity(READ_BYTES, read), &leg) => read,
        written = leg.outbox.write_to(&mut write, stall, |batch| batch) => match written {
            Err(WriteError::Stalled) => Err(Denial::WriteStalled),
            Ok(()) | Err(WriteError::Io(_)) => Ok(()),
        },
    }
}

/// A bound end; free again when it is dropped.
struct Leg {
    shared: Arc<Shared>,
    id: TcpLegId,
    channel: Channel,
    outbox: Arc<Outbox>,
}

impl Drop for Leg {
    fn drop(&mut self) {
        lock(&self.shared.hub).tcp_closed(self.id, self.channel);
    }
}

async fn bind(shared: &Arc<Shared>, stream: &mut Carrier) -> Result<Leg, Denial> {
    let aborted = |_| Denial::OpeningAborted;
    let channel = Channel(stream.read_u32().await.map_err(aborted)?);
    let mut token = [0; 16];
    stream.read_exact(&mut token).await.map_err(aborted)?;
    let grant = LegGrant { channel, token: LegToken(token) };
    let outbox = Arc::new(Outbox::new(shared.limits().leg_queue_bytes_max));
    // The rules count what they refuse here; to the connection it is an end like another.
    let id = lock(&shared.hub).bind_tcp(&grant, Arc::clone(&outbox));
    let leg = Leg { shared: Arc::clone(shared), id: id?, channel, outbox };
    stream.write_u8(TCP_LEG_OK).await.map_err(aborted)?;
    stream.flush().await.map_err(aborted)?;
    Ok(leg)
}

/// Forwards packets until the connection ends.
async fn receive(shared: &Shared, mut stream: impl AsyncRead + Unpin, leg: &Leg) -> Result<(), Denial> {
    // The packet behind the header that it has over UDP: whichever way it goes on, it is not copied.
    let mut datagram = vec![0; DATA_HEADER_LEN + PACKET_BYTES_MAX];
    datagram[0] = tag::DATA;
    datagram[1..DATA_HEADER_LEN].copy_from_slice(&leg.channel.0.to_be_bytes());
    while let Ok(len) = stream.read_u16().await {
        let len = usize::from(len);
        if len == 0 || len > PACKET_BYTES_MAX {
            return Err(Denial::Oversized);
        }
        let datagram = &mut datagram[..DATA_HEADER_LEN + len];
        if stream.read_exact(&mut datagram[DATA_HEADER_LEN..]).await.is_err() {
            break;
        }
        let delivery = lock(&shared.hub).forward_tcp(leg.id, leg.channel, &datagram[DATA_HEADER_LEN..]);
        if let Some(delivery) = delivery {
            udp::deliver(shared, &delivery, datagram);
        }
    }
    Ok(())
}
