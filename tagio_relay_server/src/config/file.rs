//! The configuration file: TOML, strict, so that a typing error never means a default.

use std::{
    fmt, fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de::Error};
use tagio_relay_core::Limits;

use super::{Acme, MetricsBind, TrustedProxies, parse_metrics_bind, proxies::parse_network};

/// What a file may say. Names are those of the flags.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct FileSettings {
    pub(super) bind: Option<Vec<SocketAddr>>,
    pub(super) public_ip: Option<IpAddr>,
    pub(super) auth: Option<String>,
    pub(super) admin_token: Option<String>,
    pub(super) acme: Option<Acme>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    #[serde(deserialize_with = "trusted_proxies")]
    pub(super) trusted_proxy: TrustedProxies,
    pub(super) data_dir: Option<PathBuf>,
    #[serde(deserialize_with = "metrics_bind")]
    pub(super) metrics_bind: Option<MetricsBind>,
    /// 0 is none.
    pub(super) stun_port: Option<u16>,
    pub(super) tunnel: TunnelSettings,
    pub(super) edge: EdgeSettings,
    pub(super) forward: ForwardSettings,
    pub(super) limits: Limits,
}

/// The table about reverse tunnels.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct TunnelSettings {
    pub(super) control: Option<SocketAddr>,
    pub(super) ingress: Option<SocketAddr>,
    pub(super) tokens: Vec<FileToken>,
    pub(super) domain: Option<String>,
    pub(super) ports: Option<String>,
}

/// The table about edge nodes.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct EdgeSettings {
    pub(super) socks: Option<SocketAddr>,
    pub(super) secret: Option<FileSecret>,
    /// Each with its password.
    pub(super) users: Vec<FileSecret>,
    /// UUIDs.
    pub(super) nodes: Vec<FileSecret>,
}

/// The table about the forward tunnel.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ForwardSettings {
    pub(super) access: Option<FileSecret>,
    #[serde(deserialize_with = "networks")]
    pub(super) allow: Vec<IpNet>,
}

/// A secret that `Debug` does not show.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct FileSecret(pub(super) String);

impl fmt::Debug for FileSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A token: as it is, or with bounds of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a token, or a table with `token`, `tunnels-max` and `visits-max`")]
pub(super) enum FileToken {
    Bare(FileSecret),
    Bounded(BoundedToken),
}

/// See [`FileToken`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct BoundedToken {
    pub(super) token: FileSecret,
    pub(super) tunnels_max: Option<u32>,
    pub(super) visits_max: Option<u32>,
}

impl FileSettings {
    /// Reads a file; the error is one line and names the key.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            let what = error.message().replace('\n', " ");
            anyhow!("{shown}, line {line}: {what}")
        })
    }
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| parse_network(text)).collect::<Result<_, _>>().map_err(D::Error::custom)
}

fn trusted_proxies<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TrustedProxies, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| parse_network(text)).collect::<Result<_, _>>().map_err(D::Error::custom)
}

fn metrics_bind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MetricsBind>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_metrics_bind(&text).map(Some).map_err(D::Error::custom)
}
