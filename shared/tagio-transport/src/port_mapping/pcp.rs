//! The bytes of PCP (RFC 6887): one MAP and one ANNOUNCE, for UDP over IPv4. Pure.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::error::MappingError;

/// Ties renewals and the giving back of a mapping to the one who asked for it.
pub(super) type Nonce = [u8; 12];

pub(super) const MAP_BYTES: usize = HEADER_BYTES + 36;
pub(super) const HEADER_BYTES: usize = 24;

const VERSION: u8 = 2;
const ANNOUNCE: u8 = 0;
const MAP: u8 = 1;
const IS_RESPONSE: u8 = 0x80;
const UDP: u8 = 17;

const SUCCESS: u8 = 0;
const UNSUPPORTED_VERSION: u8 = 1;

/// A wish for a mapping; one with a lifetime of 0 gives it back.
#[derive(Clone, Copy, Debug)]
pub(super) struct MapRequest {
    pub(super) nonce: Nonce,
    /// This machine's address, as the router sees it.
    pub(super) client: Ipv4Addr,
    pub(super) internal_port: u16,
    /// Where it would like to be seen; the router may choose otherwise.
    pub(super) external_ip: Ipv4Addr,
    pub(super) external_port: u16,
    pub(super) lifetime_secs: u32,
}

/// What the router made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) external: SocketAddr,
    pub(super) lifetime_secs: u32,
    /// Seconds since the router's tables were empty.
    pub(super) epoch: u32,
}

impl MapRequest {
    pub(super) fn encode(&self) -> [u8; MAP_BYTES] {
        let mut bytes = [0; MAP_BYTES];
        bytes[..HEADER_BYTES].copy_from_slice(&header(MAP, self.lifetime_secs, self.client));
        bytes[24..36].copy_from_slice(&self.nonce);
        bytes[36] = UDP;
        bytes[40..42].copy_from_slice(&self.internal_port.to_be_bytes());
        bytes[42..44].copy_from_slice(&self.external_port.to_be_bytes());
        bytes[44..60].copy_from_slice(&self.external_ip.to_ipv6_mapped().octets());
        bytes
    }

    /// `None`: not an answer to this request.
    pub(super) fn decode(&self, bytes: &[u8]) -> Option<Result<Mapped, MappingError>> {
        let epoch = match decode_header(MAP, bytes)? {
            Ok(epoch) => epoch,
            Err(error) => return Some(Err(error)),
        };
        let body = bytes.get(HEADER_BYTES..MAP_BYTES)?;
        let is_ours = body[..12] == self.nonce && body[12] == UDP && be16(&body[16..]) == self.internal_port;
        if !is_ours {
            return None;
        }
        let ip: [u8; 16] = body[20..36].try_into().expect("16 bytes are 16 bytes");
        let ip = Ipv6Addr::from(ip).to_canonical();
        let external = SocketAddr::new(ip, be16(&body[18..]));
        Some(Ok(Mapped { external, lifetime_secs: be32(&bytes[4..]), epoch }))
    }
}

/// Asks for nothing but the router's epoch.
pub(super) fn announce(client: Ipv4Addr) -> [u8; HEADER_BYTES] {
    header(ANNOUNCE, 0, client)
}

/// The router's epoch in seconds; `None`: not an answer to [`announce`].
pub(super) fn decode_announce(bytes: &[u8]) -> Option<Result<u32, MappingError>> {
    decode_header(ANNOUNCE, bytes)
}

fn header(opcode: u8, lifetime_secs: u32, client: Ipv4Addr) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[0] = VERSION;
    bytes[1] = opcode;
    bytes[4..8].copy_from_slice(&lifetime_secs.to_be_bytes());
    bytes[8..24].copy_from_slice(&client.to_ipv6_mapped().octets());
    bytes
}

fn decode_header(opcode: u8, bytes: &[u8]) -> Option<Result<u32, MappingError>> {
    let (version, result) = (*bytes.first()?, *bytes.get(3)?);
    if version != VERSION {
        // An older router answers in its own version, whose first four bytes mean the same.
        return (result == UNSUPPORTED_VERSION).then_some(Err(MappingError::Unsupported));
    }
    if bytes.len() < HEADER_BYTES || bytes[1] != opcode | IS_RESPONSE {
        return None;
    }
    Some(match result {
        SUCCESS => Ok(be32(&bytes[8..])),
        UNSUPPORTED_VERSION => Err(MappingError::Unsupported),
        code => Err(MappingError::Refused(code.into())),
    })
}

fn be16(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: MapRequest = MapRequest {
        nonce: *b"twelve bytes",
        client: Ipv4Addr::new(192, 168, 1, 7),
        internal_port: 4000,
        external_ip: Ipv4Addr::UNSPECIFIED,
        external_port: 4000,
        lifetime_secs: 7200,
    };

    fn answer() -> [u8; MAP_BYTES] {
        let mut bytes = REQUEST.encode();
        bytes[1] |= IS_RESPONSE;
        bytes[4..8].copy_from_slice(&600u32.to_be_bytes());
        bytes[8..24].fill(0);
        bytes[8..12].copy_from_slice(&77u32.to_be_bytes());
        bytes[42..44].copy_from_slice(&5000u16.to_be_bytes());
        bytes[44..60].copy_from_slice(&Ipv4Addr::new(1, 2, 3, 4).to_ipv6_mapped().octets());
        bytes
    }

    #[test]
    fn the_request_is_the_standards_byte_by_byte() {
        let bytes = REQUEST.encode();
        assert_eq!(bytes[..8], [2, 1, 0, 0, 0, 0, 0x1c, 0x20]);
        assert_eq!(bytes[8..24], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 168, 1, 7]);
        assert_eq!(bytes[24..36], *b"twelve bytes");
        assert_eq!(bytes[36..44], [17, 0, 0, 0, 0x0f, 0xa0, 0x0f, 0xa0]);
        assert_eq!(bytes[44..60], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]);
    }

    #[test]
    fn an_answer_to_this_request_is_read_and_others_are_not() {
        let mapped = Mapped { external: "1.2.3.4:5000".parse().unwrap(), lifetime_secs: 600, epoch: 77 };
        assert_eq!(REQUEST.decode(&answer()).unwrap().unwrap(), mapped);
        // Not a response, another opcode, another nonce, TCP, another port.
        for (at, bits) in [(1, 0x80), (1, 0x02), (24, 1), (36, 0x17), (41, 1)] {
            let mut other = answer();
            other[at] ^= bits;
            assert!(REQUEST.decode(&other).is_none(), "byte {at}");
        }
    }

    #[test]
    fn a_refusal_has_its_code_and_an_older_router_is_told_from_it() {
        let mut refusal = answer();
        refusal[3] = 8;
        assert!(matches!(REQUEST.decode(&refusal), Some(Err(MappingError::Refused(8)))));
        let nat_pmp = [0, 0x81, 0, 1, 0, 0, 0, 5];
        assert!(matches!(REQUEST.decode(&nat_pmp), Some(Err(MappingError::Unsupported))));
    }

    #[test]
    fn no_bytes_of_any_length_are_too_much() {
        for length in 0..answer().len() {
            assert!(!matches!(REQUEST.decode(&answer()[..length]), Some(Ok(_))), "{length} bytes");
            assert!(REQUEST.decode(&[0xff; 1100][..length]).is_none());
        }
        assert_eq!(decode_announce(&answer()).map(|epoch| epoch.is_ok()), None);
    }
}
