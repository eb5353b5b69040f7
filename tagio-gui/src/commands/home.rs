//! No subcommand: the window, and this computer as a host behind it.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use tagio_process::spawn_named;
use tagio_session::{StoredSecret, check_password};
use tagio_wire::session::Permission;
use tokio::sync::{mpsc, watch};

use super::{Base, tunnel::WindowClients};
use crate::{
    app::{self, ConnectRequest, HomeParts, HostHandle, TunnelsHandle, Wake},
    cli::Common,
    engine::{
        self,
        host::{self, HostConfig, Outlets},
        status::{HostCommand, Tunnels},
        tunnels,
    },
    host::capture,
};

/// Commands of the window that wait for the engine.
const COMMANDS_QUEUE: usize = 64;
/// Threads that carry tunnels: sessions on the same computer need the others.
const TUNNEL_THREADS: usize = 2;
/// How long the engine may take to say goodbye once the window is closed.
const GOODBYE: Duration = Duration::from_secs(4);

pub(super) fn run(base: Base) -> anyhow::Result<()> {
    let settings = &base.settings;
    let password = settings.password.as_deref().and_then(|bytes| {
        StoredSecret::from_bytes(bytes).inspect_err(|error| tracing::warn!("{error}")).ok()
    });
    let config = HostConfig {
        relay: Some(base.registration()?),
        follows_settings: base.common.relay.is_none(),
        listen: None,
        lan: settings.lan,
        password,
        ask: settings.ask,
        permission: if settings.control { Permission::Control } else { Permission::View },
        permission_max: Permission::Control,
        ports: settings.ports.policy(),
        name: settings.name.clone(),
        identity: base.identity.clone(),
        data_dir: base.data_dir.clone(),
    };
    let wake = Wake::default();
    let (status_tx, status) = watch::channel(host::initial_status());
    let (commands, commands_rx) = mpsc::channel(COMMANDS_QUEUE);
    let done = spawn_engine(config, commands_rx, status_tx, wake.clone())?;
    let (tunnels, tunnels_done) = spawn_tunnels(base.data_dir.clone(), wake.clone())?;
    let mut sessions = Sessions::new(&base);
    let parts = HomeParts {
        host: HostHandle { status, commands, wake },
        tunnels,
        connect: Box::new(move |request| sessions.open(&request)),
        seal_password: Arc::new(|text| Ok(StoredSecret::create(&check_password(text)?)?.to_bytes().to_vec())),
        data_dir: base.data_dir,
    };
    app::run_home(parts).map_err(|error| anyhow::anyhow!("no window: {error}"))?;
    // Disconnected is done too.
    tunnels_done.recv_timeout(GOODBYE).ok();
    done.recv_timeout(GOODBYE).context("the host did not end in time")?
}

/// The thread that is the host, while the main thread runs the window.
fn spawn_engine(
    config: HostConfig,
    commands: mpsc::Receiver<HostCommand>,
    status: watch::Sender<crate::engine::status::HostStatus>,
    wake: Wake,
) -> anyhow::Result<std::sync::mpsc::Receiver<anyhow::Result<()>>> {
    let (done_tx, done) = std::sync::mpsc::sync_channel(1);
    spawn_named("engine", move || {
        let outcome = engine::runtime().context("no runtime").and_then(|runtime| {
            runtime.block_on(async {
                let mut changes = status.subscribe();
                // The window reads snapshots; nobody needs the single events.
                let (events, _) = mpsc::channel(1);
                let served = host::run(config, Box::new(capture::open), commands, Outlets { status, events });
                tokio::pin!(served);
                loop {
                    tokio::select! {
                        outcome = &mut served => return outcome,
                        Ok(()) = changes.changed() => {
                            changes.mark_unchanged();
                            wake.wake();
                        }
                    }
                }
            })
        });
        // Nobody waits for it when the window was killed.
        done_tx.send(outcome).ok();
    })?;
    Ok(done)
}

/// The thread of the tunnels, with a runtime of its own. The receiver hears when it has ended.
fn spawn_tunnels(
    data_dir: PathBuf,
    wake: Wake,
) -> anyhow::Result<(TunnelsHandle, std::sync::mpsc::Receiver<()>)> {
    let (status_tx, status) = watch::channel(Tunnels::default());
    let (commands, commands_rx) = mpsc::channel(COMMANDS_QUEUE);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(TUNNEL_THREADS)
        .enable_all()
        .build()
        .context("no runtime")?;
    let (done_tx, done) = std::sync::mpsc::sync_channel(1);
    let mut changes = status.clone();
    let clients = Box::new(WindowClients { data_dir: data_dir.clone() });
    spawn_named("tunnels", move || {
        runtime.block_on(async {
            let kept = tunnels::run(data_dir, clients, commands_rx, status_tx);
            tokio::pin!(kept);
            loop {
                tokio::select! {
                    () = &mut kept => break,
                    Ok(()) = changes.changed() => {
                        changes.mark_unchanged();
                        wake.wake();
                    }
                }
            }
        });
        // Nobody waits for it when the window was killed.
        done_tx.send(()).ok();
    })?;
    Ok((TunnelsHandle { status, commands }, done))
}

/// Sessions as a viewer: each is a process of its own, so that none can take another or the host down.
struct Sessions {
    common: Common,
    data_dir: PathBuf,
    running: Vec<Child>,
}

impl Sessions {
    fn new(base: &Base) -> Self {
        Self { common: base.common.clone(), data_dir: base.data_dir.clone(), running: Vec::new() }
    }

    fn open(&mut self, request: &ConnectRequest) -> anyhow::Result<()> {
        // Those that ended are taken off the system's list.
        self.running.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        let program = std::env::current_exe().context("this program's own file is not to be found")?;
        let mut command = Command::new(program);
        command.arg("client").arg(request.target.to_string()).arg("--data-dir").arg(&self.data_dir);
        if let Some(relay) = &self.common.relay {
            command.arg("--relay").arg(relay.to_string());
        }
        if let Some(auth) = &self.common.relay_auth {
            // By the environment: other users can read a command line.
            command.env("TAGIO_RELAY_AUTH", auth);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().context("the session's window could not be started")?;
        self.running.push(child);
        Ok(())
    }
}
