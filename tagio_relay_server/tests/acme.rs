//! A certificate from an authority that others wrote: pebble, Let's Encrypt's own test server.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use common::{Relay, carriers::tls};
use rcgen::generate_simple_self_signed;
use tagio_relay_server::{Acme, CertificateSource};
use tagio_testkit::{TempDir, skipped};
use tokio::{net::TcpStream, time::sleep};

const PEBBLE: &str = "/usr/bin/pebble";
/// Answers every name with 127.0.0.1.
const NAMES: &str = "/usr/bin/pebble-challtestsrv";
const DOMAIN: &str = "relay.example";

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(command: &mut Command) -> Running {
    Running(command.stdout(Stdio::null()).spawn().unwrap())
}

fn free_addr() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The leaf that the relay shows now.
async fn certificate(relay: &Relay) -> Vec<u8> {
    let stream = tls(relay.addr).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// An authority that looks for relays at `relay`, and how to ask it.
async fn authority(dir: &Path, relay: SocketAddr) -> (Vec<Running>, Acme) {
    let own = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    fs::write(&cert, own.cert.pem()).unwrap();
    fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let (listen, manage, names, names_manage) = (free_addr(), free_addr(), free_addr(), free_addr());
    let config = format!(
        r#"{{"pebble": {{"listenAddress": "{listen}", "managementListenAddress": "{manage}",
            "certificate": "{}", "privateKey": "{}", "httpPort": 1, "tlsPort": {},
            "ocspResponderURL": "", "externalAccountBindingRequired": false}}}}"#,
        cert.display(),
        key.display(),
        relay.port()
    );
    let file = dir.join("pebble.json");
    fs::write(&file, config).unwrap();
    let programs = vec![
        run(Command::new(NAMES)
            .args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""])
            .args(["-defaultIPv4", "127.0.0.1", "-dns01", &names.to_string()])
            .args(["-management", &names_manage.to_string()])),
        run(Command::new(PEBBLE)
            .env("PEBBLE_VA_NOSLEEP", "1")
            .arg("-config")
            .arg(&file)
            .args(["-dnsserver", &names.to_string()])),
    ];
    for addr in [listen, names_manage] {
        while TcpStream::connect(addr).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    }
    let acme = Acme {
        domains: vec![DOMAIN.to_owned()],
        contact: vec!["mailto:admin@relay.example".to_owned()],
        directory: format!("https://localhost:{}/dir", listen.port()),
        directory_ca: Some(cert),
        agree_to_terms: true,
    };
    (programs, acme)
}

#[tokio::test]
async fn an_authority_finds_the_relay_and_its_certificate_is_shown_and_kept() {
    if !Path::new(PEBBLE).exists() || !Path::new(NAMES).exists() {
        return skipped("pebble is not installed");
    }
    let (dir, addr) = (TempDir::new(), free_addr());
    let (programs, acme) = authority(dir.path(), addr).await;
    let source = CertificateSource::Acme(acme);
    let start = |config: &mut tagio_relay_server::Config| {
        config.binds = vec![addr];
        config.certificate = source.clone();
    };
    let relay = Relay::start_with(start).await;
    let mut shown = certificate(&relay).await;
    for _ in 0..600 {
        if names(&shown, DOMAIN) {
            break;
        }
        sleep(Duration::from_millis(100)).await;
        shown = certificate(&relay).await;
    }
    assert!(names(&shown, DOMAIN), "no certificate within a minute");
    // The authority is gone; what it gave is not.
    drop(programs);
    let relay = Relay::start_in(relay.stop().await, start).await;
    assert_eq!(certificate(&relay).await, shown);
}

/// Whether a certificate is for a name, which stands in it as text.
fn names(certificate: &[u8], name: &str) -> bool {
    certificate.windows(name.len()).any(|window| window == name.as_bytes())
}
