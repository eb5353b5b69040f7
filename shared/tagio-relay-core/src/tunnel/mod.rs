//! Reverse tunnels' rules: who may have which name or port, who gets a visitor, who may visit.

pub mod access;
pub mod book;
pub mod name;
pub mod sni;

pub use access::{Access, BadNetwork};
pub use book::{Claim, ClaimError, Claimed, Naming, Owner, Quota, Route, SessionId, TokenId, TunnelBook};
pub use name::HostName;
