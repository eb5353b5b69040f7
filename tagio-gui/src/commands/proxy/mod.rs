//! `proxy`: doors on this machine, by SOCKS5 and HTTP, that lead out through a relay's forward tunnel.

mod file;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use tagio_forward::{
    client::{self, ClientConfig, ClientEvent, Trust, Tunnel, TunnelOutlet},
    wire::TOKEN_BYTES_MAX,
};
use tagio_proxy::{Credentials, Door, Front, FrontLimits, Users};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{say, stop::Stop};
use crate::cli::{ProxyAction, ProxyArgs};

/// Events that wait to be printed: they come seconds apart.
const EVENTS_QUEUE: usize = 16;
/// How long programs' connections may stay after the first Ctrl-C; a second one ends at once.
const DRAIN: Duration = Duration::from_secs(10);
/// NATs forget UDP after 30 s and more; a restart of the server is noticed after this at the latest.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// Where the doors are when nobody says otherwise.
const SOCKS5: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1080);
const HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// What this command is to do.
#[derive(Debug)]
struct Plan {
    tunnel: ClientConfig,
    socks5: Option<SocketAddr>,
    http: Option<SocketAddr>,
    users: Vec<Credentials>,
}

pub(super) fn run(args: &ProxyArgs) -> anyhow::Result<()> {
    // Of its own, with all cores: it may have to carry what the network gives.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    match &args.action {
        Some(ProxyAction::Run { config }) => runtime.block_on(serve(file::read(config)?)),
        Some(ProxyAction::TestConnection { config }) => runtime.block_on(test(&file::read(config)?)),
        None => runtime.block_on(serve(plan(args)?)),
    }
}

async fn test(plan: &Plan) -> anyhow::Result<()> {
    let rtt = client::test(&plan.tunnel).await?;
    say(&format!("connected {:.1}", rtt.as_secs_f64() * 1e3));
    Ok(())
}

/// What the flags say.
fn plan(args: &ProxyArgs) -> anyhow::Result<Plan> {
    let server = args.server.as_ref().context("--server HOST:PORT is missing; or use `proxy run -c FILE`")?;
    let trust = match (&args.ca, &args.pin, args.insecure) {
        (Some(file), ..) => Trust::Authority(file.clone()),
        (None, Some(pin), _) => Trust::pinned(pin)?,
        (None, None, true) => Trust::Anybody,
        (None, None, false) => Trust::System,
    };
    let users = args.user.iter().map(|text| user(text)).collect::<anyhow::Result<_>>()?;
    // The usual doors, unless one is named: then just that one.
    let (socks5, http) = match (args.socks5, args.http) {
        (None, None) => (Some(SOCKS5), Some(HTTP)),
        chosen => chosen,
    };
    let tunnel = ClientConfig {
        host: server.host.clone(),
        port: server.port,
        server_name: args.server_name.clone(),
        trust,
        token: token(args.token.clone())?,
        keep_alive: KEEP_ALIVE,
    };
    Ok(Plan { tunnel, socks5, http, users })
}

fn token(text: Option<String>) -> anyhow::Result<Option<Zeroizing<String>>> {
    let token = text.filter(|token| !token.is_empty()).map(Zeroizing::new);
    let is_short = token.as_ref().is_none_or(|token| token.len() <= TOKEN_BYTES_MAX);
    ensure!(is_short, "a token has at most {TOKEN_BYTES_MAX} bytes");
    Ok(token)
}

fn user(text: &str) -> anyhow::Result<Credentials> {
    let (user, password) =
        text.split_once(':').context("--user wants a name and a password, like anna:word")?;
    Ok(Credentials { user: user.to_owned(), password: Zeroizing::new(password.as_bytes().to_vec()) })
}

/// Opens the doors, then keeps the tunnel until it is asked to stop.
async fn serve(plan: Plan) -> anyhow::Result<()> {
    if plan.tunnel.trust == Trust::Anybody {
        tracing::warn!("--insecure: whoever is on the way can read and change everything");
    }
    let (events_tx, mut events) = mpsc::channel(EVENTS_QUEUE);
    let (tunnel, keeping) = Tunnel::new(&plan.tunnel, events_tx)?;
    let users: Users = plan.users.into_iter().collect();
    let outlet = Arc::new(TunnelOutlet::new(tunnel, users));
    let stopping = CancellationToken::new();
    let mut doors = JoinSet::new();
    for (name, door, addr) in [("socks5", Door::Socks5, plan.socks5), ("http", Door::Http, plan.http)] {
        let Some(addr) = addr else { continue };
        let front = Front::bind(addr, door, Arc::clone(&outlet), FrontLimits::default()).await?;
        say(&format!("{name} {}", front.addr()));
        doors.spawn(front.run(stopping.clone()));
    }
    ensure!(!doors.is_empty(), "there is no door: name one with --socks5 or --http");
    let mut stop = Stop::listen()?;
    let keeping = std::pin::pin!(keeping);
    let mut keeping = keeping;
    loop {
        tokio::select! {
            error = &mut keeping => bail!(error),
            Some(event) = events.recv() => match event {
                ClientEvent::Up { rtt } => say(&format!("tunnel up {:.1}", rtt.as_secs_f64() * 1e3)),
                ClientEvent::Down(problem) => tracing::warn!("the tunnel is down: {problem}; trying again"),
            },
            () = stop.asked() => break,
        }
    }
    stopping.cancel();
    tokio::select! {
        _ = timeout(DRAIN, async { while doors.join_next().await.is_some() {} }) => {}
        _ = keeping => {}
        () = stop.asked() => {}
    }
    Ok(())
}
