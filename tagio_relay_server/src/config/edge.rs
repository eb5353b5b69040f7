//! What was said about edge nodes.

use anyhow::{Context, Result, ensure};
use tagio_relay_core::edge::{NodeId, UserName};

use super::{
    Secret,
    args::Args,
    file::{EdgeSettings, FileSecret},
};
use crate::edge::EdgeConfig;

/// Longest name and longest password of a user (RFC 1929).
const CREDENTIAL_BYTES_MAX: usize = 255;
/// Users are all tried at each connection.
const USERS_MAX: usize = 1000;

/// `None` where no door for users was named: a relay is no POP then.
pub(super) fn merge(args: &Args, file: &EdgeSettings) -> Result<Option<EdgeConfig>> {
    let secret = args.edge_secret.clone().or_else(|| file.secret.clone().map(|FileSecret(secret)| secret));
    let secret = secret.filter(|secret| !secret.is_empty()).map(Secret::new);
    let users = either(&args.edge_user, &file.users);
    let nodes = either(&args.edge_node, &file.nodes);
    let Some(socks) = args.edge_socks.or(file.socks) else {
        let is_unsaid = secret.is_none() && users.is_empty() && nodes.is_empty();
        ensure!(is_unsaid, "edge nodes are off without --edge-socks ADDR");
        return Ok(None);
    };
    ensure!(users.len() <= USERS_MAX, "more than {USERS_MAX} users of edge nodes");
    let users = users.iter().map(|text| user(text)).collect::<Result<_>>()?;
    let nodes = nodes.iter().map(|text| node(text)).collect::<Result<_>>()?;
    Ok(Some(EdgeConfig { socks, secret, users, nodes }))
}

/// What flags say, else the file.
fn either(flags: &[String], file: &[FileSecret]) -> Vec<String> {
    if flags.is_empty() { file.iter().map(|FileSecret(text)| text.clone()).collect() } else { flags.to_vec() }
}

/// Reads a node's UUID; no error shows it.
fn node(text: &str) -> Result<NodeId> {
    NodeId::parse(text).context("--edge-node wants a UUID, like 08bd0658-1f61-11f0-8061-8bd115314f4c")
}

/// Reads `USER:PASS`; no error shows the password.
fn user(text: &str) -> Result<(String, Secret)> {
    let (user, password) =
        text.split_once(':').context("--edge-user wants a name and a password, like anna:secret")?;
    ensure!(
        UserName::is_plain(user),
        "a user's name is not empty and has neither -node- nor -session- in it"
    );
    ensure!(
        !password.is_empty() && user.len().max(password.len()) <= CREDENTIAL_BYTES_MAX,
        "the name and the password of a user have 1 to {CREDENTIAL_BYTES_MAX} bytes"
    );
    Ok((user.to_owned(), Secret::new(password.to_owned())))
}
