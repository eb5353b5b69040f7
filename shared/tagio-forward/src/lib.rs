//! The QUIC forward tunnel: a client's connections leave from the server's network.
//!
//! [`server::Server`] serves clients that come by ALPN `mytunnel`; [`client::Tunnel`] keeps a connection to one and is an
//! outlet for the doors of `tagio-proxy`. TCP goes by streams, UDP by QUIC datagrams. QUIC is `noq`; no type of it
//! leaves this crate.
#![warn(missing_docs)]

pub mod client;
mod pump;
pub mod server;
mod transport;
pub mod wire;
