//! The tunnel port: control connections, data connections, and clients that speak yamux.

use std::{future::pending, net::SocketAddr, sync::Arc, time::Duration};

use rand::RngExt;
use tagio_relay_core::{
    Denial, SourceNet,
    tunnel::{Access, Claim, ClaimError, Claimed, Owner, Quota, Route, SessionId},
};
use tagio_tunnel::{
    frames,
    greeting::{self, Binding, GreetingHash},
    proof::{self, Prover},
    stream::{
        Stream,
        quic::{self, Incoming},
    },
    trunk::{TrunkError, TrunkSlot},
    tuning,
};
use tagio_wire::{
    control::Preface,
    limits::PROTOCOL_VERSION,
    tunnel::{
        ClientNote, DataHello, GREETING_BYTES, Open, OpenReply, Opened, RelayNote, TUNNEL_PING_SECS,
        TUNNEL_SILENCE_SECS, TunnelPreface, TunnelRefusal, TunnelSecret,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, split},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, interval, sleep_until, timeout, timeout_at},
};
use tokio_rustls::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{
    TunnelToken, Tunnels,
    pool::{POOL_WANTED, Pool},
    ports::{self, Door, Kind},
    session::{Line, Session},
    yamux,
};
use crate::{lock::lock, shared::Pass};

/// A client that has said nothing for this long speaks yamux: ours begin at once, some of those never do.
const FIRST_WORD: Duration = Duration::from_secs(2);
/// A TLS record that begins a handshake (RFC 8446, 5.1).
const TLS_FIRST_BYTE: u8 = 0x16;
/// How long the present holder of a name has to show that it lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);
/// How often it is looked for one.
const SIGN_STEP: Duration = Duration::from_millis(50);
const PING: Duration = Duration::from_secs(TUNNEL_PING_SECS as u64);
const SILENCE: Duration = Duration::from_secs(TUNNEL_SILENCE_SECS as u64);
/// Time for the last word before a connection is closed.
const LAST_WORD: Duration = Duration::from_secs(2);
/// Notes that wait to be written: there are a few of each kind at most.
const NOTES_QUEUE: usize = 16;

/// A session's place, given up when this is dropped.
pub(super) struct Seat<'a> {
    pub(super) tunnels: &'a Arc<Tunnels>,
    pub(super) id: SessionId,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut desk = self.tunnels.desk();
        desk.book.release(self.id);
        let session = desk.sessions.remove(&self.id);
        drop(desk);
        if let Some(session) = session
            && let Line::Pool { pool, trunk, .. } = &session.line
        {
            pool.clear();
            trunk.close();
        }
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(tunnels: Arc<Tunnels>, stream: TcpStream, peer: SocketAddr) {
    if let Err(denial) = try_serve(&tunnels, stream, peer).await {
        tunnels.deny(denial);
        debug!(%peer, reason = denial.label(), "tunnel connection closed");
    }
}

async fn try_serve(tunnels: &Arc<Tunnels>, stream: TcpStream, peer: SocketAddr) -> Result<(), Denial> {
    let net = SourceNet::from(peer.ip());
    let pass = Pass::open(&tunnels.relay, net)?;
    tuning::tune(&stream);
    let deadline = Instant::now() + tunnels.relay.limits().opening();
    let client = Client { peer, net, pass, deadline };
    let mut first = [0];
    match timeout(FIRST_WORD, stream.peek(&mut first)).await {
        Err(_) => serve_yamux(tunnels, Stream::Tcp(stream), &[], client).await,
        Ok(Ok(1)) if first[0] == TLS_FIRST_BYTE => {
            let stream = accept_tls(tunnels, stream, net, deadline).await?;
            serve_opened(tunnels, stream, client).await
        }
        Ok(Ok(1)) => serve_opened(tunnels, Stream::Tcp(stream), client).await,
        Ok(_) => Err(Denial::OpeningAborted),
    }
}

/// Somebody at the tunnel port.
struct Client {
    peer: SocketAddr,
    net: SourceNet,
    pass: Pass,
    /// Until then it must have said who it is.
    deadline: Instant,
}

