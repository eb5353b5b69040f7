//! The control connection of one client: let in by the handshake, then messages both ways.

mod handshake;
mod mathematics;

use std::{sync::Arc, time::Instant};

use snow::StatelessTransportState;
use tagio_relay_core::{Client, ConnId, Denial, SourceNet};
use tagio_wire::{
    PeerId, PublicKey,
    control::{CONTROL_MESSAGE_BYTES_MAX, ClientMessage, Hello, HelloReply, Refusal, Welcome},
    decode,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::timeout_at,
};

use crate::{
    access,
    connection::Newcomer,
    lock::lock,
    outbox::{Outbox, WriteError, frames_of},
    shared::Shared,
    store::StoreError,
};

pub(crate) use handshake::Pattern;
use handshake::{Answered, Handshake, TAG_LEN};
pub(crate) use mathematics::Mathematics;

/// Serves a control connection to its end.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    mut newcomer: Newcomer,
    pattern: Pattern,
) -> Result<(), Denial> {
    let net = newcomer.pass.net();
    lock(&shared.admission).spend_handshake(net, Instant::now())?;
    let deadline = newcomer.deadline;
    let session = timeout_at(deadline, let_in(shared, &mut newcomer, pattern)).await;
    let session = session.map_err(|_| Denial::OpeningDeadline)??;
    newcomer.pass.establish();
    session.run(shared, newcomer).await
}

/// Handshake and answer: a session, or why there is none.
async fn let_in(shared: &Arc<Shared>, newcomer: &mut Newcomer, pattern: Pattern) -> Result<Session, Denial> {
    let (stream, deadline) = (&mut newcomer.stream, newcomer.deadline);
    let (handshake, key, hello) = Handshake::receive(shared, stream, pattern, deadline).await?;
    match identify(shared, newcomer.pass.net(), key, &hello).await {
        Ok(id) => {
            let client = Client { key, id, net: newcomer.pass.net(), presence: hello.presence };
            // Present before it hears so: what it is told can be relied on.
            let outbox = Arc::new(Outbox::new(shared.limits().control_queue_bytes_max));
            let conn = lock(&shared.hub).connect(client, pattern == Pattern::Xx, Arc::clone(&outbox));
            let registered = Registered { shared: Arc::clone(shared), conn, outbox };
            let welcome = HelloReply::Welcome(Welcome {
                id,
                observed: newcomer.peer,
                keepalive_secs: shared.limits().keepalive_secs,
                public_addr: shared.public_addr,
            });
            let Answered { transport, nonce } = handshake.answer(shared, stream, &welcome).await?;
            Ok(Session { registered, transport, nonce })
        }
        Err((refusal, denial)) => {
            handshake.answer(shared, stream, &HelloReply::Refused(refusal)).await?;
            Err(denial)
        }
    }
}

/// Checks a client and finds its ID.
async fn identify(
    shared: &Shared,
    net: SourceNet,
    key: PublicKey,
    hello: &Hello,
) -> Result<PeerId, (Refusal, Denial)> {
    access::check(shared, hello, net)?;
    let failed = |error: StoreError| match error {
        StoreError::Full => (Refusal::Full, Denial::IdsFull),
        StoreError::Failed => (Refusal::Full, Denial::Store),
    };
    if let Some(id) = shared.store.find(key).await.map_err(failed)? {
        return Ok(id);
    }
    lock(&shared.admission).spend_new_id(net, Instant::now()).map_err(|denial| (Refusal::TooMany, denial))?;
    shared.store.assign(key, shared.limits().ids_max).await.map_err(failed)
}

/// A client's place in the hub; left when it is dropped.
struct Registered {
    shared: Arc<Shared>,
    conn: ConnId,
    outbox: Arc<Outbox>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.shared.hub).disconnect(self.conn);
    }
}

/// A client that was let in.
struct Session {
    registered: Registered,
    transport: StatelessTransportState,
    /// Of the next frame to the client.
    nonce: u64,
}

impl Session {
    async fn run(self, shared: &Shared, newcomer: Newcomer) -> Result<(), Denial> {
        let Self { registered, transport, nonce } = self;
        let outbox = &registered.outbox;
        let stall = shared.limits().write_stall();
        let (mut read, mut write) = newcomer.stream.into_split();
        let mut nonce = nonce;
        let encrypt = |batch: Vec<u8>| encrypt(&transport, &mut nonce, &batch);
        tokio::select! {
            read = receive(shared, &mut read, &transport, registered.conn) => read,
            written = outbox.write_to(&mut write, stall, encrypt) => match written {
                Err(WriteError::Stalled) => Err(Denial::WriteStalled),
                Ok(()) | Err(WriteError::Io(_)) => Ok(()),
            },
            () = outbox.wait_aborted() => Ok(()),
        }
    }
}

/// Reads messages until the connection ends.
async fn receive(
    shared: &Shared,
    stream: &mut (impl AsyncRead + Unpin),
    transport: &StatelessTransportState,
    conn: ConnId,
) -> Result<(), Denial> {
    let mut nonce = 0;
    while let Ok(len) = stream.read_u16().await {
        let len = usize::from(len);
        if !(TAG_LEN..=CONTROL_MESSAGE_BYTES_MAX + TAG_LEN).contains(&len) {
            return Err(Denial::FrameLength);
        }
        // Allocated anew: between messages, and that is nearly always, a client has no buffer.
        let mut frame = vec![0; len];
        if stream.read_exact(&mut frame).await.is_err() {
            break;
        }
        let mut plain = vec![0; len - TAG_LEN];
        transport.read_message(nonce, &frame, &mut plain).map_err(|_| Denial::BadMessage)?;
        nonce += 1;
        let message: ClientMessage = decode(&plain).map_err(|_| Denial::BadMessage)?;
        lock(&shared.hub).handle_message(conn, message);
    }
    Ok(())
}

/// A batch of frames, each encrypted.
fn encrypt(transport: &StatelessTransportState, nonce: &mut u64, batch: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(batch.len() * 2);
    for frame in frames_of(batch) {
        out.extend_from_slice(&handshake::seal(transport, *nonce, frame));
        *nonce += 1;
    }
    out
}
