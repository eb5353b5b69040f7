//! What was said about reverse tunnels.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
};

use anyhow::{Context, Result, ensure};
use tagio_relay_core::tunnel::HostName;

use super::{
    Secret,
    args::Args,
    file::{FileSecret, TunnelSettings},
};
use crate::tunnel::TunnelConfig;

/// Where clients come when only visitors' place was named.
const DEFAULT_CONTROL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8089);
/// Where visitors come when only clients' place was named.
const DEFAULT_INGRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8081);
/// Tokens are all tried at each opening.
const TOKENS_MAX: usize = 1000;

/// `None` where neither place was named: a relay has no tunnels then.
pub(super) fn merge(args: &Args, file: &TunnelSettings) -> Result<Option<TunnelConfig>> {
    let control = args.tunnel_control.or(file.control);
    let ingress = args.tunnel_ingress.or(file.ingress);
    let given = if args.tunnel_token.is_empty() {
        file.tokens.iter().map(|FileSecret(token)| token.clone()).collect()
    } else {
        args.tunnel_token.clone()
    };
    let tokens: Vec<_> = given.into_iter().filter(|token| !token.is_empty()).map(Secret::new).collect();
    ensure!(tokens.len() <= TOKENS_MAX, "more than {TOKENS_MAX} tokens for tunnels");
    let domain = args.tunnel_domain.as_ref().or(file.domain.as_ref());
    let domain = domain.map(|text| HostName::parse(text).with_context(|| format!("`{text}` is no domain")));
    let ports = args.tunnel_ports.as_ref().or(file.ports.as_ref());
    let ports =
        ports.map(|text| range(text).with_context(|| format!("`{text}` are no ports; 20000-20099 are")));
    let (domain, ports) = (domain.transpose()?, ports.transpose()?);
    if control.is_none() && ingress.is_none() {
        return Ok(None);
    }
    Ok(Some(TunnelConfig {
        control: control.unwrap_or(DEFAULT_CONTROL),
        ingress: ingress.unwrap_or(DEFAULT_INGRESS),
        tokens,
        domain,
        ports,
    }))
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first > 0 && first <= last).then_some(first..=last)
}
