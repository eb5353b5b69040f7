//! The bytes of NAT-PMP (RFC 6886): the external address, and a mapping for UDP. Pure.

use std::net::Ipv4Addr;

use super::error::MappingError;

pub(super) const MAP_BYTES: usize = 12;
/// Asks for the router's address outside.
pub(super) const ADDRESS_REQUEST: [u8; 2] = [VERSION, ADDRESS];

const VERSION: u8 = 0;
const ADDRESS: u8 = 0;
const MAP_UDP: u8 = 1;
const IS_RESPONSE: u8 = 0x80;

const SUCCESS: u16 = 0;
const UNSUPPORTED_VERSION: u16 = 1;

/// A wish for a mapping; one with a lifetime and an external port of 0 gives it back.
#[derive(Clone, Copy, Debug)]
pub(super) struct MapRequest {
    pub(super) internal_port: u16,
    /// What it would like; the router may choose otherwise.
    pub(super) external_port: u16,
    pub(super) lifetime_secs: u32,
}

/// What the router made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) external_port: u16,
    pub(super) lifetime_secs: u32,
    /// Seconds since the router's tables were empty.
    pub(super) epoch: u32,
}

impl MapRequest {
    pub(super) fn encode(&self) -> [u8; MAP_BYTES] {
        let mut bytes = [0; MAP_BYTES];
        bytes[..2].copy_from_slice(&[VERSION, MAP_UDP]);
        bytes[4..6].copy_from_slice(&self.internal_port.to_be_bytes());
        bytes[6..8].copy_from_slice(&self.external_port.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.lifetime_secs.to_be_bytes());
        bytes
    }

    /// `None`: not an answer to this request.
    pub(super) fn decode(&self, bytes: &[u8]) -> Option<Result<Mapped, MappingError>> {
        let epoch = match decode_header(MAP_UDP, bytes)? {
            Ok(epoch) => epoch,
            Err(error) => return Some(Err(error)),
        };
        let body = bytes.get(8..16)?;
        if u16::from_be_bytes([body[0], body[1]]) != self.internal_port {
            return None;
        }
        let external_port = u16::from_be_bytes([body[2], body[3]]);
        let lifetime_secs = u32::from_be_bytes([body[4], body[5], body[6], body[7]]);
        Some(Ok(Mapped { external_port, lifetime_secs, epoch }))
    }
}

/// The router's address outside, and its epoch in seconds; `None`: not an answer to [`ADDRESS_REQUEST`].
pub(super) fn decode_address(bytes: &[u8]) -> Option<Result<(Ipv4Addr, u32), MappingError>> {
    let epoch = match decode_header(ADDRESS, bytes)? {
        Ok(epoch) => epoch,
        Err(error) => return Some(Err(error)),
    };
    let ip = bytes.get(8..12)?;
    Some(Ok((Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3]), epoch)))
}

fn decode_header(opcode: u8, bytes: &[u8]) -> Option<Result<u32, MappingError>> {
    let &[version, answered, high, low, ref rest @ ..] = bytes else { return None };
    let result = u16::from_be_bytes([high, low]);
    if version != VERSION || answered != opcode | IS_RESPONSE {
        return None;
    }
    match result {
        SUCCESS => {
            let epoch = rest.get(..4)?;
            Some(Ok(u32::from_be_bytes([epoch[0], epoch[1], epoch[2], epoch[3]])))
        }
        UNSUPPORTED_VERSION => Some(Err(MappingError::Unsupported)),
        code => Some(Err(MappingError::Refused(code))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: MapRequest = MapRequest { internal_port: 4000, external_port: 4001, lifetime_secs: 7200 };
    const ANSWER: [u8; 16] = [0, 0x81, 0, 0, 0, 0, 0, 77, 0x0f, 0xa0, 0x13, 0x88, 0, 0, 2, 0x58];

    #[test]
    fn the_request_is_the_standards_byte_by_byte() {
        assert_eq!(REQUEST.encode(), [0, 1, 0, 0, 0x0f, 0xa0, 0x0f, 0xa1, 0, 0, 0x1c, 0x20]);
    }

    #[test]
    fn an_answer_to_this_request_is_read_and_others_are_not() {
        let mapped = Mapped { external_port: 5000, lifetime_secs: 600, epoch: 77 };
        assert_eq!(REQUEST.decode(&ANSWER).unwrap().unwrap(), mapped);
        // Another version, not a response, TCP, another port.
        for (at, bits) in [(0, 2), (1, 0x80), (1, 0x03), (9, 1)] {
            let mut other = ANSWER;
            other[at] ^= bits;
            assert!(REQUEST.decode(&other).is_none(), "byte {at}");
        }
        let mut refusal = ANSWER;
        refusal[3] = 2;
        assert!(matches!(REQUEST.decode(&refusal), Some(Err(MappingError::Refused(2)))));
    }

    #[test]
    fn the_external_address_is_read() {
        let answer = [0, 0x80, 0, 0, 0, 0, 0, 9, 1, 2, 3, 4];
        assert_eq!(decode_address(&answer).unwrap().unwrap(), (Ipv4Addr::new(1, 2, 3, 4), 9));
        for length in 0..answer.len() {
            assert!(decode_address(&answer[..length]).is_none(), "{length} bytes");
        }
    }

    #[test]
    fn no_bytes_of_any_length_are_too_much() {
        for length in 0..ANSWER.len() {
            assert!(REQUEST.decode(&ANSWER[..length]).is_none(), "{length} bytes");
            assert!(REQUEST.decode(&[0xff; 1100][..length]).is_none());
        }
    }
}
