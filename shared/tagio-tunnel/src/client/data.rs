//! One data connection: made ahead, waits for its visitor, brings it to a local target.

use std::{future::pending, io, net::SocketAddr, sync::Arc, time::Duration};

use tagio_wire::tunnel::{Carries, DataHello, POOL_IDLE_SECS, TunnelPreface, Visit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{
    connect::{self, Way},
    flow,
    pool::{Entry, Link, Stage},
    targets::{Target, VisitGuard},
};
use crate::{
    frames, inspect,
    pipe::{self, End},
    stream::Stream,
    trunk::Visitor,
    tuning,
};

/// Time to reach the relay.
pub(super) const RELAY_CONNECT: Duration = Duration::from_secs(10);
/// Time to reach a local target.
const LOCAL_CONNECT: Duration = Duration::from_secs(5);
/// Time for the rest of a visit's frame once its first byte is there.
const FRAME: Duration = Duration::from_secs(5);
/// A relay that cannot be reached, or does not want the connection, is not tried again in the same place sooner.
const DIAL_PAUSE: Duration = Duration::from_millis(300);
/// A connection that waits for longer goes, if more wait than are wanted.
const SURPLUS: Duration = Duration::from_secs(POOL_IDLE_SECS as u64);

/// Serves one connection to its end.
pub(super) async fn serve(link: Arc<Link>, mut entry: Entry, idle_wanted: usize) {
    let dialled = timeout(RELAY_CONNECT, dial(&link, TunnelPreface::Data)).await;
    let mut stream = match dialled.map_err(io::Error::from).flatten() {
        Ok(stream) => stream,
        Err(error) => {
            debug!(%error, "no data connection");
            return sleep(DIAL_PAUSE).await;
        }
    };
    entry.enter(Stage::Idle);
    let visit = match wait(&mut stream, &entry, idle_wanted).await {
        Ok(Some(visit)) => visit,
        Ok(None) => return,
        Err(error) => {
            debug!(%error, "a waiting data connection ended");
            return sleep(DIAL_PAUSE).await;
        }
    };
    entry.enter(Stage::Visit);
    attend(&link, stream, &visit).await;
}

/// Serves a visitor on a stream that the relay has opened.
pub(super) async fn serve_opened(link: Arc<Link>, _entry: Entry, mut stream: Stream) {
    // Its first bytes may wait behind those of many others.
    match timeout(SURPLUS, frames::read(&mut stream)).await {
        Ok(Ok(visit)) => attend(&link, stream, &visit).await,
        Ok(Err(_)) | Err(_) => stream.abort(),
    }
}

async fn attend(link: &Link, stream: Stream, visit: &Visit) {
    match visit.carries {
        Carries::Stream => serve_stream(link, stream, visit).await,
        Carries::Datagrams => serve_flow(link, stream, visit).await,
        // A visit that knows nothing of it has no use for it.
        Carries::Rest => {
            if let Stream::Tcp(stream) = stream {
                link.trunk.hand_over(visit.request, stream);
            }
        }
    }
}

/// Makes a connection of this kind for the session.
pub(super) async fn dial(link: &Link, preface: TunnelPreface) -> io::Result<Stream> {
    let Way::Dialled { at, tls } = &link.way else { return Err(io::ErrorKind::Unsupported.into()) };
    let stream = TcpStream::connect(at).await?;
    tuning::tune(&stream);
    let mut stream = connect::wrap(stream, tls.as_ref()).await?;
    let hello = DataHello { session: link.session, pool_key: link.pool_key };
    stream.write_all(&[&preface.bytes()[..], &frames::frame(&hello)].concat()).await?;
    stream.flush().await?;
    Ok(stream)
}

/// Waits for a visitor; `None` when too many wait.
async fn wait(
    stream: &mut Stream,
    entry: &Entry,
    idle_wanted: usize,
) -> Result<Option<Visit>, frames::FrameError> {
    loop {
        // A single byte: nothing is lost when the time is up before it.
        match timeout(SURPLUS, stream.read_u8()).await {
            Ok(first) => {
                let frame = timeout(FRAME, frames::read_after(first?, stream)).await;
                return frame.map_err(io::Error::from)?.map(Some);
            }
            Err(_) if entry.census().idle() > idle_wanted => return Ok(None),
            Err(_) => {}
        }
    }
}

async fn serve_stream(link: &Link, mut stream: Stream, visit: &Visit) {
    let Some(reached) = reach(link, visit.request, visit.from).await else { return stream.abort() };
    let passed = pass(link, stream, reached.local, reached.target).await;
    log_end(visit.request, &passed);
}

/// Serves a visitor that has come by the trunk. Its lane is reset where nobody answers.
pub(super) async fn serve_visitor(link: Arc<Link>, _entry: Entry, visitor: Visitor) {
    let Visitor { request, from, lane, rest } = visitor;
    let Some(mut reached) = reach(&link, request, from).await else { return };
    // It is the relay that sees to the rest.
    let flowing = Notify::new();
    let rest = async {
        match rest.await {
            Ok(stream) => stream,
            // The trunk has ended, and the lane with it.
            Err(_) => pending().await,
        }
    };
    let joined = pipe::join_lane(&mut reached.local, lane, End::Client, &flowing, rest, &link.meter).await;
    log_end(request, &joined);
}

fn log_end(request: u64, ended: &io::Result<()>) {
    match ended {
        Ok(()) => debug!(request, "visitor left"),
        Err(error) => debug!(request, %error, "visitor cut off"),
    }
}

/// A local service that answers.
struct Reached<'a> {
    local: TcpStream,
    target: &'a Target,
    _visit: VisitGuard<'a>,
}

/// Finds one for a visitor.
async fn reach(link: &Link, request: u64, from: SocketAddr) -> Option<Reached<'_>> {
    for index in link.targets.in_order() {
        let target = &link.targets.list()[index];
        match connect(target).await {
            Ok(local) => {
                link.targets.set_up(index, true);
                let visit = link.targets.begin_visit(index);
                debug!(request, %from, %target, "visitor");
                tuning::tune(&local);
                return Some(Reached { local, target, _visit: visit });
            }
            Err(error) => {
                link.targets.set_up(index, false);
                warn!(request, %target, %error, "the local service does not answer");
            }
        }
    }
    None
}

/// Moves a visitor's bytes; requests are recorded on the way where somebody wants to look at them.
async fn pass(link: &Link, mut stream: Stream, mut local: TcpStream, target: &Target) -> io::Result<()> {
    if let Some(recorder) = &link.recorder {
        let mut head = Vec::with_capacity(1024);
        if inspect::is_http(&mut stream, &mut head).await? {
            return inspect::serve(stream, head, local, target.clone(), Arc::clone(recorder)).await;
        }
        local.write_all(&head).await?;
    }
    pipe::join_stream(&mut local, &mut stream, End::Client, &link.meter).await
}

async fn serve_flow(link: &Link, stream: Stream, visit: &Visit) {
    let Visit { request, from, .. } = visit;
    let index = link.targets.in_order()[0];
    let target = &link.targets.list()[index];
    let _visit = link.targets.begin_visit(index);
    debug!(request, %from, %target, "flow");
    let ended = flow::carry(stream, target, &link.meter).await;
    debug!(request, ?ended, "flow ended");
}

/// Reaches a local target.
pub(crate) async fn connect(target: &Target) -> io::Result<TcpStream> {
    timeout(LOCAL_CONNECT, TcpStream::connect((target.host.as_str(), target.port))).await?
}
