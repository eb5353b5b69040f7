//! Clients that speak yamux, as the first ones of this kind of tunnel did: a stream per visitor, opened by the relay.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tagio_relay_core::{
    Denial, SourceNet,
    tunnel::{Access, Claim, Owner, Quota, Route, SessionId},
};
use tagio_tunnel::pipe::Abort;
use tagio_wire::tunnel::Manners;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::{
    compat::{Compat, FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt},
    sync::CancellationToken,
};
use tracing::{debug, info};
use yamux::{Config, Connection, Mode, Stream};

use super::{
    Tunnels,
    session::{Line, Session},
};

/// Streams of one client at once.
const STREAMS_MAX: usize = 1024;
/// Bytes that all streams of one client may have under way to the relay: yamux wants 256 KiB for each.
const WINDOW_BYTES_MAX: usize = STREAMS_MAX * 256 * 1024;
/// Visitors that wait to be given a stream, which takes no round trip.
const OPENS_QUEUE: usize = 256;
/// First byte of every yamux frame: the version.
pub(super) const FIRST_BYTE: u8 = 0;
/// A GoAway frame that says "protocol error", and the reason for people.
const REFUSAL: &[u8] = b"\0\x03\0\0\0\0\0\0\0\0\0\x01this relay wants a token; use a client that shows one\n";

/// Streams end a moment before it is known that they did so because the connection was lost.
const LOSS_IS_KNOWN: Duration = Duration::from_millis(200);

/// Where streams are asked for.
pub(super) struct YamuxLine {
    opens: mpsc::Sender<oneshot::Sender<Stream>>,
    /// The connection has ended.
    lost: CancellationToken,
}

impl YamuxLine {
    /// A stream for a visitor.
    pub(super) async fn open(&self, wait: Duration) -> Result<YamuxStream, Denial> {
        let (sender, receiver) = oneshot::channel();
        let opened = async {
            self.opens.send(sender).await.map_err(|_| Denial::TunnelUnknown)?;
            receiver.await.map_err(|_| Denial::TunnelWait)
        };
        let stream = timeout(wait, opened).await.map_err(|_| Denial::TunnelWait)??;
        let lost = self.lost.clone();
        Ok(YamuxStream { stream: stream.compat(), lost, is_shut: false, doubt: None })
    }
}

/// A visitor's stream. yamux says "end" also where the connection was lost; here that is an error, so that half a
/// download does not look like a whole one.
pub(super) struct YamuxStream {
    stream: Compat<Stream>,
    lost: CancellationToken,
    /// This side has said all. The stream is then closed by the client's end as well as by a loss.
    is_shut: bool,
    /// Waits for the word that the connection was lost; whether it came.
    doubt: Option<Pin<Box<dyn Future<Output = bool> + Send>>>,
}

impl AsyncRead for YamuxStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before || this.is_shut || !this.stream.get_ref().is_closed() {
            return Poll::Ready(Ok(()));
        }
        let lost = this.lost.clone();
        let doubt = this.doubt.get_or_insert_with(|| {
            Box::pin(async move { timeout(LOSS_IS_KNOWN, lost.cancelled()).await.is_ok() })
        });
        let is_lost = ready!(doubt.as_mut().poll(cx));
        this.doubt = None;
        Poll::Ready(if is_lost { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) })
    }
}

impl AsyncWrite for YamuxStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.is_shut = true;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

impl Abort for YamuxStream {
    /// One that is dropped before its end is reset anyway.
    fn abort(&mut self) {}
}

/// Serves a client to its end. What it said already is in `stream` again.
pub(super) async fn serve(
    tunnels: &Arc<Tunnels>,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    net: SourceNet,
) -> Result<(), Denial> {
    if tunnels.wants_token() {
        // It is refused either way.
        let _ = timeout(Duration::from_secs(1), stream.write_all(REFUSAL)).await;
        let _ = timeout(Duration::from_secs(1), stream.shutdown()).await;
        return Err(Denial::TunnelToken);
    }
    let (opens_tx, opens) = mpsc::channel(OPENS_QUEUE);
    let lost = CancellationToken::new();
    let _lost = lost.clone().drop_guard();
    let id = enter(tunnels, net, YamuxLine { opens: opens_tx, lost })?;
    info!(session = id.0, "tunnel opened by yamux");
    let _seat = super::control::Seat { tunnels, id };
    let mut config = Config::default();
    config.set_max_connection_receive_window(None);
    config.set_max_num_streams(STREAMS_MAX);
    config.set_max_connection_receive_window(Some(WINDOW_BYTES_MAX));
    // Who is dialled is the server, whoever opens streams.
    let connection = Connection::new(stream.compat(), config, Mode::Server);
    drive(connection, opens).await;
    info!(session = id.0, "tunnel closed");
    Ok(())
}

fn enter(tunnels: &Tunnels, net: SourceNet, line: YamuxLine) -> Result<SessionId, Denial> {
    let mut desk = tunnels.desk();
    let claim = Claim { owner: Owner::Yamux, quota: Quota::default(), run: None, net, route: Route::Ingress };
    let claimed = desk.book.claim(claim).map_err(|error| match error {
        tagio_relay_core::tunnel::ClaimError::Contested(_) => Denial::TunnelClaim,
        tagio_relay_core::tunnel::ClaimError::Denied(denial) => denial,
    })?;
    let session = Session {
        id: claimed.session,
        access: Access::default(),
        manners: Manners::default(),
        line: Line::Yamux(line),
        revoked: CancellationToken::new(),
        _door: None,
    };
    desk.sessions.insert(claimed.session, Arc::new(session));
    Ok(claimed.session)
}

/// What a connection does next.
enum Step {
    Asked(oneshot::Sender<Stream>),
    Opened(Stream),
    Ended,
}

/// Moves the connection's bytes and opens streams, until it ends.
async fn drive<T>(mut connection: Connection<T>, mut opens: mpsc::Receiver<oneshot::Sender<Stream>>)
where
    T: futures_io::AsyncRead + futures_io::AsyncWrite + Unpin,
{
    let mut asked: Option<oneshot::Sender<Stream>> = None;
    loop {
        let step = poll_fn(|cx| {
            if asked.is_none() {
                match opens.poll_recv(cx) {
                    Poll::Ready(Some(sender)) => return Poll::Ready(Step::Asked(sender)),
                    Poll::Ready(None) => return Poll::Ready(Step::Ended),
                    Poll::Pending => {}
                }
            } else {
                match connection.poll_new_outbound(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Step::Opened(stream)),
                    Poll::Ready(Err(_)) => return Poll::Ready(Step::Ended),
                    Poll::Pending => {}
                }
            }
            loop {
                match connection.poll_next_inbound(cx) {
                    // Clients have nothing to ask for: their streams are reset.
                    Poll::Ready(Some(Ok(stream))) => drop(stream),
                    Poll::Ready(Some(Err(error))) => {
                        debug!(%error, "yamux");
                        return Poll::Ready(Step::Ended);
                    }
                    Poll::Ready(None) => return Poll::Ready(Step::Ended),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
        match step {
            Step::Asked(sender) => asked = Some(sender),
            // A visitor that has left meanwhile: the stream is reset.
            Step::Opened(stream) => drop(asked.take().map(|sender| sender.send(stream))),
            Step::Ended => return,
        }
    }
}
