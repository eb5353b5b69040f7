//! What was said about reverse tunnels.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
};

use anyhow::{Context, Result, ensure};
use tagio_relay_core::tunnel::{HostName, Quota};

use super::{
    Secret,
    args::Args,
    file::{BoundedToken, FileSecret, FileToken, TunnelSettings},
};
use crate::tunnel::{TunnelConfig, TunnelToken};

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
    let given: Vec<TunnelToken> = if args.tunnel_token.is_empty() {
        file.tokens.iter().map(from_file).collect()
    } else {
        args.tunnel_token.iter().map(|token| Secret::new(token.clone()).into()).collect()
    };
    let tokens: Vec<_> = given.into_iter().filter(|token| !token.secret.bytes().is_empty()).collect();
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

fn from_file(token: &FileToken) -> TunnelToken {
    match token {
        FileToken::Bare(FileSecret(token)) => Secret::new(token.clone()).into(),
        FileToken::Bounded(BoundedToken { token: FileSecret(token), tunnels_max, visits_max }) => {
            let quota = Quota { tunnels_max: *tunnels_max, visits_max: *visits_max };
            TunnelToken { secret: Secret::new(token.clone()), quota }
        }
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first > 0 && first <= last).then_some(first..=last)
}
