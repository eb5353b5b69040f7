//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum, error::ErrorKind};
use tagio_wire::{
    limits::MONITORS_MAX,
    port::PortTarget,
    session::{Quality, ViewArea, ViewWish},
};

use crate::{
    config::{FPS_MAX, HostPort, PortChoice, QualityChoice, RelayAddress, Settings, Target, VideoChoice},
    engine::status::Forward,
};

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
    /// Make a local service reachable through a relay
    Tunnel(TunnelArgs),
    /// Reach TCP ports of a host, or of its network, as ports of this computer
    Forward(ForwardArgs),
    /// Let the users of a Titan POP out through this machine
    Edge(EdgeArgs),
    /// Offer a way out through a relay's forward tunnel, by SOCKS5 and HTTP
    Proxy(ProxyArgs),
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
    /// Which ports viewers may forward to themselves; `ask` puts the question to a person at this terminal
    #[arg(long, value_enum, default_value_t = PortChoice::Off, value_name = "WHICH")]
    pub ports: PortChoice,
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
    /// Print one JSON object a second on stdout: how the picture fares
    #[arg(long, conflicts_with = "screenshot")]
    pub stats: bool,
    /// Record the picture; without FILE, to a new one
    #[arg(long, value_name = "FILE", conflicts_with = "screenshot")]
    pub record: Option<Option<PathBuf>>,
    /// What to ask of the picture.
    #[command(flatten)]
    pub picture: PictureArgs,
}

/// What `client` asks of the picture at first. What is missing is as in the settings.
#[derive(Clone, Debug, Default, Args)]
pub struct PictureArgs {
    /// What the picture may cost
    #[arg(long, value_enum, value_name = "HOW", conflicts_with = "screenshot")]
    pub quality: Option<QualityChoice>,
    /// Without colour; only with --quality saver
    #[arg(long, requires = "quality")]
    pub grey: bool,
    /// At half the resolution; only with --quality saver
    #[arg(long, requires = "quality")]
    pub half: bool,
    /// Most pictures a second, from 1 to 60
    #[arg(long, value_name = "N", value_parser = fps, conflicts_with = "screenshot")]
    pub fps: Option<u8>,
    /// One monitor, numbered from 1 as the window shows them, or `all`
    #[arg(long, value_name = "N", value_parser = monitor)]
    pub monitor: Option<ViewArea>,
    /// How moving parts are sent
    #[arg(long, value_enum, value_name = "CODEC", conflicts_with = "screenshot")]
    pub video: Option<VideoChoice>,
}

impl PictureArgs {
    /// The wish that a session starts with.
    pub fn wish(&self, settings: &Settings) -> ViewWish {
        let saved = settings.wish();
        let quality = match self.quality {
            Some(QualityChoice::Saver) => Quality::Saver { grey: self.grey, half: self.half },
            Some(other) => other.quality(),
            None => saved.quality,
        };
        ViewWish {
            area: self.monitor.unwrap_or(saved.area),
            quality,
            fps_max: self.fps.or(saved.fps_max),
            video: self.video.map_or(saved.video, VideoChoice::wish),
        }
    }

    fn has_misplaced_saving(&self) -> bool {
        (self.grey || self.half) && self.quality != Some(QualityChoice::Saver)
    }
}

fn fps(text: &str) -> Result<u8, String> {
    let number = text.parse().ok().filter(|fps| FPS_MAX.contains(fps));
    number.ok_or_else(|| format!("a number from {} to {} is wanted", FPS_MAX.start(), FPS_MAX.end()))
}

fn monitor(text: &str) -> Result<ViewArea, String> {
    if text == "all" {
        return Ok(ViewArea::All);
    }
    let number = text.parse::<u8>().ok().filter(|number| (1..=MONITORS_MAX).contains(&usize::from(*number)));
    let number = number.ok_or_else(|| format!("a number from 1 to {MONITORS_MAX}, or all, is wanted"))?;
    Ok(ViewArea::Monitor(number - 1))
}

impl Cli {
    /// Reads the command line of this program; wrong usage ends it with a sentence.
    pub fn read() -> Self {
        Self::parse().checked().unwrap_or_else(|error| error.exit())
    }

    /// How much is to be logged.
    pub fn verbose(&self) -> u8 {
        match &self.command {
            Some(Command::Edge(edge)) if edge.debug => self.common.verbose.max(1),
            _ => self.common.verbose,
        }
    }

    /// Checks what the declarations cannot say.
    fn checked(self) -> Result<Self, clap::Error> {
        if let Some(Command::Client(client)) = &self.command
            && client.picture.has_misplaced_saving()
        {
            let sentence = "--grey and --half need --quality saver";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, sentence));
        }
        Ok(self)
    }
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

