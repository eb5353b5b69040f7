//! A relay from its sockets to its end.

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tagio_wire::PublicKey;
use tokio::{
    net::TcpListener,
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    config::{Acme, CertificateSource, Config, DEFAULT_METRICS, MetricsBind},
    connection,
    control::Mathematics,
    edge::EdgeDoor,
    forward::Forward,
    http::streams::{self, Streams},
    identity::RelayKey,
    listeners,
    lock::lock,
    shared::{Parts, Shared},
    store::Store,
    tls::{self, Tls},
    tunnel::{TunnelAddrs, TunnelDoors},
    udp::{self, UdpSockets},
    vantage,
};

/// How often time passes for the rules.
const TICK: Duration = Duration::from_secs(1);
/// How long legs in use keep a draining relay up: clients need at most 3 s to find another path.
const DRAIN_LEGS: Duration = Duration::from_secs(8);
/// How long clients have to take the news of draining.
const DRAIN_NEWS: Duration = Duration::from_millis(500);
/// How often draining looks whether it is done.
const DRAIN_STEP: Duration = Duration::from_millis(20);
/// How long the store may take to close.
const STORE_CLOSES: Duration = Duration::from_secs(1);
/// Sockets that [`tagio_relay_core::SocketIndex`] can tell apart.
const SOCKETS_MAX: usize = 256;

/// A relay that listens and does not serve yet.
pub struct Server {
    shared: Arc<Shared>,
    listeners: Vec<TcpListener>,
    metrics: Option<TcpListener>,
    streams: mpsc::Receiver<streams::Opened>,
    tunnels: Option<TunnelDoors>,
    edge: Option<EdgeDoor>,
    /// How to get a certificate, where one is to be got.
    acme: Option<Acme>,
    addrs: Vec<SocketAddr>,
    store_thread: JoinHandle<()>,
}

/// Gives a running relay another secret, certificate and other limits.
///
/// It does not keep the relay alive.
#[derive(Clone)]
pub struct Reloader(Weak<Shared>);

impl Reloader {
    /// From now on; who is in stays in. A certificate that cannot be used leaves the old one.
    pub fn reload(&self, config: &Config) {
        let Some(shared) = self.0.upgrade() else { return };
        shared.reload(config);
        if let Err(error) = shared.tls.reload(&config.certificate, &shared.data_dir) {
            error!("the old certificate stays: {error:#}");
        }
        info!("configuration read again");
    }
}

impl Server {
    /// Opens the sockets and the data directory.
    pub async fn bind(config: &Config) -> Result<Self> {
        ensure!(!config.binds.is_empty() && config.binds.len() <= SOCKETS_MAX, "between 1 and 256 addresses");
        let pairs = listeners::open_all(&config.binds)?;
        let metrics = open_metrics(config.metrics).await?;
        let key = RelayKey::load(&config.data_dir)?;
        let tls = Tls::load(&config.certificate, &config.data_dir)?;
        let acme = match &config.certificate {
            CertificateSource::Acme(acme) => Some(acme.clone()),
            CertificateSource::Files { .. } | CertificateSource::SelfSigned => None,
        };
        let (streams, opened) = Streams::new();
        let (store, store_thread) = Store::open(&config.data_dir)?;
        let mathematics = Mathematics::start().context("cannot start the threads for handshakes")?;
        let addrs: Vec<_> = pairs.iter().map(|pair| pair.addr).collect();
        let extras = vantage::open_all(&pairs, config.stun_port, SOCKETS_MAX - pairs.len());
        let (listeners, mut sockets): (_, Vec<_>) =
            pairs.into_iter().map(|pair| (pair.tcp, pair.udp)).unzip();
        sockets.extend(extras);
        let public_addr = config.public_ip.map(|ip| SocketAddr::new(ip, addrs[0].port()));
        let (sockets, data_dir) = (UdpSockets::new(sockets)?, config.data_dir.clone());
        let parts = Parts { store, mathematics, key, tls, data_dir, streams, sockets, public_addr };
        let shared = Arc::new(Shared::new(parts, config));
        let tunnels = match &config.tunnel {
            Some(tunnel) => Some(TunnelDoors::open(tunnel, config.public_ip, Arc::clone(&shared)).await?),
            None => None,
        };
        if let Some(tunnels) = &tunnels {
            shared.set_tunnels(tunnels.tunnels());
        }
        if let Some(forward) = &config.forward {
            shared.set_forward(Forward::open(forward, &shared)?);
        }
        let edge = match &config.edge {
            Some(edge) => Some(EdgeDoor::open(edge, Arc::clone(&shared)).await?),
            None => None,
        };
        if let Some(edge) = &edge {
            shared.set_edges(edge.edges());
        }
        Ok(Self { shared, listeners, metrics, streams: opened, tunnels, edge, acme, addrs, store_thread })
    }

