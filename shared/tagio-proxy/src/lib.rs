//! Proxies: which addresses may be dialled, and the SOCKS5 and HTTP doors in front.
//!
//! [`TargetPolicy`] decides, [`Dialer`] resolves, asks it about each address and connects to just those. [`Front`]
//! listens for programs that speak SOCKS5 or HTTP, and hands their connections to an [`Outlet`], which knows a way out:
//! a tunnel, or an edge node.
#![warn(missing_docs)]

mod batch;
mod dial;
mod front;
mod policy;
mod target;
mod users;

pub use batch::{BatchSocket, Joined};
pub use dial::{DialError, Dialer};
pub use front::{Datagrams, Door, Front, FrontError, FrontLimits, Outlet, Peer, TurnedAway};
pub use policy::TargetPolicy;
pub use target::{BadTarget, Host, Target};
pub use users::{Credentials, Users};
