//! One end of a relay leg over TCP.

use std::sync::Arc;

use tagio_relay_core::{Denial, TcpLegId};
use tagio_wire::leg::{Channel, DATA_HEADER_LEN, LegGrant, LegToken, PACKET_BYTES_MAX, TCP_LEG_OK, tag};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    time::timeout_at,
};

use crate::{
    carrier::Carrier,
    connection::Newcomer,
    hub::Delivery,
    lock::lock,
    outbox::{Outbox, WriteError, frames_of},
    shared::Shared,
    udp::Outgoing,
};

/// What is read at once from a leg: a dozen packets per system call. The longest frame fits in.
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
        read = receive(shared, read, &leg) => read,
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
    let mut buffer = vec![0; READ_BYTES].into_boxed_slice();
    let mut filled = 0;
    while let Ok(read @ 1..) = stream.read(&mut buffer[filled..]).await {
        filled += read;
        let (frames, rest) = whole_frames(&buffer[..filled]);
        forward(shared, leg, frames);
        if rest.first_chunk().is_some_and(|prefix| !is_frame_len(*prefix)) {
            return Err(Denial::Oversized);
        }
        let done = frames.len();
        buffer.copy_within(done..filled, 0);
        filled -= done;
        // Whoever is sent this writes it before there is more, or a fast sender would only fill queues.
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// The frames at the start of `bytes`, up to one that is not whole or that no leg may carry; and the rest.
fn whole_frames(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut end = 0;
    while let Some(prefix) = bytes[end..].first_chunk()
        && is_frame_len(*prefix)
        && let next = end + prefix.len() + usize::from(u16::from_be_bytes(*prefix))
        && next <= bytes.len()
    {
        end = next;
    }
    bytes.split_at(end)
}

fn is_frame_len(prefix: [u8; 2]) -> bool {
    (1..=PACKET_BYTES_MAX).contains(&u16::from_be_bytes(prefix).into())
}

fn forward(shared: &Shared, leg: &Leg, frames: &[u8]) {
    let delivery = lock(&shared.hub).forward_tcp(leg.id, leg.channel, frames_of(frames));
    match delivery {
        Some(Delivery::Udp(peer)) => {
            let mut header = [tag::DATA; DATA_HEADER_LEN];
            header[1..].copy_from_slice(&leg.channel.0.to_be_bytes());
            let mut outgoing = Outgoing::new(shared);
            frames_of(frames).for_each(|packet| outgoing.send(peer, &header, packet));
            outgoing.flush();
        }
        Some(Delivery::Tcp(outbox)) => {
            shared.denials.count_many(Denial::LegQueueFull, outbox.push_frames(frames));
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_whole_or_wait() {
        let frames = [0, 1, 7, 0, 2, 8, 9];
        assert_eq!(whole_frames(&frames), (&frames[..], &[][..]));
        for cut in 3..frames.len() {
            assert_eq!(whole_frames(&frames[..cut]), frames[..cut].split_at(3), "{cut}");
        }
        assert_eq!(whole_frames(&frames[..2]), frames[..2].split_at(0));
    }

    #[test]
    fn a_frame_that_is_empty_or_too_long_ends_them() {
        let too_long = [&[0, 1, 7][..], &(PACKET_BYTES_MAX as u16 + 1).to_be_bytes(), &[0; 4000]].concat();
        assert_eq!(whole_frames(&too_long).0, [0, 1, 7]);
        assert!(whole_frames(&[0, 0, 0, 1, 7]).0.is_empty());
        assert!(!is_frame_len([0, 0]) && is_frame_len([8, 0]) && !is_frame_len([8, 1]));
    }
}
