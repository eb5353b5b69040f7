//! What a NAT reads of an IPv4 packet and writes into it; and the hops that any IP packet has left.

use std::net::{Ipv4Addr, SocketAddrV4};

/// Where things stand in an IPv4 header.
const FRAGMENT_AT: usize = 6;
const TTL_AT: usize = 8;
const PROTOCOL_AT: usize = 9;
const HEADER_CHECKSUM_AT: usize = 10;
const SOURCE_AT: usize = 12;
const DESTINATION_AT: usize = 16;
const HEADER_BYTES_MIN: usize = 20;

/// "More fragments" and the offset; not "don't fragment".
const FRAGMENT_BITS: u16 = 0x3fff;

/// Where an IPv6 header has its hop limit, which no checksum covers.
const HOP_LIMIT_AT: usize = 7;

const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;

/// What a NAT keeps apart: a port of one is no port of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Protocol {
    Udp,
    Tcp,
    /// ICMP echo, whose identifier takes the place of the asking side's port; the other side's is 0.
    Echo,
}

/// Where a packet of its protocol has ports and a checksum, in bytes from its beginning.
#[derive(Clone, Copy, Debug)]
struct Layout {
    source_port_at: Option<usize>,
    destination_port_at: Option<usize>,
    checksum_at: usize,
}

/// A whole IPv4 packet of a protocol that a NAT can translate.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    bytes: &'a mut [u8],
    pub(super) protocol: Protocol,
    layout: Layout,
}

impl<'a> Packet<'a> {
    /// `None` for all that is neither UDP, nor TCP, nor an echo; and for fragments, which have no ports.
    pub(super) fn parse(bytes: &'a mut [u8]) -> Option<Self> {
        if bytes.len() < HEADER_BYTES_MIN
            || bytes[0] >> 4 != 4
            || word(bytes, FRAGMENT_AT) & FRAGMENT_BITS != 0
        {
            return None;
        }
        let at = usize::from(bytes[0] & 15) * 4;
        let layout = |source_port_at, destination_port_at, checksum_at| Layout {
            source_port_at,
            destination_port_at,
            checksum_at,
        };
        let (protocol, layout, bytes_min) = match (bytes[PROTOCOL_AT], bytes.get(at).copied()) {
            (17, _) => (Protocol::Udp, layout(Some(at), Some(at + 2), at + 6), at + 8),
            (6, _) => (Protocol::Tcp, layout(Some(at), Some(at + 2), at + 16), at + 20),
            (1, Some(ECHO_REQUEST)) => (Protocol::Echo, layout(Some(at + 4), None, at + 2), at + 8),
            (1, Some(ECHO_REPLY)) => (Protocol::Echo, layout(None, Some(at + 4), at + 2), at + 8),
            _ => return None,
        };
        (bytes.len() >= bytes_min).then_some(Self { bytes, protocol, layout })
    }

    pub(super) fn source(&self) -> SocketAddrV4 {
        self.endpoint(SOURCE_AT, self.layout.source_port_at)
    }

    pub(super) fn destination(&self) -> SocketAddrV4 {
        self.endpoint(DESTINATION_AT, self.layout.destination_port_at)
    }

    pub(super) fn set_source(&mut self, to: SocketAddrV4) {
        self.rewrite(SOURCE_AT, self.layout.source_port_at, to);
    }

    pub(super) fn set_destination(&mut self, to: SocketAddrV4) {
        self.rewrite(DESTINATION_AT, self.layout.destination_port_at, to);
    }

    fn endpoint(&self, address_at: usize, port_at: Option<usize>) -> SocketAddrV4 {
        let address = self.bytes[address_at..].first_chunk::<4>().expect("parsed: a whole header");
        SocketAddrV4::new(Ipv4Addr::from(*address), port_at.map_or(0, |at| word(self.bytes, at)))
    }

    fn rewrite(&mut self, address_at: usize, port_at: Option<usize>, to: SocketAddrV4) {
        let [a, b, c, d] = to.ip().octets();
        for (at, new) in [(address_at, [a, b]), (address_at + 2, [c, d])] {
            let old = word(self.bytes, at);
            let new = u16::from_be_bytes(new);
            set_word(self.bytes, at, new);
            self.adjust(HEADER_CHECKSUM_AT, old, new);
            // The checksums of UDP and TCP cover the addresses too.
            if self.protocol != Protocol::Echo {
                self.adjust_own(old, new);
            }
        }
        if let Some(at) = port_at {
            let old = word(self.bytes, at);
            set_word(self.bytes, at, to.port());
            self.adjust_own(old, to.port());
        }
    }

    /// The checksum of the protocol inside; 0 says in UDP that there is none.
    fn adjust_own(&mut self, old: u16, new: u16) {
        let at = self.layout.checksum_at;
        if self.protocol == Protocol::Udp && word(self.bytes, at) == 0 {
            return;
        }
        self.adjust(at, old, new);
        if self.protocol == Protocol::Udp && word(self.bytes, at) == 0 {
            set_word(self.bytes, at, 0xffff);
        }
    }

    fn adjust(&mut self, checksum_at: usize, old: u16, new: u16) {
        let checksum = adjusted(word(self.bytes, checksum_at), old, new);
        set_word(self.bytes, checksum_at, checksum);
    }
}

