//! Clients of TAGIO messages by WebSocket: a binary message each.

use std::{
    future::poll_fn,
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tagio_relay_core::{
    Denial, Limits,
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
    line::{linger, stalled, turn_away},
};
use crate::{connection::Visitor, shared::Shared};

/// Read at once, on the stack: an idle client has no buffer.
const READ_BYTES: usize = 64 * 1024;
/// A message must be whole within this time: 1 MiB at 280 kb/s.
const MESSAGE_TIME: Duration = Duration::from_secs(30);

/// FIN and the opcodes of control frames (RFC 6455, 5.2).
const OP_CLOSE: u8 = 0x88;
const OP_PONG: u8 = 0x8a;

/// Serves a WebSocket from its upgrade to its end; `unread` came behind the request.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    unread: Bytes,
    visitor: Visitor,
) -> Result<(), Denial> {
    let (mut read, mut write) = tokio::io::split(stream);
    let limits = shared.limits();
    let member = match Member::join(shared, Framing::WebSocket, visitor.peer) {
        Ok(member) => member,
        Err(denial) => {
            let goodbye = control_frame(OP_CLOSE, &u16::from(CloseCode::Again).to_be_bytes());
            turn_away(read, write, &goodbye, limits.write_stall()).await;
            return Err(denial);
        }
    };
    visitor.pass.establish();
    let listener = Listener::new(&member, &limits);
    let writing = member.line.write_to(&mut write, limits.write_stall());
    tokio::pin!(writing);
    let received = tokio::select! {
        received = listener.receive(&mut read, unread) => received,
        written = &mut writing => return stalled(written),
    };
    member.line.finish();
    let written = stalled(writing.await);
    if received.is_err() {
        linger(&mut read).await;
    }
    received.and(written)
}

/// What a client says.
struct Listener<'m> {
    member: &'m Member,
    frames: Frames,
    /// When the message that is coming now began.
    begun: Instant,
}

impl<'m> Listener<'m> {
    fn new(member: &'m Member, limits: &Limits) -> Self {
        let frames = Frames::new(
            limits.tagio_message_bytes_max as usize,
            Arc::clone(&member.shared.messages.partial),
            limits.tagio_queues_bytes_max as usize,
        );
        Self { member, frames, begun: Instant::now() }
    }

    /// Reads until the client is gone, says goodbye, or is not to be listened to any longer.
    async fn receive(mut self, stream: &mut (impl AsyncRead + Unpin), unread: Bytes) -> Result<(), Denial> {
        let mut heard = self.take(&mut unread.to_vec());
        drop(unread);
        while let Heard::More = heard? {
            let is_within_message = self.frames.is_within_message();
            let deadline = self.begun + MESSAGE_TIME;
            let reading = poll_fn(|cx| self.poll_read(stream, cx));
            heard = if is_within_message {
                timeout_at(deadline, reading).await.unwrap_or(Err(Denial::TagioSlow))
            } else {
                reading.await
            };
        }
        Ok(())
    }

    fn poll_read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<Heard, Denial>> {
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        let read = ready!(Pin::new(stream).poll_read(cx, &mut buffer));
        if read.is_err() || buffer.filled().is_empty() {
            return Poll::Ready(Ok(Heard::Last));
        }
        Poll::Ready(self.take(buffer.filled_mut()))
    }

    /// Handles the frames in what has come.
    fn take(&mut self, bytes: &mut [u8]) -> Result<Heard, Denial> {
        let member = self.member;
        let mut is_new = !self.frames.is_within_message();
        let mut heard = Ok(Heard::More);
        let read = self.frames.read(bytes, |frame| {
            // Control frames do not make a message that comes in fragments any newer.
            is_new |= matches!(frame, Frame::Message(_));
            if let Ok(Heard::More) = heard {
                heard = take(member, &frame);
            }
        });
        if is_new {
            self.begun = Instant::now();
        }
        let heard = heard?;
        if let Err(trouble) = read {
            refuse(member, trouble)?;
        }
        Ok(heard)
    }
}

/// What follows what was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    More,
    Last,
}

/// Handles one frame.
fn take(member: &Member, frame: &Frame<'_>) -> Result<Heard, Denial> {
    match frame {
        Frame::Message(message) => member.handle(message)?,
        Frame::Ping(bytes) => {
            member.heard();
            say(member, OP_PONG, bytes)?;
        }
        Frame::Pong => member.heard(),
        Frame::Close => {
            say(member, OP_CLOSE, &u16::from(CloseCode::Normal).to_be_bytes())?;
            return Ok(Heard::Last);
        }
    }
    Ok(Heard::More)
}

/// Sends a control frame.
fn say(member: &Member, opcode: u8, payload: &[u8]) -> Result<(), Denial> {
    member.line.push_raw(&control_frame(opcode, payload)).map_err(|_| Denial::TagioNotReading)
}

fn control_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).expect("a control frame has at most 125 bytes");
    [&[opcode, len][..], payload].concat()
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
