//! Talks PCP, or NAT-PMP, with the default gateway: one question, a few datagrams, one answer.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{net::UdpSocket, time::timeout};

use super::{
    ask::{Health, MapAsk},
    error::MappingError,
    grant::{Grant, Handle, LIFETIME_SECS},
    nat_pmp,
    network::Lan,
    pcp,
};

/// Where routers listen for both protocols.
const PORT: u16 = 5351;
/// Longest packet of PCP; what is longer is cut off and means nothing.
const PACKET_BYTES_MAX: usize = 1100;
/// How long each datagram waits for its answer. A router answers within milliseconds, if at all.
const WAITS: [Duration; 3] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_millis(1000)];

/// Asks for a mapping, or for more time for one that is held.
pub(super) async fn map(lan: Lan, ask: &MapAsk) -> Result<Grant, MappingError> {
    let suggested = match ask.last {
        Some(last) => last.external,
        None => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), ask.internal.port()),
    };
    if ask.last.is_none_or(|last| last.handle != Handle::NatPmp) {
        match map_by_pcp(lan, ask, suggested).await {
            // Some old routers do not answer at all to a version that they do not know.
            Err(MappingError::Unsupported | MappingError::Silent) => {}
            other => return other,
        }
    }
    map_by_nat_pmp(lan, ask, suggested.port()).await
}

/// Asks whether the router still is what it was.
pub(super) async fn check(lan: Lan, handle: Handle) -> Result<Health, MappingError> {
    if handle == Handle::NatPmp {
        let (ip, epoch) = exchange(lan, &nat_pmp::ADDRESS_REQUEST, nat_pmp::decode_address).await?;
        return Ok(Health { epoch: Some(epoch), external_ip: Some(ip.into()) });
    }
    match exchange(lan, &pcp::announce(lan.local), pcp::decode_announce).await {
        Ok(epoch) => Ok(Health { epoch: Some(epoch), external_ip: None }),
        // It is there, and too simple for this question.
        Err(MappingError::Refused(_) | MappingError::Unsupported) => Ok(Health::default()),
        Err(error) => Err(error),
    }
}

/// Tells the router that a mapping is not needed any more.
pub(super) async fn give_back(
    lan: Lan,
    internal: SocketAddr,
    nonce: pcp::Nonce,
    grant: Grant,
) -> Result<(), MappingError> {
    let internal_port = internal.port();
    if grant.handle == Handle::NatPmp {
        let request = nat_pmp::MapRequest { internal_port, external_port: 0, lifetime_secs: 0 };
        exchange(lan, &request.encode(), |bytes| request.decode(bytes)).await?;
    } else {
        let request = pcp_request(lan, internal_port, nonce, grant.external, 0);
        exchange(lan, &request.encode(), |bytes| request.decode(bytes)).await?;
    }
    Ok(())
}

async fn map_by_pcp(lan: Lan, ask: &MapAsk, suggested: SocketAddr) -> Result<Grant, MappingError> {
    let request = pcp_request(lan, ask.internal.port(), ask.nonce, suggested, LIFETIME_SECS);
    let mapped = exchange(lan, &request.encode(), |bytes| request.decode(bytes)).await?;
    Ok(Grant {
        external: mapped.external,
        lifetime_secs: mapped.lifetime_secs,
        handle: Handle::Pcp,
        epoch: Some(mapped.epoch),
    })
}

fn pcp_request(
    lan: Lan,
    internal_port: u16,
    nonce: pcp::Nonce,
    external: SocketAddr,
    lifetime_secs: u32,
) -> pcp::MapRequest {
    let external_ip = match external {
        SocketAddr::V4(v4) => *v4.ip(),
        SocketAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    };
    let external_port = external.port();
    pcp::MapRequest { nonce, client: lan.local, internal_port, external_ip, external_port, lifetime_secs }
}

async fn map_by_nat_pmp(lan: Lan, ask: &MapAsk, external_port: u16) -> Result<Grant, MappingError> {
    let (ip, _) = exchange(lan, &nat_pmp::ADDRESS_REQUEST, nat_pmp::decode_address).await?;
    if !super::address::is_public(ip.into()) {
        return Err(MappingError::NotPublic);
    }
    let internal_port = ask.internal.port();
    let request = nat_pmp::MapRequest { internal_port, external_port, lifetime_secs: LIFETIME_SECS };
    let mapped = exchange(lan, &request.encode(), |bytes| request.decode(bytes)).await?;
    Ok(Grant {
        external: SocketAddr::new(ip.into(), mapped.external_port),
        // 0 means that it was given back, not that it lasts.
        lifetime_secs: mapped.lifetime_secs.max(1),
        handle: Handle::NatPmp,
        epoch: Some(mapped.epoch),
    })
}

/// Sends `request` until `decode` finds the answer to it. What is no answer is passed over.
async fn exchange<T>(
    lan: Lan,
    request: &[u8],
    decode: impl Fn(&[u8]) -> Option<Result<T, MappingError>>,
) -> Result<T, MappingError> {
    let socket = UdpSocket::bind((lan.local, 0)).await?;
    // Connected: the system keeps out everybody but the gateway, and says when nobody listens there.
    socket.connect((lan.gateway, PORT)).await?;
    for wait in WAITS {
        socket.send(request).await.map_err(from_io)?;
        if let Ok(answer) = timeout(wait, receive(&socket, &decode)).await {
            return answer;
        }
    }
    Err(MappingError::Silent)
}

async fn receive<T>(
    socket: &UdpSocket,
    decode: impl Fn(&[u8]) -> Option<Result<T, MappingError>>,
) -> Result<T, MappingError> {
    let mut buffer = [0; PACKET_BYTES_MAX];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(from_io)?;
        if let Some(answer) = decode(&buffer[..length]) {
            return answer;
        }
    }
}

/// A router where nothing listens says so by ICMP, which the system reports as a refused connection.
fn from_io(error: io::Error) -> MappingError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => MappingError::Silent,
        _ => MappingError::Socket(error),
    }
}