async fn accept_tls(
    tunnels: &Tunnels,
    stream: TcpStream,
    net: SourceNet,
    deadline: Instant,
) -> Result<Stream, Denial> {
    // Whoever has a tunnel needs a handshake for each data connection, and has shown who it is.
    if !tunnels.desk().book.is_known(net) {
        lock(&tunnels.relay.admission).spend_handshake(net, std::time::Instant::now())?;
    }
    let accepted = Box::pin(timeout_at(deadline, tunnels.relay.tls.accept_plain(stream))).await;
    let stream = accepted.map_err(|_| Denial::OpeningDeadline)?.map_err(|_| Denial::Tls)?;
    Ok(Stream::Tls(Box::new(TlsStream::Server(stream))))
}

async fn serve_opened(tunnels: &Arc<Tunnels>, mut stream: Stream, client: Client) -> Result<(), Denial> {
    let mut first = [0];
    let head = match timeout(FIRST_WORD, stream.read(&mut first)).await {
        Err(_) => &[][..],
        Ok(Ok(1)) => &first[..],
        Ok(_) => return Err(Denial::OpeningAborted),
    };
    if head.first().is_none_or(|byte| *byte == yamux::FIRST_BYTE) {
        return serve_yamux(tunnels, stream, head, client).await;
    }
    let mut preface = [first[0]; Preface::LEN];
    let read = timeout_at(client.deadline, stream.read_exact(&mut preface[1..])).await;
    read.map_err(|_| Denial::OpeningDeadline)?.map_err(|_| Denial::OpeningAborted)?;
    match TunnelPreface::parse(preface).ok_or(Denial::BadPreface)? {
        TunnelPreface::Data => {
            // From here on the session's own limits count.
            let session = hear_data(tunnels, &mut stream, client).await?;
            let Line::Pool { pool, .. } = &session.line else { return Err(Denial::TunnelUnknown) };
            pool.put(stream)
        }
        TunnelPreface::Trunk => {
            let session = hear_data(tunnels, &mut stream, client).await?;
            serve_trunk(&session, stream).await
        }
        TunnelPreface::Control => {
            let binding = stream.binding().map_err(|_| Denial::Tls)?;
            let line = |notes| Line::Pool {
                pool: Pool::default(),
                pool_key: random_secret(),
                trunk: TrunkSlot::default(),
                notes,
            };
            Box::pin(serve_control(tunnels, stream, binding, client, line)).await
        }
    }
}

/// Serves a client that speaks yamux, and has said `head`, to its end.
async fn serve_yamux(
    tunnels: &Arc<Tunnels>,
    stream: Stream,
    head: &[u8],
    client: Client,
) -> Result<(), Denial> {
    client.pass.establish();
    let (read, write) = split(stream);
    let stream = tokio::io::join(head.chain(read), write);
    Box::pin(yamux::serve(tunnels, stream, client.net)).await
}

/// Serves a client that has come by QUIC, to its end.
pub(super) async fn serve_quic(tunnels: &Arc<Tunnels>, incoming: Incoming) -> Result<(), Denial> {
    let peer = incoming.remote_address();
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let net = SourceNet::from(peer.ip());
    let pass = Pass::open(&tunnels.relay, net)?;
    lock(&tunnels.relay.admission).spend_handshake(net, std::time::Instant::now())?;
    let deadline = Instant::now() + tunnels.relay.limits().opening();
    let opening = async {
        let connection = incoming.await.map_err(|_| Denial::Tls)?;
        let mut stream = quic::accept(&connection).await.map_err(|_| Denial::OpeningAborted)?;
        quic::prioritise(&stream);
        let mut preface = [0; Preface::LEN];
        stream.read_exact(&mut preface).await.map_err(|_| Denial::OpeningAborted)?;
        if TunnelPreface::parse(preface) != Some(TunnelPreface::Control) {
            return Err(Denial::BadPreface);
        }
        let binding = quic::binding(&connection).map_err(|_| Denial::Tls)?;
        Ok((connection, stream, binding))
    };
    let (connection, stream, binding) =
        timeout_at(deadline, opening).await.map_err(|_| Denial::OpeningDeadline)??;
    let client = Client { peer, net, pass, deadline };
    let line = |notes| Line::Quic { connection, notes };
    Box::pin(serve_control(tunnels, stream, Some(binding), client, line)).await
}

