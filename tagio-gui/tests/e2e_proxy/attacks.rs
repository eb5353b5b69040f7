//! Name servers that lie, in a network of their own: what leads to the machine itself is refused, whoever says it.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tagio_testkit::{LyingDns, Namespace, Program, TempDir, lying_dns::Lies};

use crate::{
    lab::{LIMIT, TOKEN, gui_command, pin, relay_command},
    web::free_port,
};

/// Given to the network's loopback, so that a public address can be reached without a packet that leaves it.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(8, 8, 8, 8);

/// Says `text` to everybody who comes, and counts them.
fn serve(namespace: &Namespace, at: SocketAddr, text: &'static str) -> Arc<AtomicUsize> {
    let listener = namespace.on_thread(|| Ok(TcpListener::bind(at)?)).unwrap();
    let visits = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&visits);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
            // Who leaves early has seen enough.
            let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(reply.as_bytes()));
        }
    });
    visits
}

#[test]
fn a_name_server_that_lies_does_not_lead_inside() {
    let Some(namespace) = Namespace::new("dns") else { return };
    namespace.add_address(PUBLIC).unwrap();
    let [public, inside, nowhere] =
        ["8.8.8.8", "127.0.0.1", "0.0.0.0"].map(|ip| ip.parse::<IpAddr>().unwrap());
    let v6 = |text: &str| text.parse::<IpAddr>().unwrap();
    let lies: Lies<'_> = &[
        ("rebinding.test", &[&[public], &[inside]]),
        ("both.test", &[&[inside, public]]),
        ("inside.test", &[&[inside]]),
        ("nowhere.test", &[&[nowhere]]),
        ("private.test", &[&["10.0.0.1".parse().unwrap()]]),
        ("metadata.test", &[&["169.254.169.254".parse().unwrap()]]),
        ("six.test", &[&[v6("::1")]]),
        ("mapped.test", &[&[v6("::ffff:127.0.0.1")]]),
        ("nat64.test", &[&[v6("64:ff9b::7f00:1")]]),
    ];
    let _dns = LyingDns::start(&namespace, lies).unwrap();
    let (port, web) = (free_port(), free_port());
    let secrets = [inside, v6("::1")].map(|ip| serve(&namespace, SocketAddr::new(ip, web), "a secret"));
    serve(&namespace, SocketAddr::new(PUBLIC.into(), web), "public");

    let (relay_dir, gui_dir) = (TempDir::new(), TempDir::new());
    let relay = Program::start("relay", &mut namespace.inside(&relay_command(&relay_dir, port)));
    let (pin, server) = (pin(&relay), format!("127.0.0.1:{port}"));
    let arguments = ["--server", &server, "--token", TOKEN, "--pin", &pin];
    let doors = ["--socks5", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let command = gui_command(&gui_dir, &[&arguments[..], &doors].concat());
    let client = Program::start("proxy", &mut namespace.inside(&command));
    let (socks5, http) = (client.word("socks5", LIMIT), client.word("http", LIMIT));
    client.word("tunnel", LIMIT);
    let fetch = |scheme: &str, door: &str, name: &str| {
        let (proxy, url) = (format!("{scheme}://{door}"), format!("http://{name}:{web}/"));
        let fetched = namespace.run(&["curl", "-sS", "-m", "20", "--noproxy", "", "--proxy", &proxy, &url]);
        fetched.unwrap_or_else(|error| format!("{error:#}"))
    };

    assert_eq!(fetch("http", &http, "rebinding.test"), "public");
    for _ in 0..3 {
        assert_eq!(fetch("http", &http, "both.test"), "public");
        for (name, _) in lies.iter().filter(|(name, _)| *name != "both.test") {
            let refused = fetch("http", &http, name);
            assert!(refused.contains("not allowed"), "{name}: {refused}");
            // The code of RFC 1928 for "not allowed by ruleset".
            let refused = fetch("socks5h", &socks5, name);
            assert!(refused.contains("(2)"), "{name}: {refused}");
        }
    }
    for secret in secrets {
        assert_eq!(secret.load(Ordering::Relaxed), 0);
    }
}
