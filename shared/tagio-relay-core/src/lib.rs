//! The relay's rules: who is who, who may call whom, which packet goes where.
//!
//! Pure: no socket, no thread, no clock. Time comes in as `now`, randomness as a generator given at
//! construction, and what is to be sent comes out of [`RelayState::poll_output`]. The server around it
//! (`tagio_relay_server`) only carries bytes.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod admission;
pub mod bindings;
pub mod cookie;
pub mod denial;
pub mod edge;
pub mod legs;
pub mod limits;
pub mod messages;
pub mod presence;
pub mod rate;
pub mod registrations;
pub mod relay;
pub mod stun;
pub mod tunnel;

pub use admission::{Admission, Phase, SourceNet};
pub use denial::{Denial, Denials};
pub use legs::{Route, SocketIndex, TcpLegId, UdpPeer};
pub use limits::Limits;
pub use presence::{Client, ConnId};
pub use relay::{Output, RelayState, Traffic};
pub use stun::StunServer;
