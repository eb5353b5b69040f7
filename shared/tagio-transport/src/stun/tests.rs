//! What follows from answers.

use super::*;

const LOCAL: &str = "192.168.1.10:5000";
/// In the order in which a relay with two addresses is asked.
const SERVERS: [&str; 4] = ["203.0.113.10:443", "203.0.113.10:444", "203.0.113.11:444", "203.0.113.11:443"];

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The first vantage points see these ports of one public address.
fn ports(ports: &[u16]) -> Vec<Answer> {
    let seen = |port: &u16| SocketAddr::new([198, 51, 100, 1].into(), *port);
    SERVERS
        .iter()
        .zip(ports)
        .map(|(server, port)| Answer { server: addr(server), mapped: seen(port) })
        .collect()
}

fn mapping(seen: &[u16]) -> Mapping {
    classify(addr(LOCAL), &ports(seen)).mapping
}

#[test]
fn silence_means_blocked() {
    let report = classify(addr(LOCAL), &[]);
    assert_eq!(report, NatReport { mapping: Mapping::Blocked, public: None, local_is_public: false });
}

#[test]
fn one_port_for_all_is_endpoint_independent() {
    assert_eq!(mapping(&[6000, 6000]), Mapping::EndpointIndependent);
    assert_eq!(mapping(&[6000, 6000, 6000, 6000]), Mapping::EndpointIndependent);
    let report = classify(addr(LOCAL), &ports(&[5000, 5000, 5000]));
    assert_eq!(report.public, Some(addr("198.51.100.1:5000")));
    assert!(!report.local_is_public, "the same port, yet another address");
}

#[test]
fn one_vantage_point_tells_nothing_but_that_there_is_no_nat() {
    assert_eq!(mapping(&[6000]), Mapping::Unknown);
    let twice = [ports(&[6000]), ports(&[6000])].concat();
    assert_eq!(classify(addr(LOCAL), &twice).mapping, Mapping::Unknown, "asked twice");
    let open = Answer { server: addr(SERVERS[0]), mapped: addr(LOCAL) };
    let report = classify(addr(LOCAL), &[open]);
    assert_eq!(report.mapping, Mapping::EndpointIndependent);
    assert!(report.local_is_public);
}

#[test]
fn ports_that_count_are_sequential() {
    assert_eq!(mapping(&[6000, 6001, 6002]), Mapping::Sequential { step: 1 });
    assert_eq!(mapping(&[6000, 6002, 6004, 6006]), Mapping::Sequential { step: 2 });
    assert_eq!(mapping(&[6006, 6005, 6004, 6003]), Mapping::Sequential { step: -1 });
    assert_eq!(mapping(&[6000, 6008]), Mapping::Sequential { step: 8 });
    assert_eq!(classify(addr(LOCAL), &ports(&[6000, 6001, 6002])).public, Some(addr("198.51.100.1:6002")));
}

#[test]
fn others_behind_the_same_nat_do_not_hide_the_step() {
    assert_eq!(mapping(&[6000, 6003, 6004, 6011]), Mapping::Sequential { step: 1 });
}

#[test]
fn the_mapping_of_the_main_port_may_be_old() {
    assert_eq!(mapping(&[51_000, 6001, 6002, 6003]), Mapping::Sequential { step: 1 });
    assert_eq!(mapping(&[51_000, 6001, 6002]), Mapping::Sequential { step: 1 });
    assert_eq!(mapping(&[51_000, 6001]), Mapping::Random, "one step alone shows no pattern");
}

#[test]
fn ports_without_a_pattern_are_random() {
    assert_eq!(mapping(&[6000, 40_000]), Mapping::Random);
    assert_eq!(mapping(&[6000, 40_000, 1025, 33_333]), Mapping::Random);
    assert_eq!(mapping(&[6000, 6001, 6003, 6002]), Mapping::Random, "forth and back");
    assert_eq!(mapping(&[6000, 6001, 6010, 6019]), Mapping::Random, "steps of nine");
    assert_eq!(mapping(&[6000, 6001, 6002, 6060]), Mapping::Random, "a gap too wide to guess across");
}

#[test]
fn a_mapping_by_address_is_not_endpoint_independent() {
    assert_eq!(mapping(&[6000, 6000, 40_000, 40_000]), Mapping::Random);
    assert_eq!(mapping(&[6000, 6000, 6001, 6001]), Mapping::Sequential { step: 1 });
}

#[test]
fn several_public_addresses_cannot_be_predicted() {
    let mut answers = ports(&[6000, 6001, 6002]);
    answers[2].mapped = addr("198.51.100.2:6002");
    assert_eq!(classify(addr(LOCAL), &answers).mapping, Mapping::Random);
    for answer in &mut answers {
        answer.mapped.set_port(6000);
    }
    assert_eq!(
        classify(addr(LOCAL), &answers).mapping,
        Mapping::Random,
        "the same port is not the same address"
    );
}

#[test]
fn a_server_with_two_addresses_is_asked_at_all_four_corners() {
    let found = vantage_points(addr(SERVERS[0]), addr(SERVERS[2]));
    assert_eq!(found, [addr(SERVERS[1]), addr(SERVERS[2]), addr(SERVERS[3])]);
}

#[test]
fn a_server_cannot_send_questions_where_it_could_not_listen() {
    let relay = addr(SERVERS[0]);
    let port_only = [addr("203.0.113.10:444")];
    assert_eq!(vantage_points(relay, addr("203.0.113.10:444")), port_only);
    for elsewhere in ["10.0.0.5:444", "127.0.0.1:444", "169.254.1.1:444", "[2001:db8::1]:444", "0.0.0.0:444"]
    {
        assert_eq!(vantage_points(relay, addr(elsewhere)), port_only, "{elsewhere}");
    }
    assert_eq!(vantage_points(relay, addr("224.0.0.1:444")), port_only);
    assert_eq!(vantage_points(relay, relay), []);
    assert_eq!(vantage_points(relay, addr("203.0.113.10:0")), []);
    assert_eq!(vantage_points(addr("127.0.0.1:443"), addr("127.0.0.2:444")).len(), 3);
}
