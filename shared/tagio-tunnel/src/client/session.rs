//! A control connection: how a tunnel is opened, kept alive and left.

use std::{sync::Arc, time::Duration};

use tagio_wire::{
    limits::PROTOCOL_VERSION,
    tunnel::{
        ClientNote, Open, OpenReply, Opened, RelayNote, TUNNEL_SILENCE_SECS, TunnelPreface, TunnelSecret,
    },
};
use tokio::{
    io::AsyncWriteExt,
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::JoinSet,
    time::{Instant, interval, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{
    AttemptError, ClientConfig,
    pool::{Link, Pool},
    targets::Targets,
};
use crate::{frames, proof, tuning};

/// Time for connecting and opening together: four round trips over a satellite with loss.
const OPENING: Duration = Duration::from_secs(10);
/// A relay that is silent for this long is gone.
const SILENCE: Duration = Duration::from_secs(TUNNEL_SILENCE_SECS as u64);
/// How often several local targets are checked.
const CHECK: Duration = Duration::from_secs(3);
/// Notes that wait to be acted upon: each is done at once.
const NOTES_QUEUE: usize = 16;

/// A tunnel that stands.
pub(super) struct Session {
    stream: TcpStream,
    opened: Opened,
    config: ClientConfig,
    at: std::net::SocketAddr,
}

/// How a session ended.
pub(super) enum Ended {
    /// It was to stop, and has.
    Stopped,
    /// A newer run has its place.
    Replaced,
    /// The relay is gone: why.
    Lost(String),
}

impl Session {
    /// Connects and asks for the tunnel.
    pub(super) async fn open(config: &ClientConfig, run: TunnelSecret) -> Result<Self, AttemptError> {
        timeout(OPENING, Self::try_open(config, run)).await.map_err(|_| AttemptError::Silent)?
    }

    async fn try_open(config: &ClientConfig, run: TunnelSecret) -> Result<Self, AttemptError> {
        let stream = TcpStream::connect((config.host.as_str(), config.port)).await;
        let mut stream = stream.map_err(AttemptError::Connect)?;
        tuning::tune(&stream);
        let at = stream.peer_addr().map_err(AttemptError::Connect)?;
        stream.write_all(&TunnelPreface::Control.bytes()).await.map_err(AttemptError::Connect)?;
        let RelayNote::Challenge(challenge) = frames::read(&mut stream).await? else {
            return Err(frames::FrameError::Malformed.into());
        };
        let prove = |token: &zeroize::Zeroizing<String>| proof::prove(token.as_bytes(), &challenge, &run);
        let open = Open {
            version: PROTOCOL_VERSION,
            run,
            proof: config.token.as_ref().map(prove),
            place: config.place.clone(),
            manners: config.manners.clone(),
        };
        frames::write(&mut stream, &open).await.map_err(AttemptError::Connect)?;
        match frames::read(&mut stream).await? {
            OpenReply::Opened(opened) => Ok(Self { stream, opened, config: config.clone(), at }),
            OpenReply::Refused(refusal) => Err(AttemptError::Refused(refusal)),
        }
    }

    /// Where visitors come in.
    pub(super) fn public(&self, dialled: &str) -> String {
        let host = self.opened.host.as_deref().unwrap_or(dialled);
        if host.contains(':') {
            format!("[{host}]:{}", self.opened.port)
        } else {
            format!("{host}:{}", self.opened.port)
        }
    }

    /// Serves visitors until the connection ends.
    pub(super) async fn serve(self, stop: &CancellationToken) -> Ended {
        let Self { stream, opened, config, at } = self;
        let (read, write) = stream.into_split();
        let (notes_tx, notes) = mpsc::channel(NOTES_QUEUE);
        let mut tasks = JoinSet::new();
        tasks.spawn(read_notes(read, notes_tx));
        let targets = Arc::new(Targets::new(config.targets));
        let link = Link {
            at,
            session: opened.session,
            pool_key: opened.pool_key,
            targets: Arc::clone(&targets),
            meter: config.meter,
        };
        let pool = Pool::new(link, opened.pool.into());
        Serving { write, notes, pool, targets, healthy: true, tasks }.run(stop, config.drain).await
    }
}

/// A session's parts while it serves. All its tasks end with it.
struct Serving {
    write: OwnedWriteHalf,
    notes: mpsc::Receiver<RelayNote>,
    pool: Pool,
    targets: Arc<Targets>,
    /// What the relay was told last.
    healthy: bool,
    /// The reader, and checks that are under way.
    tasks: JoinSet<()>,
}

impl Serving {
    async fn run(mut self, stop: &CancellationToken, drain: Duration) -> Ended {
        let mut checks = interval(CHECK);
        let mut silent_at = Instant::now() + SILENCE;
        let mut leave_until = None;
        self.pool.fill();
        loop {
            tokio::select! {
                note = self.notes.recv() => {
                    silent_at = Instant::now() + SILENCE;
                    let Some(note) = note else { return Ended::Lost("the relay closed the connection".to_owned()) };
                    if let Some(ended) = self.on_note(note).await {
                        return ended;
                    }
                }
                () = self.pool.changed() => self.pool.fill(),
                _ = checks.tick() => self.check().await,
                () = sleep_until(silent_at) => return Ended::Lost("the relay is silent".to_owned()),
                () = stop.cancelled(), if leave_until.is_none() => {
                    info!(visitors = self.pool.visits(), "leaving");
                    leave_until = Some(Instant::now() + drain);
                    self.pool.close();
                    self.say(ClientNote::Leaving).await;
                }
                () = sleep_until(leave_until.unwrap_or(silent_at)), if leave_until.is_some() => return Ended::Stopped,
            }
            if leave_until.is_some() && self.pool.visits() == 0 {
                return Ended::Stopped;
            }
        }
    }

    async fn on_note(&mut self, note: RelayNote) -> Option<Ended> {
        match note {
            RelayNote::Ping => self.say(ClientNote::Pong).await,
            RelayNote::Dial(count) => self.pool.dial(count.into()),
            RelayNote::Draining => {
                info!("the relay is about to stop");
                self.pool.close();
            }
            RelayNote::Replaced => return Some(Ended::Replaced),
            // Only ever the first note.
            RelayNote::Challenge(_) => return Some(Ended::Lost("the relay makes no sense".to_owned())),
        }
        None
    }

    /// Says it. A connection that takes nothing is noticed by its reader or its silence.
    async fn say(&mut self, note: ClientNote) {
        if let Ok(Err(error)) = timeout(SILENCE, frames::write(&mut self.write, &note)).await {
            debug!(%error, "the relay does not read");
        }
    }

    /// Looks after the local targets. A single one has no substitute: it is not bothered.
    async fn check(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        // The reader is always there.
        if self.targets.list().len() > 1 && self.tasks.len() == 1 {
            let targets = Arc::clone(&self.targets);
            self.tasks.spawn(async move {
                for index in 0..targets.list().len() {
                    let reached = super::data::connect(&targets.list()[index]).await;
                    targets.set_up(index, reached.is_ok());
                }
            });
        }
        let healthy = self.targets.any_up();
        if healthy != self.healthy {
            self.healthy = healthy;
            self.say(ClientNote::Healthy(healthy)).await;
        }
    }
}

async fn read_notes(mut read: OwnedReadHalf, notes: mpsc::Sender<RelayNote>) {
    while let Ok(note) = frames::read(&mut read).await {
        if notes.send(note).await.is_err() {
            return;
        }
    }
}
