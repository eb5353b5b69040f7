//! Clients of TAGIO messages by WebSocket: a binary message each.

use std::{future::poll_fn, mem::MaybeUninit, pin::Pin, sync::Arc, task::{Poll, ready}, time::Duration};

use tagio_relay_core::{
    Denial,
    messages::{ErrorCode, Framing, Reply, denial},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, timeout_at},
};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{
    Member,
    frames::{Frame, Frames, Trouble},
    line::stalled,
};
use crate::{connection::Visitor, shared::Shared};

/// Read at once, on the stack: an idle client has no buffer.
const READ_BYTES: usize = 64 * 1024;
/// A message must be whole within this time: 1 MiB at 280 kb/s.
const MESSAGE_TIME: Duration = Duration::from_secs(30);

/// Serves a WebSocket from its upgrade to its end.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    visitor: Visitor,
) -> Result<(), Denial> {
    let member = Member::join(shared, Framing::WebSocket, visitor.peer)?;
    visitor.pass.establish();
    let limits = shared.limits();
    let messages = &shared.messages;
    let frames = Frames::new(
        limits.tagio_message_bytes_max as usize,
        Arc::clone(&messages.partial),
        limits.tagio_queues_bytes_max as usize,
    );
    let (read, mut write) = tokio::io::split(stream);
    let writing = member.line.write_to(&mut write, limits.write_stall());
    tokio::pin!(writing);
    let received = tokio::select! {
        received = receive(&member, read, frames) => received,
        written = &mut writing => return stalled(written),
    };
    member.line.finish();
    // What was said last shall arrive. Who does not take it has waited for long enough.
    let written = stalled(writing.await);
    received.and(written)
}

/// Reads messages until the client is gone, says goodbye, or is not to be listened to any longer.
async fn receive(
    member: &Member,
    mut stream: impl AsyncRead + Unpin,
    mut frames: Frames,
) -> Result<(), Denial> {
    let mut begun = Instant::now();
    loop {
        let is_within_message = frames.is_within_message();
        if !is_within_message {
            begun = Instant::now();
        }
        let mut is_last = Ok(false);
        let reading = poll_fn(|cx| {
            let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
            let mut buffer = ReadBuf::uninit(&mut space);
            let read = ready!(Pin::new(&mut stream).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(None);
            }
            Poll::Ready(Some(frames.read(buffer.filled_mut(), |frame| {
                // Control frames do not make a message that comes in fragments any newer.
                if matches!(frame, Frame::Message(_)) {
                    begun = Instant::now();
                }
                if matches!(is_last, Ok(false)) {
                    is_last = take(member, &frame);
                }
            })))
        });
        let read = if is_within_message {
            timeout_at(begun + MESSAGE_TIME, reading).await.map_err(|_| Denial::TagioSlow)?
        } else {
            reading.await
        };
        let Some(read) = read else { return Ok(()) };
        if is_last? {
            return Ok(());
        }
        read.or_else(|trouble| refuse(member, trouble))?;
    }
}

/// Handles one frame; whether it is the client's last.
fn take(member: &Member, frame: &Frame<'_>) -> Result<bool, Denial> {
    match frame {
        Frame::Message(message) => member.handle(message)?,
        Frame::Ping(bytes) => {
            member.heard();
            say(member, OP_PONG, bytes)?;
        }
        Frame::Pong => member.heard(),
        Frame::Close => {
            say(member, OP_CLOSE, &u16::from(CloseCode::Normal).to_be_bytes())?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// FIN and the opcodes of control frames (RFC 6455, 5.2).
const OP_CLOSE: u8 = 0x88;
const OP_PONG: u8 = 0x8a;

/// Sends a control frame.
fn say(member: &Member, opcode: u8, payload: &[u8]) -> Result<(), Denial> {
    let len = u8::try_from(payload.len()).expect("a control frame has at most 125 bytes");
    let frame = [&[opcode, len][..], payload].concat();
    member.line.push_raw(&frame).map_err(|_| Denial::TagioNotReading)
}

/// Tells the client why it is not listened to any longer.
fn refuse(member: &Member, trouble: Trouble) -> Result<(), Denial> {
    if trouble == Trouble::TooLong {
        member.answer(Reply::Error(ErrorCode::TooLarge))?;
    }
    say(member, OP_CLOSE, &u16::from(trouble.close_code()).to_be_bytes())?;
    Err(match trouble {
        Trouble::Protocol | Trouble::Text => Denial::TagioBadFrame,
        Trouble::TooLong => denial(ErrorCode::TooLarge),
        Trouble::NoRoom => Denial::TagioQueuesFull,
    })
}