    /// Where it listens, with real port numbers, in the order of the configuration.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Where its metrics are.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.local_addr().ok()
    }

    /// Where its tunnels are, if it has some.
    pub fn tunnel_addrs(&self) -> Option<TunnelAddrs> {
        self.tunnels.as_ref()?.addrs().ok()
    }

    /// Where users of edge nodes come, if it is a POP.
    pub fn edge_addr(&self) -> Option<SocketAddr> {
        self.edge.as_ref().map(EdgeDoor::addr)
    }

    /// SHA-256 of the certificate that clients of the forward tunnel see, if there is one.
    pub fn forward_fingerprint(&self) -> Option<[u8; 32]> {
        self.shared.forward().and_then(|_| self.shared.tls.fingerprint())
    }

    /// What clients pin.
    pub fn key(&self) -> PublicKey {
        self.shared.public_key()
    }

    /// For later changes.
    pub fn reloader(&self) -> Reloader {
        Reloader(Arc::downgrade(&self.shared))
    }

    /// Serves until `stop`, then drains.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        let Self { shared, listeners, metrics, streams, tunnels, edge, acme, addrs: _, store_thread } = self;
        let mut tasks = JoinSet::new();
        for index in shared.sockets.indices() {
            tasks.spawn(udp::serve(Arc::clone(&shared), index));
        }
        for listener in listeners {
            tasks.spawn(listeners::accept(Arc::clone(&shared), listener, stop.clone(), connection::serve));
        }
        if let Some(listener) = metrics {
            // Metrics stay up while the relay drains.
            let never = CancellationToken::new();
            tasks.spawn(listeners::accept(Arc::clone(&shared), listener, never, connection::serve_metrics));
        }
        tasks.spawn(streams::run(Arc::clone(&shared), streams));
        if let Some(tunnels) = tunnels {
            tunnels.serve(&mut tasks, &stop);
        }
        if let Some(edge) = edge {
            edge.serve(&mut tasks, &stop);
        }
        if shared.forward().is_some() {
            tasks.spawn(Forward::run(Arc::downgrade(&shared)));
        }
        if let Some(acme) = acme {
            tasks.spawn(tls::acme::run(Arc::clone(&shared), acme));
        }
        tasks.spawn(tick(Arc::clone(&shared)));
        tokio::select! {
            // First: what stops because of it is no failure.
            biased;
            () = stop.cancelled() => drain(&shared).await,
            Some(ended) = tasks.join_next() => {
                ended.context("a part of the server failed")?;
                bail!("a part of the server ended");
            }
        }
        // Every connection ends here, and with the last one the store.
        tasks.shutdown().await;
        drop(shared);
        let joined = timeout(STORE_CLOSES, tokio::task::spawn_blocking(|| store_thread.join())).await;
        if !matches!(joined, Ok(Ok(Ok(())))) {
            warn!("the store's thread did not end well");
        }
        Ok(())
    }
}

/// Lets time pass for the rules.
async fn tick(shared: Arc<Shared>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.handle_timeout();
    }
}

/// Tells everybody, then waits for those who would be cut off, but not for long.
async fn drain(shared: &Shared) {
    info!("draining");
    lock(&shared.hub).drain();
    shared.messages.drain();
    let tunnels = shared.tunnels();
    if let Some(tunnels) = &tunnels {
        tunnels.drain();
    }
    let edges = shared.edges();
    let forward = shared.forward();
    if let Some(forward) = forward {
        forward.drain();
    }
    let started = Instant::now();
    loop {
        let waited = started.elapsed();
        let done = {
            let hub = lock(&shared.hub);
            (hub.is_quiet() && shared.messages.is_quiet()) || (waited >= DRAIN_NEWS && !hub.has_legs_in_use())
        };
        let done = done
            && !tunnels.as_ref().is_some_and(|tunnels| tunnels.is_in_use())
            && !edges.as_ref().is_some_and(|edges| edges.is_in_use())
            && !forward.is_some_and(Forward::is_in_use);
        if done || waited >= DRAIN_LEGS {
            if let Some(forward) = forward {
                forward.close().await;
            }
            return;
        }
        sleep(DRAIN_STEP).await;
    }
}

async fn open_metrics(bind: MetricsBind) -> Result<Option<TcpListener>> {
    match bind {
        MetricsBind::Off => Ok(None),
        MetricsBind::At(addr) => {
            let listener = TcpListener::bind(addr).await;
            listener.map(Some).with_context(|| {
                format!("cannot serve metrics on {addr}; choose with --metrics-bind ADDR, or off")
            })
        }
        MetricsBind::Default => Ok(TcpListener::bind(DEFAULT_METRICS)
            .await
            .inspect_err(|error| warn!("no metrics on {DEFAULT_METRICS}: {error}"))
            .ok()),
    }
}
