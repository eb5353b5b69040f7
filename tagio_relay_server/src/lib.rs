//! TagIO's relay: brokers IDs, helps peers meet, relays what cannot go direct.
//!
//! The rules are in `tagio-relay-core`; here are the sockets around them. One port number carries
//! everything: the [`front_door`] tells by the first bytes of a TCP connection who is there, `udp` by the
//! first byte of a datagram. Every task sits in a `JoinSet` of its owner, up to [`Server::run`], and dies
//! with it.
//!
//! The rules' state is behind one mutex (`hub`), held for lookups and never across an `.await`: without
//! contention that costs 20 ns per packet, less than handing it to an owner task would. Shard it only when a
//! measurement asks for it.

mod access;
mod admin;
mod carrier;
pub mod config;
mod connection;
mod control;
mod edge;
pub mod front_door;
mod http;
mod hub;
mod identity;
mod listeners;
mod lock;
mod messages;
mod metrics;
mod open_files;
mod outbox;
mod proxy_protocol;
mod registration;
mod server;
mod shared;
mod signals;
mod store;
mod stun;
mod tcp_leg;
mod tls;
mod tunnel;
mod udp;
mod vantage;

pub use config::{Acme, CertificateSource, Config, MetricsBind, SecondPort, Secret, TrustedProxies};
pub use edge::EdgeConfig;
pub use open_files::raise_open_files;
pub use server::{Reloader, Server};
pub use signals::{reload_signal, stop_signal};
pub use tunnel::{TunnelAddrs, TunnelConfig, TunnelToken};