/// What a tunnel travels in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TunnelCarrier {
    /// QUIC where UDP passes, else TLS
    Auto,
    /// QUIC only
    Quic,
    /// TLS only
    Tls,
    /// Bare TCP, for a network that one trusts
    Tcp,
}

/// Arguments of `tunnel`.
#[derive(Debug, Args)]
pub struct TunnelArgs {
    /// Port of the local service; repeat it to spread visitors over several
    #[arg(long, value_name = "N", required = true, value_parser = clap::value_parser!(u16).range(1..))]
    pub local_port: Vec<u16>,
    /// Name or address of the local service
    #[arg(long, value_name = "H", default_value = "127.0.0.1")]
    pub local_host: String,
    /// Tunnel port of the relay, with its key where it is known
    #[arg(long, value_name = "HOST:PORT[#KEY]", default_value = "127.0.0.1:8089")]
    pub server: RelayAddress,
    /// What the tunnel travels in; tcp is not encrypted
    #[arg(long, value_enum, default_value_t = TunnelCarrier::Auto, value_name = "HOW")]
    pub carrier: TunnelCarrier,
    /// Token that the relay asks for
    #[arg(long, value_name = "T", env = "TAGIO_TUNNEL_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Name by which visitors come: a word under the relay's domain, or a whole name
    #[arg(long, value_name = "NAME", conflicts_with = "remote_port")]
    pub hostname: Option<String>,
    /// Port of the relay by which visitors come; 0 for any that is free
    #[arg(long, value_name = "N")]
    pub remote_port: Option<u16>,
    /// The service speaks UDP: visitors come by a UDP port of the relay
    #[arg(long, conflicts_with = "hostname")]
    pub udp: bool,
    /// Change the Host field of requests to this
    #[arg(long, value_name = "HOST")]
    pub host_header: Option<String>,
    /// Tell the service who asks: X-Forwarded-For, -Proto and -Host
    #[arg(long)]
    pub forwarded: bool,
    /// Ask visitors for this name and password (HTTP)
    #[arg(long, value_name = "USER:PASSWORD", env = "TAGIO_TUNNEL_BASIC_AUTH", hide_env_values = true)]
    pub basic_auth: Option<String>,
    /// Show the last requests on a page of this machine, and send them again [without a value 127.0.0.1:4040]
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:4040")]
    pub inspect: Option<SocketAddr>,
    /// Let only visitors from this network in; repeatable
    #[arg(long, value_name = "NET")]
    pub allow: Vec<String>,
}

/// Arguments of `forward`.
#[derive(Debug, Args)]
pub struct ForwardArgs {
    /// ID of the host (spaces do not matter), or HOST:PORT of one that waits there
    pub target: Target,
    /// Port of this computer (0 for any that is free), and where its connections go on to from the host; repeatable
    #[arg(required = true, value_name = "LOCAL:REMOTE_HOST:REMOTE_PORT", value_parser = forward)]
    pub forwards: Vec<Forward>,
    /// Code or password of the host
    #[arg(long, value_name = "P", env = "TAGIO_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
    /// Read the code or password from the first line of standard input
    #[arg(long, conflicts_with = "password")]
    pub password_stdin: bool,
}

fn forward(text: &str) -> Result<Forward, String> {
    let shape = || "a port, a name and a port are wanted, like 8080:localhost:80".to_owned();
    let (local, remote) = text.split_once(':').ok_or_else(shape)?;
    let local_port = local.parse().map_err(|_| shape())?;
    let HostPort { host, port } = remote.parse().map_err(|_| shape())?;
    let target = PortTarget { host, port };
    if target.is_sound() { Ok(Forward { local_port, target }) } else { Err(shape()) }
}

/// Arguments of `edge`.
#[derive(Debug, Args)]
pub struct EdgeArgs {
    /// Name of this node; whoever knows it can take its place
    #[arg(long, value_name = "U", env = "TAGIO_EDGE_UUID", hide_env_values = true)]
    pub uuid: tagio_edge::node::Uuid,
    /// Access point to ask for a POP, like http://relay:8080/node/pop. Without it, by bootstrap.json
    #[arg(long, value_name = "URL")]
    pub direct_url: Option<String>,
    /// Folder of bootstrap.json
    #[arg(long, value_name = "DIR", default_value = "./")]
    pub app_dir: PathBuf,
    /// Seconds that a target may take to answer
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub tcp_timeout: u32,
    /// Seconds of silence after which a flow of datagrams ends
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub udp_timeout: u32,
    /// Let users also reach this network, though it is not public; repeatable
    #[arg(long, value_name = "CIDR")]
    pub allow: Vec<ipnet::IpNet>,
    /// Log more, as --verbose does
    #[arg(long)]
    pub debug: bool,
}

