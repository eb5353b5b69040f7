//! A POP with its node as programs, and a web server as their target.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tagio_testkit::{
    TempDir, binaries, eventually,
    program::{self, Program},
    skipped,
};

pub(super) const LIMIT: Duration = Duration::from_secs(30);
pub(super) const UUID: &str = "08bd0658-1f61-11f0-8061-8bd115314f4c";
/// Lets users reach this machine through a node on it.
pub(super) const LOCAL_TOO: [&str; 4] = ["--allow", "127.0.0.0/8", "--allow", "::1/128"];

const NGINX: &str = "/usr/sbin/nginx";

pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Ports and folders of a relay that is a POP, and of its node.
pub(super) struct Pop {
    dir: TempDir,
    port: u16,
    pub(super) socks: u16,
    metrics: u16,
    user: Option<&'static str>,
}

impl Pop {
    /// With a user who has a password.
    pub(super) fn new() -> Self {
        let [port, socks, metrics] = [free_port(), free_port(), free_port()];
        Self { dir: TempDir::new(), port, socks, metrics, user: Some("anna:open sesame") }
    }

    /// Which lets everybody on this machine in, for programs that cannot show a password.
    pub(super) fn without_password() -> Self {
        Self { user: None, ..Self::new() }
    }

    /// Limits of relays that are started from now on, as the configuration has them.
    pub(super) fn set_limits(&self, limits: &str) {
        fs::write(self.config(), format!("[limits]\n{limits}\n")).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("relay.toml")
    }

    /// The POP.
    pub(super) fn relay(&self) -> Program {
        let relay = Program::start("relay", &mut self.relay_command());
        assert_eq!(relay.word("edge-socks", LIMIT), format!("127.0.0.1:{}", self.socks));
        relay
    }

    pub(super) fn relay_command(&self) -> Command {
        let mut command = Command::new(binaries::relay_server());
        command.env("TAGIO_DATA_DIR", self.dir.path().join("relay"));
        if let Some(user) = self.user {
            command.env("TAGIO_EDGE_USER", user);
        }
        command.args(["-b", &format!("127.0.0.1:{}", self.port)]);
        command.args(["--metrics-bind", &format!("127.0.0.1:{}", self.metrics)]);
        command.args(["--edge-socks", &format!("127.0.0.1:{}", self.socks)]);
        if self.config().exists() {
            command.arg("--config").arg(self.config());
        }
        command
    }

    /// A node that serves it.
    pub(super) fn node(&self, more: &[&str]) -> Program {
        let node = Program::start("edge", &mut self.node_command(more));
        assert_eq!(node.word("serving", LIMIT), format!("ws://127.0.0.1:{}/ws/node", self.port));
        node
    }

    pub(super) fn node_command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(binaries::gui());
        command.env("TAGIO_DATA_DIR", self.dir.path().join("node"));
        command.args(["edge", "--uuid", UUID, "--direct-url"]);
        command.arg(format!("http://127.0.0.1:{}/node/pop", self.port)).args(more);
        command
    }

    /// curl by the POP's front.
    pub(super) fn curl_command(&self) -> Command {
        let mut command = Command::new("curl");
        command.args(["--socks5-hostname", &format!("127.0.0.1:{}", self.socks)]);
        if let Some(user) = self.user {
            command.args(["--proxy-user", user]);
        }
        command
    }

    /// What curl prints, if it succeeds.
    pub(super) fn curl(&self, args: &[&str]) -> Result<String, String> {
        let output = self.curl_command().args(args).output().unwrap();
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        if output.status.success() { Ok(out) } else { Err(err) }
    }

    /// A number of the POP's metrics page.
    pub(super) fn metric(&self, name: &str) -> u64 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.metrics)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name}")).trim().parse().unwrap()
    }

    /// Waits until a number of the metrics page is this.
    #[track_caller]
    pub(super) fn wait_metric(&self, name: &str, value: u64) {
        let came = eventually(LIMIT, || (self.metric(name) == value).then_some(()));
        assert!(came.is_some(), "{name} stays at {}, expected {value}", self.metric(name));
    }
}

/// nginx, which serves files below `files` and takes new ones by PUT.
pub(super) struct Web {
    dir: TempDir,
    pub(super) port: u16,
    _nginx: Program,
}

impl Web {
    pub(super) fn start() -> Option<Self> {
        if !Path::new(NGINX).exists() {
            skipped("nginx is not installed");
            return None;
        }
        let (dir, port) = (TempDir::new(), free_port());
        let root = dir.path().display();
        let config = format!(
            "daemon off; master_process off; pid {root}/pid; error_log stderr warn; worker_rlimit_nofile 8192;
             events {{ worker_connections 4096; }}
             http {{
               access_log off; client_max_body_size 0;
               client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
               fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
               server {{
                 listen 127.0.0.1:{port} backlog=4096;
                 location / {{ root {root}/files; dav_methods PUT; create_full_put_path on; }}
               }}
             }}"
        );
        fs::create_dir(dir.path().join("files")).unwrap();
        let file = dir.path().join("nginx.conf");
        fs::write(&file, config).unwrap();
        let mut command = Command::new(NGINX);
        command.args(["-e", "stderr", "-c"]).arg(&file);
        let nginx = Program::start("nginx", &mut command);
        let listens = eventually(LIMIT, || TcpStream::connect(("127.0.0.1", port)).ok());
        assert!(listens.is_some(), "{nginx:?}");
        Some(Self { dir, port, _nginx: nginx })
    }

    /// A file that it serves.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("files").join(name)
    }

    pub(super) fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }
}

/// Bytes that no two places or seeds have in common for long.
pub(super) fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    next.take(len.div_ceil(8)).flatten().take(len).collect()
}

/// The SHA-256 of a file.
pub(super) fn sha256(file: &Path) -> String {
    let line = program::run("sha256sum", &[file]).unwrap();
    line.split(' ').next().unwrap().to_owned()
}
