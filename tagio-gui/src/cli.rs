//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{RelayAddress, Target};

/// Share a screen by ID and control it. Without a subcommand: the window.
#[derive(Debug, Parser)]
#[command(name = "tagio-gui", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// What applies to every subcommand.
    #[command(flatten)]
    pub common: Common,
    /// What to do; nothing opens the window.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What applies to every subcommand.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Relay to use; with its key it must be that very one
    #[arg(long, global = true, env = "TAGIO_RELAY", value_name = "HOST:PORT[#KEY]")]
    pub relay: Option<RelayAddress>,
    /// Secret that the relay asks for
    #[arg(long, global = true, env = "TAGIO_RELAY_AUTH", value_name = "SECRET", hide_env_values = true)]
    pub relay_auth: Option<String>,
    /// Folder of this device's key, settings and known peers
    #[arg(long, global = true, env = "TAGIO_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Form of the log on stderr
    #[arg(long, global = true, value_enum, default_value_t = LogForm::Pretty, value_name = "FORM")]
    pub log_format: LogForm,
    /// Log more; twice for still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogForm {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Wait for viewers without a window; prints the ID and the one-time code
    Server(ServerArgs),
    /// View and control a host
    Client(ClientArgs),
    /// Tell whether a host is online
    Status(StatusArgs),
    /// Play a recording of a session
    Play(PlayArgs),
}

/// Arguments of `server`.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// Password that lets viewers in besides the one-time code
    #[arg(long, value_name = "P", env = "TAGIO_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
    /// Let viewers look only
    #[arg(long)]
    pub view_only: bool,
    /// Who lets viewers in once they proved the code or password: a person at this terminal, or nobody else
    #[arg(long, value_enum, default_value_t = Accept::Password, value_name = "HOW")]
    pub accept: Accept,
    /// Also wait at this address for viewers that come directly. Without --relay, only there
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
}

/// Who lets viewers in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Accept {
    /// A person answers each one: `allow`, `view` or `deny`.
    Ask,
    /// The code or password is enough.
    Password,
}

/// Arguments of `client`.
#[derive(Debug, Args)]
pub struct ClientArgs {
    /// ID of the host (spaces do not matter), or HOST:PORT of one that waits there
    pub target: Target,
    /// Code or password of the host; the window asks for it when it is missing
    #[arg(long, value_name = "P", env = "TAGIO_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
    /// Read the code or password from the first line of standard input
    #[arg(long, conflicts_with = "password")]
    pub password_stdin: bool,
    /// Look only
    #[arg(long)]
    pub view_only: bool,
    /// Show the remote screen 1:1 from the top left corner of this one, nothing over it
    #[arg(long, conflicts_with = "screenshot")]
    pub fullscreen: bool,
    /// No window: save one exact PNG of the remote screen and leave
    #[arg(long, value_name = "FILE")]
    pub screenshot: Option<PathBuf>,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// ID of the host
    pub id: tagio_wire::PeerId,
}

/// Arguments of `play`.
#[derive(Debug, Args)]
pub struct PlayArgs {
    /// The recording
    pub file: PathBuf,
    /// No window: print size, duration in seconds and number of frames
    #[arg(long)]
    pub info: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_id_may_have_spaces_and_common_flags_stand_anywhere() {
        let cli =
            Cli::try_parse_from(["tagio-gui", "client", "123 456 789", "--relay", "r:1", "-vv"]).unwrap();
        assert_eq!(cli.common.verbose, 2);
        assert_eq!(cli.common.relay.unwrap().to_string(), "r:1");
        let Some(Command::Client(client)) = cli.command else { panic!("client") };
        assert_eq!(client.target.to_string(), "123456789");
        assert!(Cli::try_parse_from(["tagio-gui", "--relay", "r:1", "status", "123456789"]).is_ok());
    }

    #[test]
    fn contradictions_are_wrong_usage() {
        for wrong in [
            &["tagio-gui", "client", "12345"][..],
            &["tagio-gui", "client", "123456789", "--fullscreen", "--screenshot", "x.png"],
            &["tagio-gui", "server", "--relay", "nowhere"],
            &["tagio-gui", "server", "--accept", "everybody"],
        ] {
            assert_eq!(Cli::try_parse_from(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
    }
}
