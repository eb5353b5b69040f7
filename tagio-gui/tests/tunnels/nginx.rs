//! nginx, as a service behind a tunnel.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tagio_testkit::{TempDir, program, program::Program};

use super::{free_port, wait_port};

/// nginx with a file and an upload folder, by HTTP and by HTTPS with HTTP/2.
pub(crate) struct Nginx {
    _program: Program,
    dir: TempDir,
    pub(crate) http: u16,
    pub(crate) https: u16,
}

impl Nginx {
    pub(crate) fn start(nginx: &Path, page: &[u8]) -> Self {
        let (dir, http, https) = (TempDir::new(), free_port(), free_port());
        let root = dir.path().display();
        for folder in ["files", "temporary"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        fs::write(dir.path().join("files/page"), page).unwrap();
        certify(dir.path(), "app.tunnel.test");
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {root}/temporary;"))
            .concat();
        let config = format!(
            "daemon off; master_process off; pid {root}/pid; error_log stderr warn;
             events {{ worker_connections 16384; }}
             http {{
               access_log off; keepalive_timeout 1h; {temporary}
               server {{
                 listen 127.0.0.1:{http}; listen 127.0.0.1:{https} ssl http2;
                 ssl_certificate {root}/cert.pem; ssl_certificate_key {root}/key.pem;
                 root {root}/files; dav_methods PUT; client_max_body_size 0;
                 location = /word {{ return 200 'hello'; }}
               }}
             }}"
        );
        let file = dir.path().join("nginx.conf");
        fs::write(&file, config).unwrap();
        let mut command = Command::new(nginx);
        command.args(["-e", "stderr", "-c"]).arg(&file);
        let program = Program::start("nginx", &mut command);
        wait_port(https, &program);
        Self { _program: program, dir, http, https }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// A certificate for this name, and its key, in `dir`.
fn certify(dir: &Path, name: &str) {
    let [cert, key] = ["cert.pem", "key.pem"].map(|file| dir.join(file).display().to_string());
    let (subject, also) = (format!("/CN={name}"), format!("subjectAltName=DNS:{name}"));
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let usual = ["req", "-x509", "-days", "2", "-subj", &subject, "-addext", &also];
    program::run("openssl", &[&usual[..], &curve, &["-keyout", &key, "-out", &cert]].concat()).unwrap();
}