fn random_secret() -> TunnelSecret {
    TunnelSecret(rand::rng().random())
}

async fn read_by<T: serde::de::DeserializeOwned>(
    stream: &mut Stream,
    deadline: Instant,
) -> Result<T, Denial> {
    let read = timeout_at(deadline, frames::read(stream)).await.map_err(|_| Denial::OpeningDeadline)?;
    read.map_err(|error| match error {
        frames::FrameError::Io(_) => Denial::OpeningAborted,
        frames::FrameError::Malformed => Denial::TunnelMessage,
    })
}

/// The session that a data connection or trunk belongs to.
async fn hear_data(tunnels: &Tunnels, stream: &mut Stream, client: Client) -> Result<Arc<Session>, Denial> {
    let hello: DataHello = read_by(stream, client.deadline).await?;
    let session = tunnels.desk().sessions.get(&SessionId(hello.session)).cloned();
    session.filter(|session| session.has_key(&hello.pool_key)).ok_or(Denial::TunnelUnknown)
}

/// Serves a trunk to its end. One session has one: a newer one ends it.
async fn serve_trunk(session: &Session, stream: Stream) -> Result<(), Denial> {
    let (Line::Pool { trunk, .. }, Stream::Tcp(stream)) = (&session.line, stream) else {
        return Err(Denial::TunnelMessage);
    };
    match trunk.renew().run(stream, None).await {
        Ok(()) | Err(TrunkError::Io(_)) => Ok(()),
        Err(error) => {
            debug!(session = session.id.0, %error, "trunk");
            Err(Denial::TunnelMessage)
        }
    }
}

async fn serve_control(
    tunnels: &Arc<Tunnels>,
    mut stream: Stream,
    binding: Binding,
    client: Client,
    line: impl FnOnce(mpsc::Sender<RelayNote>) -> Line,
) -> Result<(), Denial> {
    let hash = greet(tunnels, &mut stream, binding, &client).await?;
    let open: Open = read_by(&mut stream, client.deadline).await?;
    match admit(tunnels, &open, &hash, client.net, line).await {
        Ok((opened, seat, notes)) => {
            client.pass.establish();
            info!(session = seat.id.0, port = opened.port, "tunnel opened");
            debug!(session = seat.id.0, peer = %client.peer, "its client");
            let written = frames::write(&mut stream, &OpenReply::Opened(opened)).await;
            written.map_err(|_| Denial::OpeningAborted)?;
            let served = keep(tunnels, stream, &seat, notes).await;
            info!(session = seat.id.0, "tunnel closed");
            served
        }
        Err((refusal, denial)) => {
            let reply = OpenReply::Refused(refusal);
            let _ = timeout(LAST_WORD, frames::write(&mut stream, &reply)).await;
            let _ = timeout(LAST_WORD, stream.shutdown()).await;
            // A QUIC connection goes with its last handle: the client reads first, and goes then.
            let _ = timeout(LAST_WORD, stream.read(&mut [0])).await;
            Err(denial)
        }
    }
}

/// Proves the relay's key.
async fn greet(
    tunnels: &Tunnels,
    stream: &mut Stream,
    binding: Binding,
    client: &Client,
) -> Result<GreetingHash, Denial> {
    let mut message = [0; GREETING_BYTES];
    let read = timeout_at(client.deadline, stream.read_exact(&mut message)).await;
    read.map_err(|_| Denial::OpeningDeadline)?.map_err(|_| Denial::OpeningAborted)?;
    lock(&tunnels.relay.admission).spend_handshake(client.net, std::time::Instant::now())?;
    let answered = greeting::answer(tunnels.relay.key.private(), binding, &message);
    let (reply, hash) = answered.map_err(|_| Denial::BadHandshake)?;
    let written = async {
        stream.write_all(&reply).await?;
        stream.flush().await
    };
    written.await.map_err(|_| Denial::OpeningAborted)?;
    Ok(hash)
}

type Refused = (TunnelRefusal, Denial);

