//! The PROXY protocol (versions 1 and 2, as haproxy describes it): a header before the first byte of a connection, in
//! which a believed proxy tells who has connected to it.

use std::net::SocketAddr;

use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::front_door::Head;

/// Longest header of version 1, line end included.
const TEXT_BYTES_MAX: usize = 107;
/// Of version 2: up to the length of what follows.
const BINARY_FIXED_BYTES: usize = 16;
/// Longest of version 2 that is read: addresses, and more additions than proxies make.
const BINARY_BYTES_MAX: usize = 4096;

/// Reads a header that began with `head`, and nothing after it. The client's address; `None` for a connection of the
/// proxy's own, a health check. Fails as a whole where it is broken.
pub(crate) async fn read(
    head: &Head,
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<SocketAddr>, BadHeader> {
    let mut bytes = head.bytes().to_vec();
    if bytes.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        while !bytes.ends_with(b"\r\n") {
            if bytes.len() >= TEXT_BYTES_MAX {
                return Err(BadHeader);
            }
            // One by one: what follows belongs to somebody else.
            bytes.push(stream.read_u8().await.map_err(|_| BadHeader)?);
        }
    } else {
        read_up_to(stream, &mut bytes, BINARY_FIXED_BYTES).await?;
        let rest = u16::from_be_bytes([bytes[14], bytes[15]]);
        read_up_to(stream, &mut bytes, BINARY_FIXED_BYTES + usize::from(rest)).await?;
    }
    parse(&bytes)
}

/// Why a header was not read.
#[derive(Debug, thiserror::Error)]
#[error("a broken PROXY header")]
pub(crate) struct BadHeader;

async fn read_up_to(
    stream: &mut (impl AsyncRead + Unpin),
    bytes: &mut Vec<u8>,
    len: usize,
) -> Result<(), BadHeader> {
    if len > BINARY_BYTES_MAX {
        return Err(BadHeader);
    }
    let start = bytes.len();
    bytes.resize(len, 0);
    stream.read_exact(&mut bytes[start..]).await.map_err(|_| BadHeader)?;
    Ok(())
}

fn parse(bytes: &[u8]) -> Result<Option<SocketAddr>, BadHeader> {
    let addr = match HeaderResult::parse(bytes) {
        HeaderResult::V1(header) => match header.map_err(|_| BadHeader)?.addresses {
            v1::Addresses::Tcp4(pair) => SocketAddr::from((pair.source_address, pair.source_port)),
            v1::Addresses::Tcp6(pair) => SocketAddr::from((pair.source_address, pair.source_port)),
            v1::Addresses::Unknown => return Ok(None),
        },
        HeaderResult::V2(header) => {
            let header = header.map_err(|_| BadHeader)?;
            match (header.command, header.addresses) {
                (v2::Command::Proxy, v2::Addresses::IPv4(pair)) => {
                    SocketAddr::from((pair.source_address, pair.source_port))
                }
                (v2::Command::Proxy, v2::Addresses::IPv6(pair)) => {
                    SocketAddr::from((pair.source_address, pair.source_port))
                }
                (v2::Command::Local, _) | (_, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => {
                    return Ok(None);
                }
            }
        }
    };
    Ok(Some(SocketAddr::new(addr.ip().to_canonical(), addr.port())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_both_versions_tell_the_clients_address() {
        let text = b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 443\r\n";
        let addr: SocketAddr = "203.0.113.7:40000".parse().expect("an address");
        assert_eq!(parse(text).expect("a header"), Some(addr));
        assert_eq!(parse(b"PROXY UNKNOWN\r\n").expect("a header"), None);
        let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
        binary.extend([203, 0, 113, 7, 192, 0, 2, 1, 0x9c, 0x40, 1, 187]);
        assert_eq!(parse(&binary).expect("a header"), Some(addr));
        binary[12] = 0x20;
        assert_eq!(parse(&binary).expect("a health check"), None);
    }

    #[test]
    fn broken_headers_are_refused() {
        for broken in
            ["PROXY TCP4 nobody nowhere 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 99999 1\r\n", "PROXY \r\n"]
        {
            assert!(parse(broken.as_bytes()).is_err(), "{broken}");
        }
        assert!(parse(b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0").is_err());
        assert!(parse(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04abcd").is_err(), "too short for addresses");
    }
}
