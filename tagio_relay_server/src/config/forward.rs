//! What was said about the forward tunnel.

use anyhow::{Result, bail, ensure};
use tagio_forward::wire::TOKEN_BYTES_MAX;

use super::{Secret, args::Args, file::ForwardSettings};
use crate::forward::{ForwardAccess, ForwardConfig};

/// `None` where it is off.
pub(super) fn merge(args: &Args, file: &ForwardSettings) -> Result<Option<ForwardConfig>> {
    let given = args.forward.as_ref().or_else(|| file.access.as_ref().map(|access| &access.0));
    let allowed = if args.forward_allow.is_empty() { file.allow.clone() } else { args.forward_allow.clone() };
    let access = match given.map(String::as_str) {
        None | Some("off" | "") => {
            ensure!(allowed.is_empty(), "forward-allow is of no use while the tunnel is off: add --forward");
            return Ok(None);
        }
        Some("open") => ForwardAccess::Open,
        Some(other) => match other.strip_prefix("token:") {
            Some(token) if !token.is_empty() && token.len() <= TOKEN_BYTES_MAX => {
                ForwardAccess::Token(Secret::new(token.to_owned()))
            }
            // It may be a token: it is not shown.
            Some(_) => bail!("a token for the forward tunnel has 1 to {TOKEN_BYTES_MAX} bytes"),
            None => bail!("the forward tunnel is `off`, `token:TOKEN` or `open`"),
        },
    };
    Ok(Some(ForwardConfig { access, allowed }))
}
