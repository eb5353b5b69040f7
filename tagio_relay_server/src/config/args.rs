//! The command line and the environment.

use std::{
    env,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use clap::{ArgAction, CommandFactory, Parser, ValueEnum, error::ErrorKind};
use ipnet::IpNet;
use tagio_process::LogFormat;

use super::{MetricsBind, parse_metrics_bind, proxies::parse_network};

/// Port for hosts of containers that choose it themselves.
const PORT_VARIABLE: &str = "PORT";

/// TagIO's relay: brokers IDs, helps peers meet, relays what cannot go direct.
#[derive(Clone, Debug, Parser)]
#[command(name = "tagio_relay_server", version)]
pub struct Args {
    /// Address to listen on, TCP and UDP; repeatable [env: PORT] [default: 0.0.0.0:443]
    #[arg(short, long, value_name = "ADDR")]
    pub bind: Vec<SocketAddr>,

    /// Address that clients are told to use [default: the one they dialled]
    #[arg(short, long, value_name = "IP", env = "PUBLIC_IP")]
    pub public_ip: Option<IpAddr>,

    /// Secret that clients must show [default: none]
    #[arg(long, value_name = "SECRET", env = "AUTH_SECRET", hide_env_values = true)]
    pub auth: Option<String>,

    /// Certificate chain for TLS, PEM [default: certs/cert.pem if present, else self-signed]
    #[arg(short, long, value_name = "PEM", requires = "key")]
    pub cert: Option<PathBuf>,

    /// Private key of the certificate, PEM [default: certs/key.pem if present]
    #[arg(short, long, value_name = "PEM", requires = "cert")]
    pub key: Option<PathBuf>,

    /// Folder for the relay's key and the IDs [default: the system's place for it]
    #[arg(long, value_name = "DIR", env = "TAGIO_DATA_DIR")]
    pub data_dir: Option<PathBuf>,

    /// File (TOML) with any of these settings and all limits; flags win
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Address of the metrics page, or off [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR", value_parser = parse_metrics_bind)]
    pub metrics_bind: Option<MetricsBind>,

    /// Proxy whose word on client addresses is believed: an address or a network; repeatable [default: none]
    #[arg(long, value_name = "CIDR", value_parser = parse_network)]
    pub trusted_proxy: Vec<IpNet>,

    /// Ask for port, address and secret; the default on a terminal without arguments
    #[arg(long)]
    pub interactive: bool,

    /// Reverse tunnels: where clients come [default: off; without a value 0.0.0.0:8089]
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "0.0.0.0:8089")]
    pub tunnel_control: Option<SocketAddr>,

    /// Reverse tunnels: where visitors come [default: off; without a value 0.0.0.0:8081]
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "0.0.0.0:8081")]
    pub tunnel_ingress: Option<SocketAddr>,

    /// Token that tunnels' clients must know; repeatable [default: none, everybody may]
    #[arg(long, value_name = "TOKEN", env = "TAGIO_TUNNEL_TOKEN", hide_env_values = true)]
    pub tunnel_token: Vec<String>,

    /// Give tunnels names under this one, which has to lead here [default: none]
    #[arg(long, value_name = "NAME")]
    pub tunnel_domain: Option<String>,

    /// Ports that tunnels may have of their own, like 20000-20099 [default: none]
    #[arg(long, value_name = "FIRST-LAST")]
    pub tunnel_ports: Option<String>,

    /// Users of edge nodes: where they come, by SOCKS5; turns the POP on [default: off]
    #[arg(long, value_name = "ADDR")]
    pub edge_socks: Option<SocketAddr>,

    /// Signs the tokens of edge nodes [default: a new one at each start]
    #[arg(long, value_name = "SECRET", env = "TAGIO_EDGE_SECRET", hide_env_values = true)]
    pub edge_secret: Option<String>,

    /// User of edge nodes; repeatable [default: none, whoever is on this machine]
    #[arg(long, value_name = "USER:PASS", env = "TAGIO_EDGE_USER", hide_env_values = true)]
    pub edge_user: Vec<String>,

    /// Edge node that may come, by its UUID; repeatable [default: whoever asks]
    #[arg(long, value_name = "UUID", env = "TAGIO_EDGE_NODE", hide_env_values = true)]
    pub edge_node: Vec<String>,

    /// Forward tunnel by QUIC on the UDP port: off, token:TOKEN or open (to everybody) [default: off]
    #[arg(long, value_name = "ACCESS", env = "TAGIO_FORWARD", hide_env_values = true)]
    pub forward: Option<String>,

    /// Let the forward tunnel reach this private address or network, too; repeatable [default: public ones only]
    #[arg(long, value_name = "CIDR", value_parser = parse_network)]
    pub forward_allow: Vec<IpNet>,

    /// Say more; twice: say everything
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// How log lines look
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormatArg::Pretty)]
    pub log_format: LogFormatArg,
}

/// How log lines look, as the command line spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormatArg {
    /// For people.
    Pretty,
    /// One JSON object per line.
    Json,
}

impl From<LogFormatArg> for LogFormat {
    fn from(arg: LogFormatArg) -> Self {
        match arg {
            LogFormatArg::Pretty => Self::Pretty,
            LogFormatArg::Json => Self::Json,
        }
    }
}

impl Args {
    /// Reads command line and environment; what is wrong there ends the program with status 2.
    pub fn parse_or_exit() -> Self {
        let args = Self::parse();
        if let Err(error) = args.port_from_environment() {
            error.exit();
        }
        args
    }

    /// The port that the environment asks for.
    pub(super) fn port_from_environment(&self) -> Result<Option<u16>, clap::Error> {
        let Some(text) = env::var_os(PORT_VARIABLE).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let port = text.to_str().and_then(|text| text.parse().ok());
        port.map(Some).ok_or_else(|| {
            let what = format!("the variable {PORT_VARIABLE} is no port number\n");
            Self::command().error(ErrorKind::ValueValidation, what)
        })
    }
}
