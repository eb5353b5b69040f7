//! Which addresses may be dialled, and what is taken for a target.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::{net::IpAddr, time::Duration};

use tagio_proxy::{BadTarget, DialError, Dialer, Host, Target, TargetPolicy};

fn policy(allowed: &[&str]) -> TargetPolicy {
    TargetPolicy::new(allowed.iter().map(|net| net.parse().unwrap()).collect())
}

#[test]
fn public_addresses_may_be_dialled() {
    let policy = policy(&[]);
    for ip in [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.1",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2a00:1450:4001:801::200e",
        "::ffff:8.8.8.8",
        "2002:808:808::1",
        "64:ff9b::8.8.8.8",
    ] {
        assert!(policy.allows(ip.parse().unwrap()), "{ip}");
    }
}

#[test]
fn all_others_may_not() {
    let policy = policy(&[]);
    for ip in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:0.0.0.0",
        "::ffff:169.254.169.254",
        "::ffff:10.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::8.8.8.8",
        "2002:7f00:1::",
        "2002:c0a8:1::1",
        "2001::1",
        "2001:db8::1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "100::1",
        "5f00::1",
    ] {
        assert!(!policy.allows(ip.parse().unwrap()), "{ip}");
    }
}

#[test]
fn a_list_permits_more_in_whatever_form_it_is_asked_for() {
    let policy = policy(&["10.1.0.0/16", "fd12::/16", "127.0.0.1/32"]);
    let allowed = ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "fd12::1", "127.0.0.1", "8.8.8.8"];
    for ip in allowed {
        assert!(policy.allows(ip.parse().unwrap()), "{ip}");
    }
    for ip in ["10.2.0.0", "::ffff:10.2.0.0", "fd13::1", "127.0.0.2", "::1"] {
        assert!(!policy.allows(ip.parse().unwrap()), "{ip}");
    }
}

#[test]
fn every_ipv4_address_is_judged_the_same_in_its_ipv6_forms() {
    let policy = policy(&["172.20.0.0/14"]);
    // A step that is coprime to everything meets all networks.
    for bits in (0..=u32::MAX).step_by(65_521) {
        let plain = policy.allows(IpAddr::V4(bits.into()));
        let bits = u128::from(bits);
        for wide in [0xffff << 32 | bits, 0x0064_ff9b << 96 | bits, 0x2002 << 112 | bits << 80] {
            assert_eq!(policy.allows(IpAddr::V6(wide.into())), plain, "{}", std::net::Ipv6Addr::from(wide));
        }
    }
}

#[test]
fn targets_are_read_strictly() {
    for (text, host, port) in [
        ("example.org:80", "example.org", 80),
        ("1.2.3.4:443", "1.2.3.4", 443),
        ("[::1]:22", "::1", 22),
        ("a_b-c.example.:1", "a_b-c.example.", 1),
    ] {
        let target = Target::parse(text, None).unwrap();
        assert_eq!((target.host.to_string().as_str(), target.port), (host, port));
    }
    assert_eq!(Target::parse("example.org", Some(80)).unwrap().port, 80);
    assert_eq!(Target::parse("[::1]", Some(80)).unwrap().to_string(), "[::1]:80");
    for (text, wrong) in [
        ("example.org", BadTarget::Port),
        ("example.org:0", BadTarget::Port),
        ("example.org:65536", BadTarget::Port),
        ("example.org:http", BadTarget::Port),
        (":80", BadTarget::Host),
        ("::1:80", BadTarget::Host),
        ("[fe80::1%eth0]:80", BadTarget::Host),
        ("exa mple:80", BadTarget::Host),
        ("a..b:80", BadTarget::Host),
        ("user@example.org:80", BadTarget::Host),
        ("example.org/:80", BadTarget::Host),
        ("bücher.example:80", BadTarget::Host),
        ("a\0b:80", BadTarget::Host),
    ] {
        assert_eq!(Target::parse(text, None), Err(wrong), "{text}");
    }
    let long = format!("{}a", "a.".repeat(127));
    assert_eq!(long.parse::<Host>(), Err(BadTarget::Host));
}

#[test]
fn odd_forms_of_addresses_are_names() {
    for text in ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.0.01"] {
        assert_eq!(text.parse::<Host>(), Ok(Host::Name(text.into())), "{text}");
    }
}

#[tokio::test]
async fn what_a_resolver_makes_of_odd_forms_is_refused() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let dialer = Dialer::new(policy(&[]), Duration::from_secs(20));
    for host in ["localhost", "127.0.0.1", "0.0.0.0", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"] {
        let target = Target::new(host, port).unwrap();
        assert_eq!(dialer.connect(&target).await.unwrap_err(), DialError::NotAllowed, "{host}");
        assert_eq!(dialer.connect_udp(&target).await.unwrap_err(), DialError::NotAllowed, "{host}");
    }
    // Resolvers differ in which of these they know.
    for host in ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost."] {
        let error = dialer.connect(&Target::new(host, port).unwrap()).await.unwrap_err();
        assert!(matches!(error, DialError::NotAllowed | DialError::UnknownName), "{host}: {error}");
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody has come");
}

#[tokio::test]
async fn what_is_allowed_is_reached_by_name_and_address() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let dialer = Dialer::new(policy(&["127.0.0.0/8"]), Duration::from_secs(20));
    // `localhost` is often `::1` as well, which is not allowed: the other address is taken.
    for host in ["127.0.0.1", "::ffff:127.0.0.1", "localhost"] {
        let stream = dialer.connect(&Target::new(host, port).unwrap()).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap().port(), port, "{host}");
    }
    drop(listener);
    let gone = dialer.connect(&Target::new("127.0.0.1", port).unwrap()).await;
    assert_eq!(gone.unwrap_err(), DialError::Refused);
    let nobody = dialer.connect(&Target::new("no-such-name.invalid", port).unwrap()).await;
    assert_eq!(nobody.unwrap_err(), DialError::UnknownName);
}
