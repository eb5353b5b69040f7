//! `tunnel`: makes a local service reachable through a relay.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use sha2::{Digest, Sha256};
use tagio_tunnel::{
    client::{self, CarrierChoice, ClientConfig, ClientEvent, Standing, Target},
    inspect::{Inspector, Recorder},
};
use tagio_wire::{
    PublicKey,
    tunnel::{ALLOWED_NETS_MAX, HOST_NAME_BYTES_MAX, Manners, Place, TunnelSecret},
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{say, stop::Stop};
use crate::{
    cli::{TunnelArgs, TunnelCarrier},
    config::{RelayAddress, SavedTunnel, pin_relay_key, pinned_relay_key},
    engine::tunnels::Clients,
};

/// Events that wait to be printed: they come seconds apart.
const EVENTS_QUEUE: usize = 16;
/// How long visitors may stay after the first Ctrl-C; a second one ends at once.
const DRAIN: Duration = Duration::from_secs(10);

pub(super) fn run(args: &TunnelArgs, data_dir: &Path) -> anyhow::Result<()> {
    let mut config = config(args)?;
    let pins = Pins { data_dir, relay: &args.server };
    config.key = pins.key()?;
    let local: Vec<_> = config.targets.iter().map(ToString::to_string).collect();
    // Of its own, with all cores: a tunnel may have to carry what the network gives.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let mut inspecting = JoinSet::new();
        if let Some(addr) = args.inspect {
            let recorder = Recorder::new();
            config.recorder = Some(Arc::clone(&recorder));
            let inspector = Inspector::bind(addr, recorder, config.targets[0].clone()).await;
            let inspector = inspector.with_context(|| format!("no inspector at {addr}"))?;
            say(&format!("inspector {}", inspector.url()));
            inspecting.spawn(inspector.serve());
        }
        serve(config, &local.join(","), &pins).await
    })
}

/// The relay's key, as the command line or an earlier tunnel has it.
struct Pins<'a> {
    data_dir: &'a Path,
    relay: &'a RelayAddress,
}

impl Pins<'_> {
    fn key(&self) -> anyhow::Result<Option<PublicKey>> {
        match self.relay.key {
            None if self.is_worth_it() => pinned_relay_key(self.data_dir, &self.relay.at),
            known => Ok(known),
        }
    }

    /// On this machine nobody is in between, and relays come and go.
    fn is_worth_it(&self) -> bool {
        let host = self.relay.at.host.as_str();
        host != "localhost" && !host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    }

    fn keep(&self, key: PublicKey) {
        if self.relay.key.is_none()
            && self.is_worth_it()
            && let Err(error) = pin_relay_key(self.data_dir, &self.relay.at, key)
        {
            tracing::warn!("the relay's key is not kept: {error:#}");
        }
    }
}

fn config(args: &TunnelArgs) -> anyhow::Result<ClientConfig> {
    let target = |port: &u16| Target { host: args.local_host.clone(), port: *port };
    let place = match (&args.hostname, args.remote_port) {
        (Some(name), _) => Place::Name(name.clone()),
        (None, port) if args.udp => Place::UdpPort(port.unwrap_or(0)),
        (None, Some(port)) => Place::TcpPort(port),
        (None, None) => Place::Any,
    };
    let names = [args.hostname.as_deref(), args.host_header.as_deref()];
    let is_short = |name: &&str| name.len() <= HOST_NAME_BYTES_MAX;
    ensure!(names.iter().flatten().all(is_short), "a host name has at most {HOST_NAME_BYTES_MAX} letters");
    ensure!(args.allow.len() <= ALLOWED_NETS_MAX, "--allow may stand {ALLOWED_NETS_MAX} times at most");
    let hash = |text: &String| TunnelSecret(Sha256::digest(text).into());
    let password_is_named = args.basic_auth.as_ref().is_none_or(|text| text.contains(':'));
    ensure!(password_is_named, "--basic-auth wants a name and a password, like anna:correct-horse");
    Ok(ClientConfig {
        host: args.server.at.host.clone(),
        port: args.server.at.port,
        carrier: match args.carrier {
            TunnelCarrier::Auto => CarrierChoice::Auto,
            TunnelCarrier::Quic => CarrierChoice::Quic,
            TunnelCarrier::Tls => CarrierChoice::Tls,
            TunnelCarrier::Tcp => CarrierChoice::Tcp,
        },
        key: None,
        token: args.token.clone().filter(|token| !token.is_empty()).map(Zeroizing::new),
        place,
        manners: Manners {
            allow: args.allow.clone(),
            basic_auth: args.basic_auth.as_ref().map(hash),
            host_header: args.host_header.clone(),
            forwarded: args.forwarded,
        },
        targets: args.local_port.iter().map(target).collect(),
        drain: DRAIN,
        meter: Arc::default(),
        recorder: None,
    })
}

/// What the window's tunnels need of the command line's.
pub(super) struct WindowClients {
    /// Where keys of relays are pinned.
    pub(super) data_dir: PathBuf,
}

impl Clients for WindowClients {
    fn config(&self, tunnel: &SavedTunnel) -> anyhow::Result<ClientConfig> {
        let relay: RelayAddress = tunnel.server.parse().context("the relay of this tunnel is no address")?;
        let name = Some(&tunnel.hostname).filter(|name| !name.is_empty());
        Ok(ClientConfig {
            key: Pins { data_dir: &self.data_dir, relay: &relay }.key()?,
            host: relay.at.host,
            port: relay.at.port,
            carrier: CarrierChoice::Auto,
            token: tunnel.token.secret(),
            place: name.map_or(Place::Any, |name| Place::Name(name.clone())),
            manners: Manners::default(),
            targets: vec![Target { host: tunnel.local_host.clone(), port: tunnel.local_port }],
            drain: DRAIN,
            meter: Arc::default(),
            recorder: None,
        })
    }

    fn proven(&self, tunnel: &SavedTunnel, key: PublicKey) {
        if let Ok(relay) = tunnel.server.parse() {
            Pins { data_dir: &self.data_dir, relay: &relay }.keep(key);
        }
    }
}

async fn serve(config: ClientConfig, local: &str, pins: &Pins<'_>) -> anyhow::Result<()> {
    let (events_tx, mut events) = mpsc::channel(EVENTS_QUEUE);
    let stopping = CancellationToken::new();
    let running = client::run(config, events_tx, stopping.clone());
    tokio::pin!(running);
    let mut stop = Stop::listen()?;
    loop {
        tokio::select! {
            ended = &mut running => return Ok(ended?),
            Some(event) = events.recv() => match event {
                ClientEvent::Opened(Standing { public, carrier, relay_key }) => {
                    tracing::info!("the tunnel stands, by {carrier}; the relay's key is {relay_key}");
                    pins.keep(relay_key);
                    say(&format!("forwarding {public} -> {local}"));
                }
                ClientEvent::Down(problem) => tracing::warn!("the tunnel is down: {problem}; trying again"),
            },
            () = stop.asked() => {
                if stopping.is_cancelled() {
                    return Ok(());
                }
                stopping.cancel();
            }
        }
    }
}
