//! The relay's program: settings, logs, signals; everything else is in the library.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::{Context, Result};
use data_encoding::HEXLOWER;
use tagio_relay_server::{
    Config, Server, config, config::Args, raise_open_files, reload_signal, stop_signal,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

fn main() -> ExitCode {
    let args = Args::parse_or_exit();
    tagio_process::init_logging(args.log_format.into(), args.verbose, false);
    match config::complete(args).and_then(|args| run(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when stderr is closed.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let config = Config::load(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .on_thread_park(tagio_forward::server::moderate)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(args, &config))
}

async fn serve(args: &Args, config: &Config) -> Result<()> {
    let server = Server::bind(config).await?;
    raise_open_files(config.limits.connections_max);
    let reloader = server.reloader();
    let reloading = reload_signal(|| match Config::load(args) {
        Ok(config) => reloader.reload(&config),
        Err(error) => error!("configuration not read again: {error:#}"),
    });
    let reloading = reloading.context("cannot wait for signals")?;
    let stopping = stop_signal().context("cannot wait for signals")?;
    announce(&server)?;
    let stop = CancellationToken::new();
    let serving = server.run(stop.clone());
    tokio::pin!(serving);
    tokio::select! {
        served = &mut serving => return served,
        () = reloading => {}
        () = stopping => {}
    }
    stop.cancel();
    serving.await
}

/// The line that scripts wait for.
fn announce(server: &Server) -> Result<()> {
    let (first, others) = server.addrs().split_first().context("the server listens nowhere")?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening {first} key {}", server.key())?;
    stdout.flush()?;
    if let Some(tunnel) = server.tunnel_addrs() {
        writeln!(stdout, "tunnels {} ingress {}", tunnel.control, tunnel.ingress)?;
        stdout.flush()?;
    }
    if let Some(addr) = server.edge_addr() {
        writeln!(stdout, "edge-socks {addr}")?;
    }
    if let Some(fingerprint) = server.forward_fingerprint() {
        writeln!(stdout, "forward {first} certificate {}", HEXLOWER.encode(&fingerprint))?;
        stdout.flush()?;
    }
    for addr in others {
        info!("also {addr}");
    }
    if let Some(addr) = server.metrics_addr() {
        info!("metrics on http://{addr}/metrics");
    }
    Ok(())
}
