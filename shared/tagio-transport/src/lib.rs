//! Sockets, QUIC, relay legs and paths between peers. Knows how packets travel, not what they mean.
//!
//! QUIC is `noq` behind [`Endpoint`] and [`Connection`]: no type of it leaves this crate, so that it can be
//! replaced. One endpoint per process sends and receives through one abstract socket, which multiplexes
//! real UDP sockets and relay legs; a leg appears to QUIC as a made-up IPv6 address.
//!
//! Everything here runs on the tokio runtime that calls it. Every task is owned: by a [`RelayLeg`], a
//! [`Connection`], a [`PortMapping`] or a [`relay::Relay`], and ends with it.
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod any_certificate;
mod carrier;
mod connection;
mod endpoint;
mod error;
pub mod lan;
pub mod lane;
mod leg;
mod nat_watch;
mod network_watch;
mod paths;
mod port_mapping;
pub mod relay;
mod socket;
mod stun;

pub use carrier::{Carrier, CarrierChoice, CarrierKind, FixedProxy, ProxySetting, ReachSettings};
pub use connection::{Connection, RecvStream, SendStream, Strandings};
pub use endpoint::{Endpoint, Incoming};
pub use error::{ConnectError, LegConnectError, LegError, Lost, StreamError};
pub use leg::RelayLeg;
pub use network_watch::NetworkChanges;
pub use paths::{
    Outcome, PathFacts, PathFigures, PathKind, PathReport, PathStats, Paths, PathsEvent, Relayed, Side, Tried,
};
pub use port_mapping::{MappedAddr, MappedBy, PortMapping};
pub use stun::NatReport;