/// Decides, and enters the session.
async fn admit<'a>(
    tunnels: &'a Arc<Tunnels>,
    open: &Open,
    hash: &GreetingHash,
    net: SourceNet,
    line: impl FnOnce(mpsc::Sender<RelayNote>) -> Line,
) -> Result<(Opened, Seat<'a>, mpsc::Receiver<RelayNote>), Refused> {
    if open.version != PROTOCOL_VERSION {
        return Err((TunnelRefusal::WrongVersion(PROTOCOL_VERSION), Denial::WrongVersion));
    }
    if lock(&tunnels.relay.hub).is_draining() {
        return Err((TunnelRefusal::Draining, Denial::Draining));
    }
    let Known { owner, quota, proof } = who(tunnels, open, hash, net)?;
    let access = Access::new(&open.manners).map_err(|_| (TunnelRefusal::BadNetwork, Denial::TunnelClaim))?;
    let route = tunnels.desk().book.route(&open.place, &mut rand::rng());
    let route = route.map_err(|refusal| (refusal, Denial::TunnelClaim))?;
    let kind = match route {
        Route::TcpPort(port) => Some((Kind::Tcp, port)),
        Route::UdpPort(port) => Some((Kind::Udp, port)),
        Route::Ingress | Route::Name(_) => None,
    };
    let door = kind.map(|(kind, port)| ports::open(tunnels, kind, port)).transpose();
    let door = door.map_err(|refusal| (refusal, Denial::TunnelClaim))?;
    let route = door.as_ref().map_or(route, |door| door.route.clone());
    let (host, port) = public(tunnels, &route);
    let claim = Claim { owner, quota, run: Some(open.run.into()), net, route };
    let claimed = settle(tunnels, &claim).await?;
    let (notes_tx, notes) = mpsc::channel(NOTES_QUEUE);
    let line = line(notes_tx);
    // By QUIC nothing else is dialled.
    let pool_key = if let Line::Pool { pool_key, .. } = &line { *pool_key } else { random_secret() };
    enter(tunnels, &claimed, open, access, line, door);
    let opened = Opened { session: claimed.session.0, pool_key, host, port, pool: POOL_WANTED, proof };
    Ok((opened, Seat { tunnels, id: claimed.session }, notes))
}

/// Who a client has shown to be.
struct Known {
    owner: Owner,
    quota: Quota,
    /// That the relay knows the token too.
    proof: Option<TunnelSecret>,
}

fn who(tunnels: &Tunnels, open: &Open, hash: &GreetingHash, net: SourceNet) -> Result<Known, Refused> {
    let tokens = tunnels.tokens();
    if tokens.is_empty() {
        return Ok(Known { owner: Owner::Run(open.run.into()), quota: Quota::default(), proof: None });
    }
    let now = std::time::Instant::now();
    let mut admission = lock(&tunnels.relay.admission);
    admission.may_try_secret(net, now).map_err(|denial| (TunnelRefusal::TooMany, denial))?;
    let prove = |by, token: &TunnelToken| proof::prove(by, token.secret.bytes(), hash, &open.run);
    let is_right = |token: &&TunnelToken| {
        open.proof.is_some_and(|shown| proof::is_same(&shown, &prove(Prover::Client, token)))
    };
    // All are tried, so that the time does not tell which.
    let right = tokens.iter().filter(is_right).fold(None, |_, token| Some(token));
    let Some(token) = right else {
        admission.wrong_secret(net, now);
        return Err((TunnelRefusal::WrongToken, Denial::TunnelToken));
    };
    Ok(Known {
        owner: Owner::Token(token.id()),
        quota: token.quota,
        proof: Some(prove(Prover::Relay, token)),
    })
}

/// Where visitors come in, as far as the relay knows it.
fn public(tunnels: &Tunnels, route: &Route) -> (Option<String>, u16) {
    let ip = tunnels.public_ip.map(|ip| ip.to_string());
    match route {
        Route::Ingress => (ip, tunnels.ingress.port()),
        Route::Name(name) => (Some(name.to_string()), tunnels.ingress.port()),
        Route::TcpPort(port) | Route::UdpPort(port) => (ip, *port),
    }
}

