//! Users who want where they may not go, by a name server that lies. As root only.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    process::Command,
};

use tagio_testkit::{
    LyingDns, Namespace, TempDir, eventually,
    program::{Program, Stream},
};

use super::parts::{LIMIT, Pop};

/// An address that everybody may dial. It belongs to the test's own network, which has no way out.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(1, 2, 3, 4);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A web server with one page.
fn service(network: &Namespace, dir: &TempDir, ip: Ipv4Addr, page: &str) -> Program {
    let folder = dir.path().join(ip.to_string());
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("page"), page).unwrap();
    let mut python = Command::new("python3");
    python.args(["-u", "-m", "http.server", "8000", "--bind", &ip.to_string(), "--directory"]).arg(folder);
    let service = Program::start(page, &mut network.inside(&python));
    let url = format!("http://{ip}:8000/page");
    let served = || network.run(&["curl", "-sf", "--noproxy", "*", &url]).ok();
    assert_eq!(eventually(LIMIT, served).as_deref(), Some(page), "{service:?}");
    service
}

#[test]
fn names_that_lie_lead_nowhere_private() {
    let Some(network) = Namespace::new("edge") else { return };
    network.add_address(PUBLIC).unwrap();
    let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    let nat64 = IpAddr::V6(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0x7f00, 1));
    let private = [
        ("here.test", HERE),
        ("lan.test", IpAddr::from([10, 0, 0, 1])),
        ("zero.test", IpAddr::from([0, 0, 0, 0])),
        ("secrets.test", IpAddr::from([169, 254, 169, 254])),
        ("mapped.test", mapped),
        ("nat64.test", nat64),
    ];
    let answers: Vec<_> = private.iter().map(|(name, ip)| (*name, [*ip])).collect();
    let turns: Vec<_> = answers.iter().map(|(name, ip)| (*name, [&ip[..]])).collect();
    let mut names: Vec<(&str, &[&[IpAddr]])> =
        turns.iter().map(|(name, turns)| (*name, &turns[..])).collect();
    names.push(("mixed.test", &[&[HERE, IpAddr::V4(PUBLIC)]]));
    names.push(("rebound.test", &[&[IpAddr::V4(PUBLIC)], &[HERE]]));
    let _names = LyingDns::start(&network, &names).unwrap();

    let dir = TempDir::new();
    let _public = service(&network, &dir, PUBLIC, "public");
    let secret = service(&network, &dir, Ipv4Addr::LOCALHOST, "secret");
    let asked = secret.lines_of(Stream::Err).len();
    let pop = Pop::new();
    let relay = Program::start("relay", &mut network.inside(&pop.relay_command()));
    relay.word("edge-socks", LIMIT);
    let node = Program::start("edge", &mut network.inside(&pop.node_command(&[])));
    node.word("serving", LIMIT);
    let fetch = |host: &str| {
        let mut curl = pop.curl_command();
        curl.args(["-sS", "-m", "20", &format!("http://{host}:8000/page")]);
        let output = network.inside(&curl).output().unwrap();
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        if output.status.success() { Ok(out) } else { Err(err) }
    };

    assert_eq!(fetch("1.2.3.4").as_deref(), Ok("public"), "{node:?}");
    assert_eq!(fetch("mixed.test").as_deref(), Ok("public"), "what is private of a name is left out");
    assert_eq!(fetch("rebound.test").as_deref(), Ok("public"), "first it is public");
    let forms = ["127.0.0.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "localhost"];
    let names = private.iter().map(|(name, _)| *name).chain(["rebound.test"]);
    for host in names.chain(forms) {
        let refused = fetch(host).unwrap_err();
        // RFC 1928: not allowed by ruleset.
        assert!(refused.contains("(2)"), "{host}: {refused} {node:?}");
    }
    // curl makes addresses of some of these itself; a resolver may know none for others.
    for host in ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "017700000001"] {
        let refused = fetch(host).unwrap_err();
        assert!(refused.contains("(2)") || refused.contains("(4)"), "{host}: {refused}");
    }
    assert_eq!(secret.lines_of(Stream::Err).len(), asked, "nobody reached it: {secret:?}");
}
