//! The server name in a TLS ClientHello (RFC 8446, 4.1.2; RFC 6066, 3), read from the first bytes of a connection.

use super::HostName;

/// Longest ClientHello that is waited for, in bytes: post-quantum key shares take 1.2 kB, and a record ends at 16 KiB.
pub const CLIENT_HELLO_BYTES_MAX: usize = 16 * 1024 + 5;

const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const EXTENSION_SERVER_NAME: u16 = 0;
const NAME_TYPE_HOST: u8 = 0;

/// What the first bytes of a TLS connection tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerName {
    /// The client names this host.
    Named(HostName),
    /// A whole ClientHello without a name, or with one that is none.
    Unnamed,
    /// More must come.
    Undecided,
    /// That is no ClientHello.
    NotTls,
}

/// Whether a connection that starts with this byte may be TLS.
pub fn is_tls(first: u8) -> bool {
    first == HANDSHAKE_RECORD
}

/// Reads the name. A ClientHello that is cut into several records is put together.
pub fn server_name(bytes: &[u8]) -> ServerName {
    let Some(handshake) = handshake(bytes) else { return ServerName::NotTls };
    let Some((&kind, rest)) = handshake.split_first() else { return ServerName::Undecided };
    if kind != CLIENT_HELLO {
        return ServerName::NotTls;
    }
    let Some((len, rest)) = rest.split_first_chunk::<3>() else { return ServerName::Undecided };
    let len = usize::from(len[0]) << 16 | usize::from(len[1]) << 8 | usize::from(len[2]);
    if len > CLIENT_HELLO_BYTES_MAX {
        return ServerName::NotTls;
    }
    let Some(hello) = rest.get(..len) else { return ServerName::Undecided };
    match name_in(hello) {
        Some(Some(name)) => ServerName::Named(name),
        Some(None) => ServerName::Unnamed,
        None => ServerName::NotTls,
    }
}

/// The handshake bytes of the records so far; `None` when a record is of another kind.
fn handshake(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut handshake = Vec::new();
    while let Some((&kind, _)) = bytes.split_first() {
        if kind != HANDSHAKE_RECORD || bytes.get(1).is_some_and(|major| *major != 3) {
            return None;
        }
        let Some((header, rest)) = bytes.split_first_chunk::<5>() else { break };
        let len = usize::from(u16::from_be_bytes([header[3], header[4]]));
        let whole = len.min(rest.len());
        handshake.extend_from_slice(&rest[..whole]);
        bytes = &rest[whole..];
    }
    Some(handshake)
}

/// `None`: the hello is malformed. `Some(None)`: it has no usable name.
fn name_in(hello: &[u8]) -> Option<Option<HostName>> {
    let mut hello = Reader(hello);
    // Version and random.
    hello.take(34)?;
    hello.list8()?;
    hello.list16()?;
    hello.list8()?;
    if hello.0.is_empty() {
        return Some(None);
    }
    let mut extensions = Reader(hello.list16()?);
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let data = extensions.list16()?;
        if kind == EXTENSION_SERVER_NAME {
            return host_name(data);
        }
    }
    Some(None)
}

fn host_name(data: &[u8]) -> Option<Option<HostName>> {
    let mut names = Reader(Reader(data).list16()?);
    while !names.0.is_empty() {
        let kind = names.take(1)?[0];
        let name = names.list16()?;
        if kind == NAME_TYPE_HOST {
            return Some(std::str::from_utf8(name).ok().and_then(HostName::parse));
        }
    }
    Some(None)
}

/// Bytes that are taken from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(*self.take(2)?.first_chunk()?))
    }

    fn list8(&mut self) -> Option<&'a [u8]> {
        let len = self.take(1)?[0];
        self.take(len.into())
    }

    fn list16(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.take(len.into())
    }
}
