//! The window's reverse tunnels: which there are, which run, and how they fare. On a runtime of its own, so that what
//! they carry never holds up a session.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tagio_tunnel::{
    client::{self, ClientConfig, ClientError, ClientEvent},
    inspect::Recorder,
    pipe::Meter,
};
use tagio_wire::{PublicKey, tunnel::TunnelRefusal};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    sentences,
    status::{TunnelCommand, TunnelId, TunnelState, TunnelStatus, Tunnels},
};
use crate::config::{SavedTunnel, TUNNELS_MAX};

/// How often traffic and requests are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Events of clients that wait: they come seconds apart.
const EVENTS_QUEUE: usize = 64;
/// How long visitors may stay when a tunnel is stopped.
const DRAIN: Duration = Duration::from_secs(2);
/// How long the tunnels may take when the window is closed.
const GOODBYE: Duration = Duration::from_secs(3);

/// What the tunnels need of the program around them.
pub trait Clients: Send {
    /// How to be this tunnel's client.
    ///
    /// # Errors
    /// Why it cannot be one, for people.
    fn config(&self, tunnel: &SavedTunnel) -> anyhow::Result<ClientConfig>;

    /// The relay of this tunnel has proven its key.
    fn proven(&self, tunnel: &SavedTunnel, key: PublicKey);
}

/// Keeps the tunnels until the commands end.
pub async fn run(
    data_dir: PathBuf,
    clients: Box<dyn Clients>,
    mut commands: mpsc::Receiver<TunnelCommand>,
    status: watch::Sender<Tunnels>,
) {
    let (saved, warnings) = SavedTunnel::load(&data_dir);
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let (news, mut events) = mpsc::channel(EVENTS_QUEUE);
    let mut keeper = Keeper {
        data_dir,
        clients,
        tunnels: Vec::new(),
        last_id: 0,
        problem: None,
        news,
        running: JoinSet::new(),
    };
    for tunnel in saved {
        let starts_itself = tunnel.starts_itself;
        let id = keeper.insert(tunnel);
        if starts_itself {
            keeper.start(id);
        }
    }
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        keeper.publish(&status);
        tokio::select! {
            command = commands.recv() => match command {
                Some(command) => keeper.on_command(command),
                None => break,
            },
            Some((id, run, event)) = events.recv() => keeper.on_event(id, run, event),
            Some(_) = keeper.running.join_next() => {}
            _ = look.tick(), if keeper.is_busy() => {}
        }
    }
    keeper.goodbye().await;
}

/// Why a tunnel was given up, as a sentence.
fn problem(error: &ClientError) -> String {
    match error {
        ClientError::Refused(TunnelRefusal::WrongToken) => sentences::wrong_tunnel_token(),
        other => sentences::sentence(other),
    }
}

/// What a client's task reports: which tunnel, which of its runs, and what.
type News = (TunnelId, u64, Event);

enum Event {
    Client(ClientEvent),
    /// It has ended: with a sentence, where it was not asked to.
    Over(Option<String>),
}

struct Keeper {
    data_dir: PathBuf,
    clients: Box<dyn Clients>,
    tunnels: Vec<Tunnel>,
    last_id: u64,
    /// A sentence, when the file could not be written.
    problem: Option<String>,
    news: mpsc::Sender<News>,
    running: JoinSet<()>,
}

struct Tunnel {
    id: TunnelId,
    saved: SavedTunnel,
    state: TunnelState,
    meter: Arc<Meter>,
    recorder: Arc<Recorder>,
    /// Stops the client that runs; with the number of its run.
    stop: Option<(CancellationToken, u64)>,
}

impl Keeper {
    fn insert(&mut self, saved: SavedTunnel) -> TunnelId {
        self.last_id += 1;
        let id = TunnelId(self.last_id);
        self.tunnels.push(Tunnel {
            id,
            saved,
            state: TunnelState::Stopped,
            meter: Arc::default(),
            recorder: Recorder::new(),
            stop: None,
        });
        id
    }

    fn find(&mut self, id: TunnelId) -> Option<&mut Tunnel> {
        self.tunnels.iter_mut().find(|tunnel| tunnel.id == id)
    }

    fn is_busy(&self) -> bool {
        self.tunnels.iter().any(|tunnel| tunnel.stop.is_some())
    }

