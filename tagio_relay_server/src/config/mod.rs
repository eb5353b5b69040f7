//! What the server was told to be: flags, then environment, then the file, then the defaults.

mod args;
mod file;
mod tunnel;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context, Result};
use tagio_relay_core::Limits;
use zeroize::Zeroizing;

use crate::tunnel::TunnelConfig;

pub use args::{Args, LogFormatArg};

/// Where the server listens when nobody says otherwise: the port that every network lets out.
const DEFAULT_BIND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 443);
/// Where metrics are when nobody says otherwise: for this machine only.
pub(crate) const DEFAULT_METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// A secret that no log shows and that leaves memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps it.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where metrics are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsBind {
    /// Nowhere.
    Off,
    /// At the default address, if it is free.
    Default,
    /// Here, or the server does not start.
    At(SocketAddr),
}

/// The port of STUN's second vantage point, UDP only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondPort {
    /// There is none.
    Off,
    /// The one after the port that is listened on.
    Next,
    /// This one.
    At(u16),
}

/// Everything that the server needs to know to start.
#[derive(Clone, Debug)]
pub struct Config {
    /// TCP and UDP, the same number. Never empty.
    pub binds: Vec<SocketAddr>,
    /// What clients are told to use for legs.
    pub public_ip: Option<IpAddr>,
    /// What clients must show.
    pub auth: Option<Secret>,
    /// For the key and the ID bindings.
    pub data_dir: PathBuf,
    /// Where metrics are served.
    pub metrics: MetricsBind,
    /// Where STUN is asked besides; left out where it is taken.
    pub stun_port: SecondPort,
    /// Reverse tunnels, where they are wanted.
    pub tunnel: Option<TunnelConfig>,
    /// Every bound.
    pub limits: Limits,
}

impl Config {
    /// Merges what was said in all places. Called again when the configuration is to be re-read.
    pub fn load(args: &Args) -> Result<Self> {
        let file = match &args.config {
            Some(path) => file::FileSettings::read(path)?,
            None => file::FileSettings::default(),
        };
        let binds = if !args.bind.is_empty() {
            args.bind.clone()
        } else if let Some(port) = args.port_from_environment()? {
            vec![SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)]
        } else if let Some(binds) = file.bind.filter(|binds| !binds.is_empty()) {
            binds
        } else {
            vec![DEFAULT_BIND]
        };
        let tunnel = tunnel::merge(args, &file.tunnel)?;
        let auth = args.auth.clone().or(file.auth).filter(|secret| !secret.is_empty());
        let chosen_dir = args.data_dir.clone().or(file.data_dir);
        let metrics = match args.metrics_bind.or(file.metrics_bind) {
            Some(chosen) => chosen,
            None => MetricsBind::Default,
        };
        Ok(Self {
            binds,
            public_ip: args.public_ip.or(file.public_ip),
            auth: auth.map(Secret::new),
            data_dir: tagio_process::data_dir(chosen_dir.as_deref())
                .context("cannot use the data directory; choose another with --data-dir")?,
            metrics,
            stun_port: second_port(file.stun_port),
            tunnel,
            limits: file.limits,
        })
    }
}

fn second_port(chosen: Option<u16>) -> SecondPort {
    match chosen {
        None => SecondPort::Next,
        Some(0) => SecondPort::Off,
        Some(port) => SecondPort::At(port),
    }
}

/// Reads `off` or an address.
fn parse_metrics_bind(text: &str) -> Result<MetricsBind, String> {
    if text == "off" {
        return Ok(MetricsBind::Off);
    }
    text.parse()
        .map(MetricsBind::At)
        .map_err(|_| "expected an address like 127.0.0.1:9090, or off".to_owned())
}
