//! nginx with a folder of files, which can be fetched and put, in the clear and by TLS with HTTP/2.
#![allow(dead_code, reason = "each test program uses its part of it")]

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use tagio_testkit::{Program, TempDir, eventually, program::run, skipped};

const NGINX: &str = "/usr/sbin/nginx";
const GIBIBYTE: u64 = 1 << 30;
const LIMIT: Duration = Duration::from_secs(20);

/// See the module.
pub(crate) struct Web {
    /// In the clear.
    pub(crate) port: u16,
    /// By TLS.
    pub(crate) tls_port: u16,
    dir: TempDir,
    _nginx: Program,
}

impl Web {
    /// `None`, loudly, where nginx is not installed.
    pub(crate) fn start() -> Option<Self> {
        if !fs::exists(NGINX).unwrap_or_default() {
            skipped("nginx is missing; scripts/setup.sh installs it");
            return None;
        }
        let dir = TempDir::new();
        let (port, tls_port) = (free_port(), free_port());
        let at = dir.path().display();
        // Its workers are somebody else, when it is started by root.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        #[rustfmt::skip]
        run("openssl", &["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-keyout", &format!("{at}/key"), "-out", &format!("{at}/certificate")]).unwrap();
        let config = format!(
            "daemon off; pid {at}/pid; error_log stderr; user root;\n\
             events {{ }}\n\
             http {{\n\
             access_log off; client_max_body_size 2g; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
             fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
             server {{ listen 127.0.0.1:{port}; listen 127.0.0.1:{tls_port} ssl http2; root {at}/files;\n\
             ssl_certificate {at}/certificate; ssl_certificate_key {at}/key; dav_methods PUT; }}\n\
             }}\n"
        );
        fs::create_dir(dir.path().join("files")).unwrap();
        fs::write(dir.path().join("config"), config).unwrap();
        let mut command = Command::new(NGINX);
        command.args(["-e", "stderr", "-c", &format!("{at}/config")]);
        let nginx = Program::start("nginx", &mut command);
        let answers = || std::net::TcpStream::connect(("127.0.0.1", tls_port)).ok();
        assert!(eventually(LIMIT, answers).is_some(), "{nginx:?}");
        Some(Self { port, tls_port, dir, _nginx: nginx })
    }

    /// Where a file of this name lies.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("files").join(name)
    }

    /// A gibibyte from there and to there, by curl, which goes this way; prints how long they took.
    pub(crate) fn transfer_a_gibibyte(&self, way: &[&str], authority: &str) {
        let path = |name: &str| self.file(name).display().to_string();
        let made = format!("head -c {GIBIBYTE} /dev/urandom > '{}'", path("large"));
        run("sh", &["-c", &made]).unwrap();
        let sum = |name: &str| run("sha256sum", &[path(name)]).unwrap()[..64].to_owned();
        let curl = |more: &[&str]| {
            let begun = Instant::now();
            run("curl", &[&["-sSf", "--noproxy", ""], way, more].concat()).unwrap();
            begun.elapsed()
        };
        let down = curl(&["-o", &path("down"), &format!("http://{authority}/large")]);
        let up = curl(&["-T", &path("large"), &format!("http://{authority}/up")]);
        let wanted = sum("large");
        assert_eq!([sum("down"), sum("up")], [wanted.clone(), wanted]);
        let rate = |time: Duration| 8.0 * GIBIBYTE as f64 / 1e9 / time.as_secs_f64();
        println!("from there: {down:.1?}, {:.2} Gb/s; to there: {up:.1?}, {:.2} Gb/s", rate(down), rate(up));
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