/// Adds hops to what an IPv4 or IPv6 packet has left, or takes some. `false`: it has come to its end.
pub(super) fn change_hops(packet: &mut [u8], by: i16) -> bool {
    let at = match packet.first().map(|first| first >> 4) {
        Some(4) if packet.len() >= HEADER_BYTES_MIN => TTL_AT,
        Some(6) if packet.len() > HOP_LIMIT_AT => HOP_LIMIT_AT,
        _ => return false,
    };
    let Ok(hops @ 1..) = u8::try_from(i16::from(packet[at]) + by) else { return false };
    let old = word(packet, TTL_AT);
    packet[at] = hops;
    if at == TTL_AT {
        let checksum = adjusted(word(packet, HEADER_CHECKSUM_AT), old, word(packet, TTL_AT));
        set_word(packet, HEADER_CHECKSUM_AT, checksum);
    }
    true
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn set_word(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// A checksum after one word of what it covers has changed (RFC 1624).
fn adjusted(checksum: u16, old: u16, new: u16) -> u16 {
    !folded(u32::from(!checksum) + u32::from(!old) + u32::from(new))
}

const fn folded(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn sum(bytes: &[u8]) -> u32 {
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum()
    }

    /// The checksum of the whole, pseudo header included where there is one, which is 0 when all is right.
    fn own_checksum(packet: &[u8]) -> u16 {
        let body = &packet[HEADER_BYTES_MIN..];
        let pseudo = match packet[PROTOCOL_AT] {
            1 => 0,
            protocol => sum(&packet[SOURCE_AT..HEADER_BYTES_MIN]) + u32::from(protocol) + body.len() as u32,
        };
        !folded(sum(body) + pseudo)
    }

    fn header_checksum(packet: &[u8]) -> u16 {
        !folded(sum(&packet[..HEADER_BYTES_MIN]))
    }

    fn assert_intact(packet: &[u8]) {
        assert_eq!((header_checksum(packet), own_checksum(packet)), (0, 0), "{packet:02x?}");
    }

    /// A packet with five bytes in it and right checksums.
    pub(in super::super) fn packet(protocol: Protocol, from: SocketAddrV4, to: SocketAddrV4) -> Vec<u8> {
        let (number, header_bytes, checksum_at) = match protocol {
            Protocol::Udp => (17, 8, 6),
            Protocol::Tcp => (6, 20, 16),
            Protocol::Echo => (1, 8, 2),
        };
        let mut bytes = vec![0; HEADER_BYTES_MIN + header_bytes];
        bytes.extend(b"hello");
        (bytes[0], bytes[TTL_AT], bytes[PROTOCOL_AT]) = (0x45, 64, number);
        bytes[SOURCE_AT..DESTINATION_AT].copy_from_slice(&from.ip().octets());
        bytes[DESTINATION_AT..HEADER_BYTES_MIN].copy_from_slice(&to.ip().octets());
        if protocol == Protocol::Echo {
            bytes[HEADER_BYTES_MIN] = if from.port() != 0 { ECHO_REQUEST } else { ECHO_REPLY };
            set_word(&mut bytes, HEADER_BYTES_MIN + 4, from.port().max(to.port()));
        } else {
            set_word(&mut bytes, HEADER_BYTES_MIN, from.port());
            set_word(&mut bytes, HEADER_BYTES_MIN + 2, to.port());
        }
        let checksum = header_checksum(&bytes);
        set_word(&mut bytes, HEADER_CHECKSUM_AT, checksum);
        let checksum = own_checksum(&bytes);
        set_word(&mut bytes, HEADER_BYTES_MIN + checksum_at, checksum);
        assert_intact(&bytes);
        bytes
    }

    #[test]
    fn what_is_rewritten_keeps_its_checksums() {
        let at = |text: &str| text.parse::<SocketAddrV4>().unwrap();
        for protocol in [Protocol::Udp, Protocol::Tcp, Protocol::Echo] {
            let server =
                if protocol == Protocol::Echo { at("203.0.113.10:0") } else { at("203.0.113.10:443") };
            let mut bytes = packet(protocol, at("192.168.1.10:4000"), server);
            let mut parsed = Packet::parse(&mut bytes).unwrap();
            assert_eq!((parsed.protocol, parsed.source()), (protocol, at("192.168.1.10:4000")));
            assert_eq!(parsed.destination(), server);
            parsed.set_source(at("198.51.100.1:61000"));
            assert_eq!(parsed.source(), at("198.51.100.1:61000"));
            assert_intact(&bytes);
            let mut bytes = packet(protocol, server, at("198.51.100.1:61000"));
            let mut parsed = Packet::parse(&mut bytes).unwrap();
            parsed.set_destination(at("192.168.1.10:4000"));
            assert_eq!((parsed.source(), parsed.destination()), (server, at("192.168.1.10:4000")));
            assert_intact(&bytes);
        }
    }

    #[test]
    fn hops_are_counted_and_end() {
        let end = "192.0.2.1:9".parse().unwrap();
        let mut bytes = packet(Protocol::Udp, end, end);
        assert!(change_hops(&mut bytes, -63));
        assert_eq!(bytes[TTL_AT], 1);
        assert_intact(&bytes);
        assert!(!change_hops(&mut bytes, -1));
        assert!(change_hops(&mut bytes, 1));
        assert_intact(&bytes);
    }

    #[test]
    fn what_has_no_ports_is_no_packet_for_a_nat() {
        let end = "192.0.2.1:9".parse().unwrap();
        let mut bytes = packet(Protocol::Udp, end, end);
        assert!(Packet::parse(&mut bytes[..27]).is_none(), "cut short");
        bytes[FRAGMENT_AT] = 0x20;
        assert!(Packet::parse(&mut bytes).is_none(), "a fragment");
        let mut six = [0x60; 40];
        assert!(Packet::parse(&mut six).is_none(), "IPv6");
        assert!(Packet::parse(&mut []).is_none(), "nothing");
    }
}