/// Arguments of `proxy`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ProxyArgs {
    /// By a file instead of flags
    #[command(subcommand)]
    pub action: Option<ProxyAction>,
    /// The relay: its usual port, by UDP
    #[arg(long, value_name = "HOST:PORT")]
    pub server: Option<HostPort>,
    /// Token that the relay asks for
    #[arg(long, value_name = "T", env = "TAGIO_FORWARD_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Name that the relay's certificate has, where it is not HOST
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// Believe certificates by the authorities in this file (PEM) [default: those that the system trusts]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Believe just the certificate with this fingerprint, which the relay prints when it starts
    #[arg(long, value_name = "SHA256", conflicts_with = "ca")]
    pub pin: Option<String>,
    /// Believe any certificate: whoever is on the way can read and change everything
    #[arg(long, conflicts_with_all = ["ca", "pin"])]
    pub insecure: bool,
    /// Where to listen by SOCKS5 [default: 127.0.0.1:1080, unless only --http is given]
    #[arg(long, value_name = "ADDR")]
    pub socks5: Option<SocketAddr>,
    /// Where to listen by HTTP [default: 127.0.0.1:8080, unless only --socks5 is given]
    #[arg(long, value_name = "ADDR")]
    pub http: Option<SocketAddr>,
    /// Ask programs for a name and a password; repeatable; needed to listen beyond this machine
    #[arg(long, value_name = "USER:PASSWORD", env = "TAGIO_PROXY_USER", hide_env_values = true)]
    pub user: Vec<String>,
}

/// What `proxy` does with a file.
#[derive(Debug, Subcommand)]
pub enum ProxyAction {
    /// Do what the file says
    Run {
        /// The file (TOML)
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Connect once, show the token, print the round trip
    TestConnection {
        /// The file (TOML)
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use tagio_wire::session::VideoWish;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
        let start = ["tagio-gui", "client", "123456789"];
        Cli::try_parse_from(start.iter().chain(arguments)).and_then(Cli::checked)
    }

    fn client(arguments: &[&str]) -> ClientArgs {
        let Some(Command::Client(client)) = parse(arguments).unwrap().command else { panic!("client") };
        client
    }

    #[test]
    fn flags_win_over_the_settings_one_by_one() {
        let settings = Settings { quality: QualityChoice::Smooth, fps_max: Some(30), ..Settings::default() };
        let wish = client(&["--monitor", "2", "--video", "jpeg"]).picture.wish(&settings);
        let expected = ViewWish {
            area: ViewArea::Monitor(1),
            quality: Quality::Smooth,
            fps_max: Some(30),
            video: VideoWish::Jpeg,
        };
        assert_eq!(wish, expected);
        let saver = client(&["--quality", "saver", "--half", "--fps", "5"]).picture.wish(&settings);
        assert_eq!((saver.quality, saver.fps_max), (Quality::Saver { grey: false, half: true }, Some(5)));
    }

    #[test]
    fn what_makes_no_sense_of_the_picture_is_wrong_usage() {
        for wrong in [
            &["--grey"][..],
            &["--half", "--quality", "sharp"],
            &["--fps", "0"],
            &["--fps", "61"],
            &["--monitor", "0"],
            &["--monitor", "17"],
            &["--quality", "best"],
            &["--screenshot", "x.png", "--quality", "saver"],
            &["--screenshot", "x.png", "--stats"],
        ] {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
        let sentence = parse(&["--quality", "auto", "--grey"]).unwrap_err().to_string();
        assert!(sentence.contains("--quality saver"), "{sentence}");
    }

    #[test]
    fn a_recording_needs_no_name() {
        assert_eq!(client(&[]).record, None);
        assert_eq!(client(&["--record"]).record, Some(None));
        assert_eq!(client(&["--record", "a.mkv"]).record, Some(Some(PathBuf::from("a.mkv"))));
    }

    #[test]
    fn a_forward_is_a_port_here_and_an_address_there() {
        let parsed = |text| forward(text).map(|forward| (forward.local_port, forward.target.to_string()));
        assert_eq!(parsed("8080:localhost:80"), Ok((8080, "localhost:80".to_owned())));
        assert_eq!(parsed("0:[::1]:22"), Ok((0, "[::1]:22".to_owned())));
        for wrong in
            ["8080", "8080:80", "x:localhost:80", "8080:localhost:0", "8080::80", "70000:a:1", "1:a b:2"]
        {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

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
