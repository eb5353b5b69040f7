//! A control connection: how a tunnel is opened, kept alive and left.

use std::{sync::Arc, time::Duration};

use tagio_wire::{
    limits::PROTOCOL_VERSION,
    tunnel::{ClientNote, Open, OpenReply, Opened, RelayNote, TUNNEL_SILENCE_SECS, TunnelSecret},
};
use tokio::{
    io::{ReadHalf, WriteHalf, split},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, interval, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{
    AttemptError, ClientConfig, Standing,
    connect::{self, Met},
    pool::{Link, Pool},
    targets::Targets,
};
use crate::{
    frames,
    proof::{self, Prover},
    stream::Stream,
    trunk::TrunkSlot,
};

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
    met: Met,
    opened: Opened,
    config: ClientConfig,
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
        let mut met = connect::meet(config).await?;
        let prove = |by| {
            let token = config.token.as_ref()?;
            Some(proof::prove(by, token.as_bytes(), &met.hash, &run))
        };
        let (ours, expected) = (prove(Prover::Client), prove(Prover::Relay));
        let open = Open {
            version: PROTOCOL_VERSION,
            run,
            proof: ours,
            place: config.place.clone(),
            manners: config.manners.clone(),
        };
        frames::write(&mut met.stream, &open).await.map_err(AttemptError::Connect)?;
        let opened = match frames::read(&mut met.stream).await? {
            OpenReply::Opened(opened) => opened,
            OpenReply::Refused(refusal) => return Err(AttemptError::Refused(refusal)),
        };
        let is_proven = |expected| opened.proof.is_some_and(|shown| proof::is_same(&shown, expected));
        // A key that was expected, and is proven, needs no second proof.
        if config.key.is_none() && !expected.as_ref().is_none_or(is_proven) {
            return Err(AttemptError::NoProof);
        }
        Ok(Self { met, opened, config: config.clone() })
    }

    /// What may be told of it; `dialled` is the relay's name on this side.
    pub(super) fn standing(&self, dialled: &str) -> Standing {
        let host = self.opened.host.as_deref().unwrap_or(dialled);
        let port = self.opened.port;
        let public = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Standing { public, carrier: self.met.way.carrier(), relay_key: self.met.relay_key }
    }

    /// Serves visitors until the connection ends.
    pub(super) async fn serve(self, stop: &CancellationToken) -> Ended {
        let Self { met, opened, config } = self;
        let (read, write) = split(met.stream);
        let (notes_tx, notes) = mpsc::channel(NOTES_QUEUE);
        let mut tasks = JoinSet::new();
        tasks.spawn(read_notes(read, notes_tx));
        let targets = Arc::new(Targets::new(config.targets));
        let link = Link {
            way: met.way,
            session: opened.session,
            pool_key: opened.pool_key,
            targets: Arc::clone(&targets),
            meter: config.meter,
            recorder: config.recorder,
            trunk: TrunkSlot::default(),
        };
        let pool = Pool::new(link, opened.pool.into());
        Serving { write, notes, pool, targets, healthy: true, tasks }.run(stop, config.drain).await
    }
}

/// A session's parts while it serves. All its tasks end with it.
struct Serving {
    write: WriteHalf<Stream>,
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
                arrival = self.pool.next() => match arrival {
                    Ok(Some(arrival)) => self.pool.receive(arrival),
                    Ok(None) => self.pool.fill(),
                    Err(error) => return Ended::Lost(format!("the relay is gone: {error}")),
                },
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

async fn read_notes(mut read: ReadHalf<Stream>, notes: mpsc::Sender<RelayNote>) {
    while let Ok(note) = frames::read(&mut read).await {
        if notes.send(note).await.is_err() {
            return;
        }
    }
}
