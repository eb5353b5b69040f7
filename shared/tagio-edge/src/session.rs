//! One session at this end of a link, and as a stream of bytes.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};
use tokio_util::sync::{CancellationToken, PollSender};

use crate::{
    inbox::Step,
    link::{Link, Slot},
    wire::{CreateSessionReply, DATA_BYTES_MAX, Message, MessageType},
};

/// The session or its link is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the session is over")]
pub struct Over;

/// One session at this end. It ends when this is dropped.
pub struct Session {
    link: Link,
    id: String,
    slot: Arc<Slot>,
}

impl Session {
    pub(crate) fn new(link: Link, id: String, slot: Arc<Slot>) -> Self {
        Self { link, id, slot }
    }

    /// Its ID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Sends a message of the session.
    ///
    /// # Errors
    /// The link is gone.
    pub async fn send(&self, message: Message) -> Result<(), Over> {
        self.link.outbox().send(message).await.map_err(|_| Over)
    }

    /// Sends a message of the session, if there is room for it now.
    pub fn try_send(&self, message: Message) {
        self.link.try_send(message);
    }

    /// What comes next.
    pub async fn next(&self) -> Step {
        poll_fn(|cx| self.slot.inbox.poll_take(cx)).await
    }

    /// Asks the other end for `target` (an encoded [`crate::wire::DestAddr`]), and waits for the answer.
    ///
    /// # Errors
    /// The link is gone, or the other end has closed the session instead.
    pub async fn create(&self, target: Vec<u8>) -> Result<CreateSessionReply, Over> {
        let (reply, replied) = oneshot::channel();
        *self.slot.reply.lock().unwrap_or_else(PoisonError::into_inner) = Some(reply);
        self.send(Message::new(MessageType::ProxySessionCreate, &self.id, target)).await?;
        tokio::select! {
            // Some say both.
            biased;
            replied = replied => replied.map_err(|_| Over),
            () = self.slot.over.cancelled() => Err(Over),
        }
    }

    /// Makes it a stream. `tells_half_close` says whether the other end understands that one direction ends alone.
    pub fn into_stream(self, tells_half_close: bool) -> SessionStream {
        SessionStream {
            outbox: PollSender::new(self.link.outbox().clone()),
            credit_step: self.link.credit_step(),
            session: self,
            unread: Bytes::new(),
            is_finished: false,
            owed: 0,
            granted: 0,
            tells_half_close,
            is_shut: false,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.link.end_session(&self.id, &self.slot);
    }
}

/// A session's bytes, both ways. Each direction ends by itself; dropping it ends both, after what was written.
pub struct SessionStream {
    session: Session,
    outbox: PollSender<Message>,
    credit_step: Option<u32>,
    unread: Bytes,
    is_finished: bool,
    /// Bytes that were read and that the other end has not heard of.
    owed: u32,
    /// Bytes that the other end has room for and that were not written yet.
    granted: usize,
    tells_half_close: bool,
    is_shut: bool,
}

impl SessionStream {
    /// Cancelled when the other end has closed the session, or it is lost. What came before can still be read.
    pub fn over(&self) -> CancellationToken {
        self.session.slot.over.clone()
    }

    /// What says how fast its bytes may go.
    pub(crate) fn pace(&self) -> Pace {
        Pace { slot: Arc::clone(&self.session.slot), has_windows: self.session.link.has_windows() }
    }

    /// Tells the other end what was read, once it is worth a message.
    fn poll_credit(&mut self, cx: &mut Context<'_>) {
        if self.credit_step.is_none_or(|step| self.owed < step) {
            return;
        }
        // While there is no room, the task is woken when there is.
        if let Poll::Ready(Ok(())) = self.outbox.poll_reserve(cx) {
            let credit = Message::credit(&self.session.id, std::mem::take(&mut self.owed));
            // It was reserved; a link that is gone needs no credit.
            let _ = self.outbox.send_item(credit);
        }
    }

    /// Room for a message.
    fn poll_outbox(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbox.poll_reserve(cx).map_err(|_| broken())
    }

    fn say(&mut self, kind: MessageType, payload: Bytes) -> io::Result<()> {
        let message = Message::new(kind, &self.session.id, payload);
        self.outbox.send_item(message).map_err(|_| broken())
    }
}

impl AsyncRead for SessionStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.unread.is_empty() && !this.is_finished {
            this.poll_credit(cx);
            match ready!(this.session.slot.inbox.poll_take(cx)) {
                Step::Data(data) => this.unread = data,
                Step::Finished | Step::Closed => this.is_finished = true,
                Step::Lost => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            }
        }
        let len = this.unread.len().min(buf.remaining());
        buf.put_slice(&this.unread[..len]);
        this.unread.advance(len);
        this.owed = this.owed.saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SessionStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wanted = buf.len().min(DATA_BYTES_MAX);
        if this.granted == 0 {
            this.granted = match &this.session.slot.window {
                Some(window) if !this.session.slot.over.is_cancelled() => {
                    ready!(window.poll_spend(cx, wanted))
                }
                Some(_) | None => wanted,
            };
        }
        if this.session.slot.over.is_cancelled() {
            return Poll::Ready(Err(broken()));
        }
        ready!(this.poll_outbox(cx))?;
        let len = wanted.min(this.granted);
        this.say(MessageType::ProxySessionData, Bytes::copy_from_slice(&buf[..len]))?;
        this.granted -= len;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.tells_half_close && !this.is_shut && !this.session.slot.over.is_cancelled() {
            ready!(this.poll_outbox(cx))?;
            this.say(MessageType::ProxySessionHalfClose, Bytes::new())?;
        }
        this.is_shut = true;
        Poll::Ready(Ok(()))
    }
}

/// How fast the bytes of a session may go.
pub(crate) struct Pace {
    slot: Arc<Slot>,
    has_windows: bool,
}

impl Pace {
    /// How long bytes that are to be written wait.
    pub(crate) fn outward(&self, bytes: usize) -> Duration {
        self.slot.meter.outward(bytes)
    }

    /// How long bytes that were read wait. Without windows the link has made them wait already.
    pub(crate) fn inward(&self, bytes: usize) -> Duration {
        if self.has_windows { self.slot.meter.inward(bytes) } else { Duration::ZERO }
    }
}

fn broken() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}
