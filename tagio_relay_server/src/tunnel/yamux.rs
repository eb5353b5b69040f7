//! Clients that speak yamux, as the first ones of this kind of tunnel did: a stream per visitor, opened by the relay.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use tagio_relay_core::{
    Denial, SourceNet,
    tunnel::{Access, Claim, Owner, Quota, Route, SessionId},
};
use tagio_wire::tunnel::Manners;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::{compat::TokioAsyncReadCompatExt, sync::CancellationToken};
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

/// Where streams are asked for.
pub(super) struct YamuxLine(mpsc::Sender<oneshot::Sender<Stream>>);

impl YamuxLine {
    /// A stream for a visitor.
    pub(super) async fn open(&self, wait: Duration) -> Result<Stream, Denial> {
        let (sender, receiver) = oneshot::channel();
        let opened = async {
            self.0.send(sender).await.map_err(|_| Denial::TunnelUnknown)?;
            receiver.await.map_err(|_| Denial::TunnelWait)
        };
        timeout(wait, opened).await.map_err(|_| Denial::TunnelWait)?
    }
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
    let id = enter(tunnels, net, YamuxLine(opens_tx))?;
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