    fn on_command(&mut self, command: TunnelCommand) {
        match command {
            TunnelCommand::Add(saved) => {
                if self.tunnels.len() >= TUNNELS_MAX {
                    self.problem = Some(format!("{TUNNELS_MAX} tunnels are the most. Remove one first."));
                    return;
                }
                let id = self.insert(saved);
                self.save();
                self.start(id);
            }
            TunnelCommand::Change(id, saved) => {
                let Some(tunnel) = self.find(id) else { return };
                tunnel.saved = saved;
                let is_running = tunnel.stop.is_some();
                self.save();
                if is_running {
                    self.stop(id);
                    self.start(id);
                }
            }
            TunnelCommand::Remove(id) => {
                self.stop(id);
                self.tunnels.retain(|tunnel| tunnel.id != id);
                self.save();
            }
            TunnelCommand::Start(id) => self.start(id),
            TunnelCommand::Stop(id) => self.stop(id),
            TunnelCommand::ForgetRequests(id) => {
                if let Some(tunnel) = self.find(id) {
                    tunnel.recorder.clear();
                }
            }
        }
    }

    fn save(&mut self) {
        let saved: Vec<_> = self.tunnels.iter().map(|tunnel| tunnel.saved.clone()).collect();
        self.problem = SavedTunnel::save(&saved, &self.data_dir).err().map(|error| format!("{error:#}."));
    }

    fn start(&mut self, id: TunnelId) {
        self.last_id += 1;
        let run = self.last_id;
        let news = self.news.clone();
        let Some(tunnel) = self.tunnels.iter_mut().find(|tunnel| tunnel.id == id) else { return };
        if tunnel.stop.is_some() {
            return;
        }
        let config = match self.clients.config(&tunnel.saved) {
            Ok(config) => config,
            Err(error) => return tunnel.state = TunnelState::Failed(format!("{error:#}.")),
        };
        let config = ClientConfig {
            meter: Arc::clone(&tunnel.meter),
            recorder: Some(Arc::clone(&tunnel.recorder)),
            drain: DRAIN,
            ..config
        };
        let stop = CancellationToken::new();
        tunnel.state = TunnelState::Starting;
        tunnel.stop = Some((stop.clone(), run));
        self.running.spawn(async move {
            let (events_tx, mut events) = mpsc::channel(EVENTS_QUEUE);
            let client = client::run(config, events_tx, stop);
            tokio::pin!(client);
            let over = loop {
                tokio::select! {
                    ended = &mut client => break ended.err().map(|error| problem(&error)),
                    Some(event) = events.recv() => drop(news.send((id, run, Event::Client(event))).await),
                }
            };
            // Nobody waits for it when the window is gone.
            news.send((id, run, Event::Over(over))).await.ok();
        });
    }

    /// Its visitors may finish; to a person it has stopped.
    fn stop(&mut self, id: TunnelId) {
        let Some(tunnel) = self.find(id) else { return };
        if let Some((stop, _)) = tunnel.stop.take() {
            stop.cancel();
        }
        tunnel.state = TunnelState::Stopped;
    }

    /// What an earlier run says means nothing any more.
    fn on_event(&mut self, id: TunnelId, run: u64, event: Event) {
        let is_meant =
            |tunnel: &&mut Tunnel| tunnel.id == id && tunnel.stop.as_ref().is_some_and(|(_, at)| *at == run);
        let Some(tunnel) = self.tunnels.iter_mut().find(is_meant) else { return };
        tunnel.state = match event {
            Event::Client(ClientEvent::Opened(standing)) => {
                self.clients.proven(&tunnel.saved, standing.relay_key);
                TunnelState::Open(standing.public)
            }
            Event::Client(ClientEvent::Down(problem)) => TunnelState::Down(sentences::as_sentence(&problem)),
            Event::Over(problem) => {
                tunnel.stop = None;
                problem.map_or(TunnelState::Stopped, TunnelState::Failed)
            }
        };
    }

    fn publish(&self, status: &watch::Sender<Tunnels>) {
        let now = Tunnels {
            list: self.tunnels.iter().map(Tunnel::status).collect(),
            problem: self.problem.clone(),
        };
        status.send_if_modified(|told| {
            let is_news = *told != now;
            *told = now;
            is_news
        });
    }

    async fn goodbye(mut self) {
        for tunnel in &mut self.tunnels {
            if let Some((stop, _)) = tunnel.stop.take() {
                stop.cancel();
            }
        }
        // Time over: what is left is cut.
        timeout(GOODBYE, async { while self.running.join_next().await.is_some() {} }).await.ok();
    }
}

impl Tunnel {
    fn status(&self) -> TunnelStatus {
        TunnelStatus {
            id: self.id,
            saved: self.saved.clone(),
            state: self.state.clone(),
            inward: self.meter.inward.load(Ordering::Relaxed),
            outward: self.meter.outward.load(Ordering::Relaxed),
            requests: self.recorder.list(),
        }
    }
}
