//! The bytes of SOCKS 5: RFC 1928, sections 3 to 7, and RFC 1929.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{BadTarget, Host, Target};

const VERSION: u8 = 5;
/// Of RFC 1929's exchange within.
const PASSWORD_VERSION: u8 = 1;
const ADDR_V4: u8 = 1;
const ADDR_NAME: u8 = 3;
const ADDR_V6: u8 = 4;

/// How somebody shows who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Open,
    Password,
    Unacceptable,
}

/// Of what we know, what a client can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) open: bool,
    pub(super) password: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Connect,
    Associate,
    /// `BIND`, and what nobody knows.
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) command: Command,
    pub(super) target: Result<Target, BadTarget>,
}

/// How a request ended (RFC 1928, 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Done = 0,
    Failure = 1,
    NotAllowed = 2,
    HostUnreachable = 4,
    Refused = 5,
    UnsupportedCommand = 7,
    UnsupportedAddress = 8,
}

pub(super) async fn read_methods(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Offer> {
    if stream.read_u8().await? != VERSION {
        return Err(malformed("that is not SOCKS 5"));
    }
    let mut methods = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut methods).await?;
    Ok(Offer { open: methods.contains(&0), password: methods.contains(&2) })
}

pub(super) fn choice(method: Method) -> [u8; 2] {
    let code = match method {
        Method::Open => 0,
        Method::Password => 2,
        Method::Unacceptable => 0xff,
    };
    [VERSION, code]
}

/// Name and password.
pub(super) async fn read_credentials(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(String, Vec<u8>)> {
    if stream.read_u8().await? != PASSWORD_VERSION {
        return Err(malformed("unknown form of passwords"));
    }
    let user = read_short(stream).await?;
    let password = read_short(stream).await?;
    let user = String::from_utf8(user).map_err(|_| malformed("a user's name is no UTF-8"))?;
    Ok((user, password))
}

pub(super) fn verdict(is_good: bool) -> [u8; 2] {
    [PASSWORD_VERSION, u8::from(!is_good)]
}

pub(super) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Request> {
    let [version, command, _] = read_array(stream).await?;
    if version != VERSION {
        return Err(malformed("that is not SOCKS 5"));
    }
    let command = match command {
        1 => Command::Connect,
        3 => Command::Associate,
        _ => Command::Other,
    };
    let host = match stream.read_u8().await? {
        ADDR_V4 => Ok(Host::Ip(Ipv4Addr::from(read_array::<4>(stream).await?).into())),
        ADDR_V6 => Ok(Host::Ip(Ipv6Addr::from(read_array::<16>(stream).await?).into())),
        ADDR_NAME => parse_name(&read_short(stream).await?),
        _ => return Err(malformed("unknown kind of address")),
    };
    let port = stream.read_u16().await?;
    Ok(Request { command, target: host.and_then(|host| with_port(host, port)) })
}

pub(super) fn reply(reply: Reply, bound: SocketAddr) -> Vec<u8> {
    let mut bytes = vec![VERSION, reply as u8, 0];
    put_target(&mut bytes, &Host::Ip(bound.ip()), bound.port());
    bytes
}

/// Where a client's datagram goes, and what; `None` for what is none, or a fragment, which nobody sends.
pub(super) fn parse_datagram(bytes: &[u8]) -> Option<(Target, &[u8])> {
    let [_, _, 0, kind, rest @ ..] = bytes else { return None };
    let (host, rest) = match *kind {
        ADDR_V4 => {
            let (ip, rest) = rest.split_first_chunk::<4>()?;
            (Host::Ip(Ipv4Addr::from(*ip).into()), rest)
        }
        ADDR_V6 => {
            let (ip, rest) = rest.split_first_chunk::<16>()?;
            (Host::Ip(Ipv6Addr::from(*ip).into()), rest)
        }
        ADDR_NAME => {
            let (len, rest) = rest.split_first()?;
            let (name, rest) = rest.split_at_checked(usize::from(*len))?;
            (parse_name(name).ok()?, rest)
        }
        _ => return None,
    };
    let (port, payload) = rest.split_first_chunk::<2>()?;
    Some((with_port(host, u16::from_be_bytes(*port)).ok()?, payload))
}

/// Puts what stands before the payload of a datagram to a client.
pub(super) fn put_datagram_head(bytes: &mut Vec<u8>, from: &Target) {
    bytes.extend_from_slice(&[0; 3]);
    put_target(bytes, &from.host, from.port);
}

fn put_target(bytes: &mut Vec<u8>, host: &Host, port: u16) {
    match host {
        Host::Ip(IpAddr::V4(v4)) => {
            bytes.push(ADDR_V4);
            bytes.extend_from_slice(&v4.octets());
        }
        Host::Ip(IpAddr::V6(v6)) => {
            bytes.push(ADDR_V6);
            bytes.extend_from_slice(&v6.octets());
        }
        Host::Name(name) => {
            bytes.push(ADDR_NAME);
            bytes.push(u8::try_from(name.len()).expect("names are at most 254 bytes long"));
            bytes.extend_from_slice(name.as_bytes());
        }
    }
    bytes.extend_from_slice(&port.to_be_bytes());
}

/// Programs write addresses as names, too.
fn parse_name(bytes: &[u8]) -> Result<Host, BadTarget> {
    std::str::from_utf8(bytes).map_err(|_| BadTarget::Host)?.parse()
}

fn with_port(host: Host, port: u16) -> Result<Target, BadTarget> {
    if port == 0 { Err(BadTarget::Port) } else { Ok(Target { host, port }) }
}

async fn read_short(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn read_array<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
