//! Clients of TAGIO messages over plain TCP, without WebSocket or HTTP: for greetings and short messages, since
//! nothing on the wire says where a message ends. See `tagio_relay_core::messages::stream`.

use std::{sync::Arc, time::Duration};

use tagio_relay_core::{
    Denial,
    messages::{ErrorCode, Framing, Reply, denial, stream::Stream},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    time::timeout,
};

use super::{
    Member,
    line::{linger, stalled, turn_away},
    refusal,
};
use crate::{access, connection::Visitor, shared::Shared};

/// A message that does not end by itself ends with a pause of this length.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest message: what is longer is cut by the network anywhere.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// Read at once; held by each such client.
const READ_BYTES: usize = 1024;

/// Serves a connection that began with the magic.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    visitor: Visitor,
) -> Result<(), Denial> {
    let (mut read, mut write) = tokio::io::split(stream);
    // There is no place for a secret here, so where one is wanted nobody comes in this way.
    let joined = access::check_secret(shared, None, visitor.pass.net())
        .and_then(|()| Member::join(shared, Framing::Bare, visitor.peer));
    let member = match joined {
        Ok(member) => member,
        Err(denial) => {
            let reply = Reply::Error(refusal(denial)).bytes();
            turn_away(read, write, &reply, shared.limits().write_stall()).await;
            return Err(denial);
        }
    };
    visitor.pass.establish();
    let writing = member.line.write_to(&mut write, shared.limits().write_stall());
    tokio::pin!(writing);
    let received = tokio::select! {
        received = receive(&member, &mut read) => received,
        written = &mut writing => return stalled(written),
    };
    member.line.finish();
    let written = stalled(writing.await);
    if received.is_err() {
        linger(&mut read).await;
    }
    received.and(written)
}

async fn receive(member: &Member, read: &mut (impl AsyncRead + Unpin)) -> Result<(), Denial> {
    let mut stream = Stream::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let paused = if stream.is_empty() {
            let came = read.read(&mut buffer).await;
            stream.push(&buffer[..came.unwrap_or(0)]);
            stream.is_empty()
        } else {
            match timeout(PAUSE, read.read(&mut buffer)).await {
                Ok(came) => {
                    let came = came.unwrap_or(0);
                    stream.push(&buffer[..came]);
                    came == 0
                }
                Err(_) => true,
            }
        };
        if paused && stream.is_empty() {
            return Ok(());
        }
        while let Some(message) = stream.take(paused) {
            member.handle(&message)?;
        }
        if stream.len() > MESSAGE_BYTES_MAX {
            member.answer(Reply::Error(ErrorCode::TooLarge))?;
            return Err(denial(ErrorCode::TooLarge));
        }
    }
}
