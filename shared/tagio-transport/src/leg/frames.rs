//! The packets of a leg in a stream.

use std::{net::SocketAddr, sync::Arc};

use tagio_wire::leg::PACKET_BYTES_MAX;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader, ReadHalf, WriteHalf},
    sync::mpsc,
};

use crate::{
    carrier::BoxedStream,
    socket::{Inbound, Switch},
};

pub(super) async fn write_packets(mut write: WriteHalf<BoxedStream>, mut queue: mpsc::Receiver<Vec<u8>>) {
    let mut batch = Vec::new();
    while let Some(packet) = queue.recv().await {
        batch.clear();
        push_frame(&mut batch, &packet);
        while let Ok(packet) = queue.try_recv() {
            push_frame(&mut batch, &packet);
        }
        let written = async {
            write.write_all(&batch).await?;
            write.flush().await
        };
        if let Err(error) = written.await {
            tracing::debug!(%error, "relay leg closed");
            return;
        }
    }
}

pub(super) fn push_frame(batch: &mut Vec<u8>, packet: &[u8]) {
    let len = u16::try_from(packet.len()).expect("QUIC packets are shorter than 64 KiB");
    batch.extend_from_slice(&len.to_be_bytes());
    batch.extend_from_slice(packet);
}

pub(super) async fn read_packets(
    read: ReadHalf<BoxedStream>,
    switch: Arc<Switch>,
    addr: SocketAddr,
    inbound: mpsc::Sender<Inbound>,
) {
    let mut read = BufReader::with_capacity(64 * 1024, read);
    loop {
        let Ok(len) = read.read_u16().await else { return };
        let len = usize::from(len);
        if len > PACKET_BYTES_MAX {
            tracing::warn!(len, "the relay sent an oversized packet");
            return;
        }
        let mut packet = vec![0; len];
        if read.read_exact(&mut packet).await.is_err() {
            return;
        }
        switch.count_received(addr);
        if inbound.send((addr, packet)).await.is_err() {
            return;
        }
    }
}
