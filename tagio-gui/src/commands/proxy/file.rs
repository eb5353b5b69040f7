//! The file of `proxy run -c FILE`: that of other clients of the protocol, and a few keys of our own.
//!
//! Keys that nobody here knows are named in the log and left out: files for other clients have their own.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, path::PathBuf, time::Duration};

use anyhow::{Context as _, anyhow, ensure};
use serde::Deserialize;
use tagio_forward::client::{ClientConfig, Trust};
use tagio_proxy::Credentials;
use zeroize::Zeroizing;

use super::{HTTP, KEEP_ALIVE, Plan, SOCKS5, token};
use crate::config::HostPort;

/// Longest pause between two signs of life: half of the silence after which a server forgets a client.
const KEEP_ALIVE_SECS_MAX: u64 = 15;

type Unknown = BTreeMap<String, toml::Value>;

#[derive(Deserialize)]
struct File {
    server: Server,
    #[serde(default)]
    proxy: Proxy,
    #[serde(default)]
    quic: Quic,
    #[serde(flatten)]
    unknown: Unknown,
}

#[derive(Deserialize)]
struct Server {
    address: String,
    server_name: Option<String>,
    #[serde(default)]
    insecure: bool,
    token: Option<String>,
    ca: Option<PathBuf>,
    pin: Option<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

#[derive(Default, Deserialize)]
struct Proxy {
    socks5_bind: Option<String>,
    http_bind: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

#[derive(Default, Deserialize)]
struct Quic {
    keep_alive_secs: Option<u64>,
    #[serde(flatten)]
    unknown: Unknown,
}

pub(super) fn read(path: &Path) -> anyhow::Result<Plan> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let file: File = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        anyhow!("{shown}, line {line}: {}", error.message().replace('\n', " "))
    })?;
    file.plan().with_context(|| format!("{shown} cannot be used"))
}

impl File {
    fn plan(self) -> anyhow::Result<Plan> {
        let Self { server, proxy, quic, unknown } = self;
        let tables =
            [("", unknown), ("server.", server.unknown), ("proxy.", proxy.unknown), ("quic.", quic.unknown)];
        for (table, key) in
            tables.iter().flat_map(|(table, unknown)| unknown.keys().map(move |key| (table, key)))
        {
            tracing::warn!("the key {table}{key} means nothing here");
        }
        let at: HostPort = server.address.parse().context("server.address is no HOST:PORT")?;
        let trust = match (server.ca, server.pin, server.insecure) {
            (Some(file), ..) => Trust::Authority(file),
            (None, Some(pin), _) => Trust::pinned(&pin)?,
            (None, None, true) => Trust::Anybody,
            (None, None, false) => Trust::System,
        };
        let keep_alive = quic.keep_alive_secs.map_or(KEEP_ALIVE, Duration::from_secs);
        let longest = Duration::from_secs(KEEP_ALIVE_SECS_MAX);
        ensure!(
            !keep_alive.is_zero() && keep_alive <= longest,
            "quic.keep_alive_secs is from 1 to {KEEP_ALIVE_SECS_MAX}"
        );
        let users = match (proxy.username, proxy.password) {
            (Some(user), Some(password)) => {
                vec![Credentials { user, password: Zeroizing::new(password.into_bytes()) }]
            }
            (None, None) => Vec::new(),
            _ => return Err(anyhow!("proxy.username and proxy.password belong together")),
        };
        Ok(Plan {
            tunnel: ClientConfig {
                host: at.host,
                port: at.port,
                server_name: server.server_name,
                trust,
                token: token(server.token)?,
                keep_alive,
            },
            socks5: bind("socks5_bind", proxy.socks5_bind, SOCKS5)?,
            http: bind("http_bind", proxy.http_bind, HTTP)?,
            users,
        })
    }
}

/// An empty address turns a door off.
fn bind(key: &str, text: Option<String>, usual: SocketAddr) -> anyhow::Result<Option<SocketAddr>> {
    match text.as_deref() {
        None => Ok(Some(usual)),
        Some("") => Ok(None),
        Some(text) => {
            text.parse().map(Some).with_context(|| format!("proxy.{key} is no address like {usual}"))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

    use super::*;

    fn parsed(text: &str) -> anyhow::Result<Plan> {
        toml::from_str::<File>(text)?.plan()
    }

    #[test]
    fn a_file_of_the_public_client_is_understood() {
        let plan = parsed(
            "[server]\naddress = 'tunnel.example:4433'\nserver_name = 'other.example'\ninsecure = true\n\
             [proxy]\nsocks5_bind = '127.0.0.1:1081'\nhttp_bind = ''\n\
             [quic]\nmax_idle_timeout_secs = 30\nkeep_alive_secs = 10\n",
        );
        let plan = plan.unwrap();
        assert_eq!((plan.tunnel.host.as_str(), plan.tunnel.port), ("tunnel.example", 4433));
        assert_eq!(plan.tunnel.server_name.as_deref(), Some("other.example"));
        assert_eq!(plan.tunnel.trust, Trust::Anybody);
        assert_eq!(plan.tunnel.keep_alive, Duration::from_secs(10));
        assert_eq!((plan.socks5, plan.http), (Some(([127, 0, 0, 1], 1081).into()), None));
        assert!(plan.users.is_empty());
    }

    #[test]
    fn what_is_not_said_is_safe() {
        let plan = parsed("[server]\naddress = 'a.example:443'\n").unwrap();
        assert_eq!(plan.tunnel.trust, Trust::System);
        assert_eq!((plan.socks5, plan.http), (Some(SOCKS5), Some(HTTP)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, wanted) in [
            ("[proxy]\n", "server"),
            ("[server]\naddress = 'nowhere'\n", "server.address"),
            ("[server]\naddress = 'a:1'\npin = 'abc'\n", "fingerprint"),
            ("[server]\naddress = 'a:1'\n[proxy]\nhttp_bind = '80'\n", "http_bind"),
            ("[server]\naddress = 'a:1'\n[proxy]\nusername = 'anna'\n", "password"),
            ("[server]\naddress = 'a:1'\n[quic]\nkeep_alive_secs = 0\n", "keep_alive_secs"),
        ] {
            let error = format!("{:#}", parsed(text).unwrap_err());
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
