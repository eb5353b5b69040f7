//! How much one address may take.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use tagio_relay_core::{
    Admission, Denial, Limits, Phase, SourceNet,
    rate::{ByteRate, Rate, RateTable},
};

fn net(text: &str) -> SourceNet {
    SourceNet::from(text.parse::<IpAddr>().unwrap())
}

#[test]
fn an_ipv6_customer_is_one_address_and_mapped_ipv4_is_ipv4() {
    assert_eq!(net("2001:db8:1:2::1"), net("2001:db8:1:2:ffff::9"));
    assert_ne!(net("2001:db8:1:2::1"), net("2001:db8:1:3::1"));
    assert_eq!(net("::ffff:192.0.2.1"), net("192.0.2.1"));
    assert_ne!(net("192.0.2.1"), net("192.0.2.2"));
}

#[test]
fn connections_and_handshakes_are_counted_by_address_and_given_back() {
    let limits = Limits {
        connections_max: 4,
        connections_per_ip_max: 3,
        handshakes_per_ip_max: 2,
        ..Limits::default()
    };
    let mut admission = Admission::new(limits);
    let (a, b) = (net("192.0.2.1"), net("192.0.2.2"));
    assert_eq!((admission.open(a), admission.open(a)), (Ok(()), Ok(())));
    assert_eq!(admission.open(a), Err(Denial::HandshakesPerIp));
    admission.established(a);
    assert_eq!(admission.open(a), Ok(()));
    admission.established(a);
    assert_eq!(admission.open(a), Err(Denial::ConnectionsPerIp));
    assert_eq!(admission.open(b), Ok(()));
    assert_eq!(admission.open(b), Err(Denial::Full));
    admission.close(a, Phase::Opening);
    admission.close(a, Phase::Established);
    admission.close(a, Phase::Established);
    admission.close(b, Phase::Opening);
    assert_eq!((admission.connections(), admission.nets()), (0, 0), "nothing is remembered");
}

#[test]
fn a_rate_allows_its_burst_then_one_per_interval() {
    let rate = Rate::new(3, 1000);
    let (mut table, start) = (RateTable::new(10), Instant::now());
    for _ in 0..3 {
        assert_eq!(table.spend("a", rate, start), Ok(()));
    }
    assert_eq!(table.spend("a", rate, start), Err(Duration::from_secs(1)));
    assert!(!table.allows(&"a", rate, start) && table.allows(&"b", rate, start));
    assert_eq!(table.spend("b", rate, start), Ok(()));
    let later = start + Duration::from_millis(1000);
    assert_eq!(table.spend("a", rate, later), Ok(()));
    assert!(table.spend("a", rate, later).is_err());
    table.forget_full(start + Duration::from_secs(60));
    assert!(table.is_empty());
}

#[test]
fn a_full_rate_table_refuses_newcomers_only() {
    let rate = Rate::new(2, 1000);
    let (mut table, now) = (RateTable::new(2), Instant::now());
    assert_eq!((table.spend(1, rate, now), table.spend(2, rate, now)), (Ok(()), Ok(())));
    assert!(table.spend(3, rate, now).is_err());
    assert_eq!(table.spend(1, rate, now), Ok(()));
    assert_eq!(table.len(), 2);
}

#[test]
fn wrong_secrets_close_the_door_for_a_while() {
    let mut admission = Admission::new(Limits::default());
    let (a, now) = (net("192.0.2.1"), Instant::now());
    for _ in 0..5 {
        assert_eq!(admission.may_try_secret(a, now), Ok(()));
        admission.wrong_secret(a, now);
    }
    assert_eq!(admission.may_try_secret(a, now), Err(Denial::WrongSecretRate));
    assert_eq!(admission.may_try_secret(net("192.0.2.2"), now), Ok(()));
    assert_eq!(admission.may_try_secret(a, now + Duration::from_secs(10)), Ok(()));
}

#[test]
fn limits_come_from_toml_and_a_typing_error_is_none() {
    let limits: Limits = toml::from_str("legs-max = 5").unwrap();
    assert_eq!(limits, Limits { legs_max: 5, ..Limits::default() });
    let error = toml::from_str::<Limits>("legs-maxx = 5").unwrap_err().to_string();
    assert!(error.contains("legs-maxx"), "{error}");
}

#[test]
fn bytes_of_whom_a_full_rate_table_has_no_place_for_go_at_the_rate_without_a_burst() {
    let (mut table, now) = (RateTable::new(1), Instant::now());
    let rate = ByteRate::new(1000).unwrap();
    assert_eq!(table.spend_bytes(&"a", rate, 1000, now), Duration::ZERO);
    assert_eq!(table.spend_bytes(&"b", rate, 1000, now), Duration::from_secs(1));
    table.forget_full(now + Duration::from_secs(1));
    assert_eq!(table.spend_bytes(&"b", rate, 1000, now), Duration::ZERO);
    assert!(!table.allows_bytes(&"b", rate, 1, now) && table.allows_bytes(&"a", rate, 1, now));
    assert_eq!(ByteRate::new(0), None, "no limit");
}
