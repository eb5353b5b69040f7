//! Talks UPnP with an Internet gateway, by `igd-next`, which bounds what it reads: 1 MiB an answer, XML of
//! little depth, and only from the address that answered the search.

use std::{
    net::{IpAddr, SocketAddr, SocketAddrV6},
    time::Duration,
};

use igd_next::{
    AddAnyPortError, AddPortError, GatewayIpVersion, PinholeError, PortMappingProtocol, SearchOptions,
    aio::{
        Gateway, Ipv6FirewallGateway,
        tokio::{Tokio, search_gateway, search_ipv6_firewall_gateway},
    },
};
use tokio::time::timeout;

use super::{
    address::is_public,
    ask::{Health, MapAsk},
    error::MappingError,
    grant::{Grant, Handle, LIFETIME_SECS},
    network::{GlobalAddress, Lan},
};

/// The library asks routers to answer within three seconds (MX: 3), at a moment of their choice.
const SEARCH_TIME: Duration = Duration::from_secs(4);
/// For all the requests that one question takes.
const REQUEST_TIME: Duration = Duration::from_secs(6);
/// What the router's owner reads in its list of mappings.
const DESCRIPTION: &str = "TagIO";
/// A lease without end.
const FOREVER: u32 = 0;

pub(super) type Igd = Gateway<Tokio>;
pub(super) type Firewall = Ipv6FirewallGateway<Tokio>;

/// Asks the local network for a gateway, by multicast that no router forwards.
pub(super) async fn search(lan: Lan) -> Result<Igd, MappingError> {
    let mut options = SearchOptions::default();
    options.bind_addr = SocketAddr::new(lan.local.into(), 0);
    options.gateway_ip_version = GatewayIpVersion::V4;
    options.timeout = Some(SEARCH_TIME);
    options.single_search_timeout = Some(SEARCH_TIME);
    let igd = search_gateway(options).await.map_err(MappingError::upnp)?;
    if lan.contains(igd.addr.ip()) { Ok(igd) } else { Err(MappingError::Foreign) }
}

/// Asks the local network for a gateway with an IPv6 firewall. It has to see the very address that it is to
/// let packets through to, so it is asked from there.
pub(super) async fn search_firewall(from: GlobalAddress) -> Result<Firewall, MappingError> {
    let mut options = SearchOptions::ipv6(from.scope_id);
    options.bind_addr = SocketAddr::new(from.ip.into(), 0);
    options.gateway_ip_version = GatewayIpVersion::V6;
    options.timeout = Some(SEARCH_TIME);
    options.single_search_timeout = Some(SEARCH_TIME);
    let firewall = search_ipv6_firewall_gateway(options).await.map_err(MappingError::upnp)?;
    if from.contains(firewall.addr.ip()) { Ok(firewall) } else { Err(MappingError::Foreign) }
}

/// Asks for a mapping, or for more time for one that is held: the same request.
pub(super) async fn map(igd: &Igd, ask: &MapAsk) -> Result<Grant, MappingError> {
    within(async {
        let ip = public_ip(igd).await?;
        let port = ask.last.map_or(ask.internal, |last| last.external).port();
        let (port, lifetime_secs) = match add(igd, ask.internal, port, LIFETIME_SECS).await {
            Err(AddAnyPortError::OnlyPermanentLeasesSupported) => {
                (add(igd, ask.internal, port, FOREVER).await, FOREVER)
            }
            other => (other, LIFETIME_SECS),
        };
        let external = SocketAddr::new(ip, port.map_err(MappingError::upnp)?);
        Ok(Grant { external, lifetime_secs, handle: Handle::Upnp, epoch: None })
    })
    .await
}

/// Asks whether the gateway still is what it was.
pub(super) async fn check(igd: &Igd) -> Result<Health, MappingError> {
    let ip = within(public_ip(igd)).await?;
    Ok(Health { epoch: None, external_ip: Some(ip) })
}

/// Tells the gateway that a mapping is not needed any more.
pub(super) async fn give_back(igd: &Igd, grant: Grant) -> Result<(), MappingError> {
    let port = grant.external.port();
    within(async { igd.remove_port(PortMappingProtocol::UDP, port).await.map_err(MappingError::upnp) }).await
}

/// Opens the firewall for packets to `ask.internal`, or keeps it open.
pub(super) async fn open_pinhole(firewall: &Firewall, ask: &MapAsk) -> Result<Grant, MappingError> {
    let SocketAddr::V6(internal) = ask.internal else { return Err(MappingError::Unsupported) };
    within(async {
        let unique_id = match ask.last.map(|last| last.handle) {
            Some(Handle::Pinhole { unique_id }) => prolong(firewall, unique_id, internal).await,
            _ => add_pinhole(firewall, internal).await,
        };
        let handle = Handle::Pinhole { unique_id: unique_id.map_err(MappingError::upnp)? };
        Ok(Grant { external: ask.internal, lifetime_secs: LIFETIME_SECS, handle, epoch: None })
    })
    .await
}

/// Closes it again.
pub(super) async fn close_pinhole(firewall: &Firewall, unique_id: u16) -> Result<(), MappingError> {
    within(async { firewall.remove_pinhole(unique_id).await.map_err(MappingError::upnp) }).await
}

/// Takes `port`, or another one when somebody else has it; returns the one that it is.
async fn add(igd: &Igd, internal: SocketAddr, port: u16, lifetime_secs: u32) -> Result<u16, AddAnyPortError> {
    let udp = PortMappingProtocol::UDP;
    match igd.add_port(udp, port, internal, lifetime_secs, DESCRIPTION).await {
        Ok(()) => Ok(port),
        Err(AddPortError::OnlyPermanentLeasesSupported) => Err(AddAnyPortError::OnlyPermanentLeasesSupported),
        Err(AddPortError::PortInUse | AddPortError::SamePortValuesRequired) => {
            igd.add_any_port(udp, internal, lifetime_secs, DESCRIPTION).await
        }
        Err(AddPortError::RequestError(error)) => Err(AddAnyPortError::RequestError(error)),
        Err(AddPortError::DescriptionTooLong) => Err(AddAnyPortError::DescriptionTooLong),
        Err(AddPortError::InternalPortZeroInvalid) => Err(AddAnyPortError::InternalPortZeroInvalid),
        Err(AddPortError::ActionNotAuthorized | AddPortError::ExternalPortZeroInvalid) => {
            Err(AddAnyPortError::ActionNotAuthorized)
        }
    }
}

async fn public_ip(igd: &Igd) -> Result<IpAddr, MappingError> {
    let ip = igd.get_external_ip().await.map_err(MappingError::upnp)?;
    if ip.is_ipv4() && is_public(ip) { Ok(ip) } else { Err(MappingError::NotPublic) }
}

async fn prolong(firewall: &Firewall, unique_id: u16, internal: SocketAddrV6) -> Result<u16, PinholeError> {
    match firewall.update_pinhole(unique_id, LIFETIME_SECS).await {
        Ok(()) => Ok(unique_id),
        Err(PinholeError::NoSuchEntry) => add_pinhole(firewall, internal).await,
        Err(error) => Err(error),
    }
}

async fn add_pinhole(firewall: &Firewall, internal: SocketAddrV6) -> Result<u16, PinholeError> {
    firewall.add_pinhole(PortMappingProtocol::UDP, internal, LIFETIME_SECS).await
}

async fn within<T>(question: impl Future<Output = Result<T, MappingError>>) -> Result<T, MappingError> {
    timeout(REQUEST_TIME, question).await.unwrap_or(Err(MappingError::Silent))
}
