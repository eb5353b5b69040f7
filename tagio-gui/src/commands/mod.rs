//! The subcommands: each puts an engine together with what shows it.

mod client;
mod edge;
mod forward;
mod home;
mod play;
mod proxy;
mod screenshot;
mod server;
mod stats;
mod status;
mod stdout;
mod stop;
mod tunnel;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use stdout::say;
use tagio_process::{LogFormat, data_dir, init_logging, raise_open_files};
use tagio_session::IdentityKey;

use crate::{
    cli::{Cli, Command, Common, LogForm},
    config::{DeviceKey, RelayAddress, Settings},
    engine::{registration::Registration, status::Ending},
};

/// Runs what the command line asks for.
pub fn run(cli: Cli) -> ExitCode {
    let common = cli.common.clone();
    let form = match common.log_format {
        LogForm::Pretty => LogFormat::Pretty,
        LogForm::Json => LogFormat::Json,
    };
    init_logging(form, cli.verbose(), true);
    // Tunnels, proxies and nodes have two sockets for each of their visitors.
    raise_open_files();
    #[cfg(windows)]
    let is_window = cli.command.is_none();
    let outcome = Base::open(&common).and_then(|base| match cli.command {
        None => home::run(base),
        Some(Command::Server(args)) => server::run(base, args),
        Some(Command::Client(args)) => client::run(base, args),
        Some(Command::Status(args)) => status::run(base, &args),
        Some(Command::Play(args)) => play::run(&base, &args),
        Some(Command::Tunnel(args)) => tunnel::run(&args, &data_dir(common.data_dir.as_deref())?),
        Some(Command::Forward(args)) => forward::run(base, args),
        Some(Command::Edge(args)) => edge::run(args),
        Some(Command::Proxy(args)) => proxy::run(&args),
    });
    stdout::flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            // A double-click has no console to complain to.
            #[cfg(windows)]
            if is_window {
                crate::windows_console::show_error(&format!("{error:#}"));
            }
            ExitCode::FAILURE
        }
    }
}

/// The one line that says what failed and what to do.
#[expect(clippy::print_stderr, reason = "this is what stderr is for")]
fn complain(line: &str) {
    eprintln!("tagio-gui: {}", line.replace('\n', " "));
}

/// An ending as the error of a command.
fn failed(ending: &Ending) -> anyhow::Error {
    anyhow::anyhow!("{}", format!("{} {}", ending.reason, ending.advice).trim_end())
}

/// What every subcommand starts from.
struct Base {
    common: Common,
    data_dir: PathBuf,
    settings: Settings,
    identity: IdentityKey,
}

impl Base {
    fn open(common: &Common) -> anyhow::Result<Self> {
        let data_dir = data_dir(common.data_dir.as_deref())?;
        let (settings, warnings) = Settings::load(&data_dir);
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let identity = IdentityKey::from_bytes(DeviceKey::load_or_create(&data_dir)?.0);
        Ok(Self { common: common.clone(), data_dir, settings, identity })
    }

    /// The relay of the command line, else that of the settings.
    fn registration(&self) -> anyhow::Result<Registration> {
        let relay: RelayAddress = match &self.common.relay {
            Some(relay) => relay.clone(),
            None => self.settings.relay.parse().context("the relay in the settings is no address")?,
        };
        let from_settings = || Some(self.settings.relay_auth.clone()).filter(|auth| !auth.is_empty());
        let auth = self.common.relay_auth.clone().or_else(from_settings);
        Registration::new(relay, auth, self.settings.reach(), self.data_dir.clone())
    }
}
