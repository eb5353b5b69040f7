//! One way to a relay: which address or proxy, and which carrier over it.

use std::{net::SocketAddr, sync::Arc};

use tokio::net::TcpStream;

use super::{
    BoxedStream, Carrier, CarrierError, CarrierKind, address::HostPort, http_stream, proxy::Proxy, tls,
    websocket,
};

/// What the first connection goes to.
#[derive(Clone, Debug)]
pub(super) enum Via {
    /// The relay itself.
    Direct(SocketAddr),
    /// A tunnel through a proxy.
    Tunnel(Arc<Proxy>),
    /// A proxy that passes requests on; for HTTP only.
    Forward(Arc<Proxy>),
}

impl Via {
    /// Whether both first go to the same address or proxy.
    pub(super) fn leads_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Direct(addr), Self::Direct(other)) => addr == other,
            (Self::Tunnel(proxy) | Self::Forward(proxy), Self::Tunnel(other) | Self::Forward(other)) => {
                proxy.name() == other.name()
            }
            (Self::Direct(_), Self::Tunnel(_) | Self::Forward(_))
            | (Self::Tunnel(_) | Self::Forward(_), Self::Direct(_)) => false,
        }
    }
}

/// One way to a relay.
#[derive(Clone, Debug)]
pub(super) struct Road {
    pub(super) kind: CarrierKind,
    pub(super) via: Via,
    /// The relay, at the port that is tried.
    pub(super) relay: HostPort,
}

impl Road {
    /// What it is, for people.
    pub(super) fn carrier(&self) -> Carrier {
        Carrier::Stream { kind: self.kind, proxied: !matches!(self.via, Via::Direct(_)) }
    }

    /// The proxy that requests are given to, instead of to the relay.
    pub(super) fn forwarder(&self) -> Option<&Proxy> {
        match &self.via {
            Via::Forward(proxy) => Some(proxy),
            Via::Direct(_) | Via::Tunnel(_) => None,
        }
    }

    /// Opens the carrier. That something answered does not mean that it was the relay.
    pub(super) async fn open(&self) -> Result<BoxedStream, CarrierError> {
        match self.kind {
            CarrierKind::Tcp | CarrierKind::Tls => self.connect().await,
            CarrierKind::WebSocketTls | CarrierKind::WebSocket => {
                websocket::open(self.connect().await?, &self.relay).await
            }
            CarrierKind::HttpTls | CarrierKind::Http => Ok(http_stream::open(self)),
        }
    }

    /// The connection below: TCP, or TLS over it.
    pub(super) async fn connect(&self) -> Result<BoxedStream, CarrierError> {
        let stream: BoxedStream = match &self.via {
            Via::Direct(addr) => {
                let stream = TcpStream::connect(addr).await.map_err(CarrierError::Connect)?;
                stream.set_nodelay(true).map_err(CarrierError::Connect)?;
                Box::new(stream)
            }
            Via::Tunnel(proxy) => proxy.tunnel(&self.relay).await?,
            Via::Forward(proxy) => proxy.connect().await?,
        };
        if self.kind.has_tls() {
            Ok(Box::new(tls::wrap(stream, &self.relay.host).await?))
        } else {
            Ok(stream)
        }
    }
}