/// Claims a route. Who holds it has to show that it lives, or loses it.
async fn settle(tunnels: &Tunnels, claim: &Claim) -> Result<Claimed, Refused> {
    let until = Instant::now() + SIGN_OF_LIFE;
    let mut asked = false;
    loop {
        let contested = match tunnels.desk().book.claim(claim.clone()) {
            Ok(claimed) => return Ok(claimed),
            Err(ClaimError::Denied(denial)) => return Err((TunnelRefusal::TooMany, denial)),
            Err(ClaimError::Contested(contested)) => contested,
        };
        if asked {
            return Err((TunnelRefusal::Taken, Denial::TunnelClaim));
        }
        asked = true;
        question(tunnels, &contested);
        let is_doubted = || {
            let desk = tunnels.desk();
            contested.iter().any(|id| desk.book.is_doubted(*id))
        };
        while is_doubted() && Instant::now() < until {
            tokio::time::sleep(SIGN_STEP).await;
        }
    }
}

/// Asks sessions for a sign of life. Those that speak yamux cannot be asked, and yield to nobody but their like.
fn question(tunnels: &Tunnels, ids: &[SessionId]) {
    let mut desk = tunnels.desk();
    for id in ids {
        if let Some(session) = desk.sessions.get(id).cloned()
            && !matches!(session.line, Line::Yamux(_))
        {
            desk.book.doubt(*id);
            session.note(RelayNote::Ping);
        }
    }
}

fn enter(
    tunnels: &Tunnels,
    claimed: &Claimed,
    open: &Open,
    access: Access,
    line: Line,
    door: Option<Arc<Door>>,
) {
    let session = Session {
        id: claimed.session,
        access,
        manners: open.manners.clone(),
        line,
        revoked: CancellationToken::new(),
        _door: door,
    };
    let mut desk = tunnels.desk();
    for id in &claimed.replaced {
        if let Some(old) = desk.sessions.remove(id) {
            old.note(RelayNote::Replaced);
        }
    }
    desk.sessions.insert(claimed.session, Arc::new(session));
    let siblings = desk.book.siblings(claimed.session);
    drop(desk);
    // One of them may be a connection that died in silence, and this its successor.
    question(tunnels, &siblings);
}

/// Speaks with the client until it leaves.
async fn keep(
    tunnels: &Tunnels,
    stream: Stream,
    seat: &Seat<'_>,
    mut notes: mpsc::Receiver<RelayNote>,
) -> Result<(), Denial> {
    let Some(session) = tunnels.desk().sessions.get(&seat.id).cloned() else { return Ok(()) };
    let waiting = async || match &session.line {
        Line::Pool { pool, .. } => {
            pool.wanted.notified().await;
            pool.waiting()
        }
        Line::Quic { .. } | Line::Yamux(_) => pending().await,
    };
    let (mut read, mut write) = split(stream);
    let heard = async {
        loop {
            let note = match timeout(SILENCE, frames::read(&mut read)).await {
                Err(_) => return Err(Denial::TunnelSilent),
                Ok(Err(frames::FrameError::Malformed)) => return Err(Denial::TunnelMessage),
                Ok(Err(frames::FrameError::Io(_))) => return Ok(()),
                Ok(Ok(note)) => note,
            };
            let mut desk = tunnels.desk();
            desk.book.heard(seat.id);
            match note {
                ClientNote::Pong => {}
                ClientNote::Leaving => desk.book.leave(seat.id),
                ClientNote::Healthy(healthy) => desk.book.set_health(seat.id, healthy),
            }
        }
    };
    let said = async {
        let mut pings = interval(PING);
        loop {
            let note = tokio::select! {
                Some(note) = notes.recv() => note,
                waiting = waiting() => match waiting {
                    0 => continue,
                    waiting => RelayNote::Dial(waiting),
                },
                _ = pings.tick() => RelayNote::Ping,
            };
            match timeout(SILENCE, frames::write(&mut write, &note)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Ok(()),
                Err(_) => return Err(Denial::TunnelSilent),
            }
            if note == RelayNote::Replaced {
                // The client closes, and is given a moment to.
                sleep_until(Instant::now() + LAST_WORD).await;
                return Ok(());
            }
        }
    };
    tokio::select! {
        ended = heard => ended,
        ended = said => ended,
        () = session.revoked.cancelled() => Err(Denial::TunnelToken),
    }
}
