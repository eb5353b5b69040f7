//! What the server was told to be: flags, then environment, then the file, then the defaults.

mod acme;
mod args;
mod edge;
mod file;
mod interview;
mod proxies;
mod tunnel;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context, Result, bail, ensure};
use tagio_relay_core::Limits;
use zeroize::Zeroizing;

use crate::{edge::EdgeConfig, tunnel::TunnelConfig};

pub use acme::Acme;
pub use args::{Args, LogFormatArg};
pub use interview::complete;
pub use proxies::TrustedProxies;

/// Where the server listens when nobody says otherwise: the port that every network lets out.
const DEFAULT_BIND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 443);
/// Where metrics are when nobody says otherwise: for this machine only.
pub(crate) const DEFAULT_METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// Where a certificate is used without being named, below the folder in which the server was started.
const DEFAULT_CERT: &str = "certs/cert.pem";
const DEFAULT_KEY: &str = "certs/key.pem";

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

/// Where the certificate for TLS comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// Two files in PEM form.
    Files {
        /// The chain, leaf first.
        cert: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// Made once, kept in the data directory.
    SelfSigned,
    /// From an authority, kept in the data directory.
    Acme(Acme),
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
    /// Opens the admin's page; without it there is none.
    pub admin_token: Option<Secret>,
    /// What TLS shows.
    pub certificate: CertificateSource,
    /// For the key and the ID bindings.
    pub data_dir: PathBuf,
    /// Where metrics are served.
    pub metrics: MetricsBind,
    /// Where STUN is asked besides; left out where it is taken.
    pub stun_port: SecondPort,
    /// Whose word on client addresses is believed.
    pub trusted_proxies: TrustedProxies,
    /// Reverse tunnels, where they are wanted.
    pub tunnel: Option<TunnelConfig>,
    /// A POP of edge nodes, where it is wanted.
    pub edge: Option<EdgeConfig>,
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
        let edge = edge::merge(args, &file.edge)?;
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
            admin_token: file.admin_token.filter(|token| !token.is_empty()).map(Secret::new),
            certificate: certificate(args, file.cert, file.key, file.acme)?,
            data_dir: tagio_process::data_dir(chosen_dir.as_deref())
                .context("cannot use the data directory; choose another with --data-dir")?,
            metrics,
            stun_port: second_port(file.stun_port),
            trusted_proxies: trusted_proxies(args, file.trusted_proxy),
            tunnel,
            edge,
            limits: file.limits,
        })
    }
}

/// What flags or file say; else the usual files, if both are there.
fn certificate(
    args: &Args,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    acme: Option<Acme>,
) -> Result<CertificateSource> {
    let chosen = if args.cert.is_some() { (args.cert.clone(), args.key.clone()) } else { (cert, key) };
    let usual = (PathBuf::from(DEFAULT_CERT), PathBuf::from(DEFAULT_KEY));
    if let Some(acme) = acme {
        ensure!(chosen == (None, None), "acme gets a certificate: leave cert and key out, or acme");
        acme.check()?;
        return Ok(CertificateSource::Acme(acme));
    }
    match chosen {
        (Some(cert), Some(key)) => Ok(CertificateSource::Files { cert, key }),
        (None, None) if usual.0.exists() && usual.1.exists() => {
            Ok(CertificateSource::Files { cert: usual.0, key: usual.1 })
        }
        (None, None) => Ok(CertificateSource::SelfSigned),
        (Some(_), None) | (None, Some(_)) => bail!("cert and key belong together: name both files"),
    }
}

fn trusted_proxies(args: &Args, file: TrustedProxies) -> TrustedProxies {
    if args.trusted_proxy.is_empty() { file } else { args.trusted_proxy.iter().copied().collect() }
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
