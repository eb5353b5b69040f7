//! What a client may come through where plain TCP does not: TLS, WebSocket, HTTP, written from the protocol's
//! description alone.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, Stream};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, duplex, split},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use super::PATIENCE;

/// Bytes both ways.
pub trait Link: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Link for S {}

/// Whatever it is that carries.
pub type AnyLink = Box<dyn Link>;

/// What carries a client's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Tcp,
    Tls,
    Ws,
    Wss,
    Http,
    Https,
}

impl Kind {
    pub const ALL: [Self; 6] = [Self::Tcp, Self::Tls, Self::Ws, Self::Wss, Self::Http, Self::Https];

    pub async fn open(self, relay: SocketAddr) -> AnyLink {
        match self {
            Self::Tcp | Self::Tls => self.socket(relay).await,
            Self::Ws | Self::Wss => {
                Box::new(over_websocket(websocket(self.socket(relay).await).await.unwrap()))
            }
            Self::Http | Self::Https => {
                over_http(self.socket(relay).await, self.socket(relay).await).await.unwrap()
            }
        }
    }

    /// What is below WebSocket or HTTP.
    pub async fn socket(self, relay: SocketAddr) -> AnyLink {
        match self {
            Self::Tcp | Self::Ws | Self::Http => Box::new(TcpStream::connect(relay).await.unwrap()),
            Self::Tls | Self::Wss | Self::Https => Box::new(tls(relay).await.unwrap()),
        }
    }
}

/// TLS, whatever certificate it shows.
pub async fn tls(relay: SocketAddr) -> Result<TlsStream<TcpStream>> {
    let connector = TlsConnector::from(Arc::new(tls_config()?));
    let name = ServerName::try_from("relay.example")?;
    Ok(timeout(PATIENCE, connector.connect(name, TcpStream::connect(relay).await?)).await??)
}

/// Believes any certificate.
pub fn tls_config() -> Result<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The relay's key is proven by Noise, inside.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A WebSocket that carries.
pub async fn websocket<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Result<WebSocketStream<S>> {
    websocket_with(stream, &[]).await
}

/// As [`websocket`], with headers of one's own.
pub async fn websocket_with<S>(stream: S, headers: &[(&'static str, &str)]) -> Result<WebSocketStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = "ws://relay.example/tagio".into_client_request()?;
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse()?);
    }
    request.headers_mut().insert("sec-websocket-protocol", "tagio".parse()?);
    Ok(timeout(PATIENCE, client_async(request, stream)).await??.0)
}

/// Its binary messages as a stream of bytes.
pub fn over_websocket<S>(mut socket: WebSocketStream<S>) -> impl Link
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (ours, mut theirs) = duplex(64 * 1024);
    tokio::spawn(async move {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            tokio::select! {
                message = next(&mut socket) => match message {
                    Some(Ok(Message::Binary(bytes))) => theirs.write_all(&bytes).await?,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    _ => return anyhow::Ok(()),
                },
                read = theirs.read(&mut buffer) => match read? {
                    0 => return Ok(socket.close(None).await?),
                    len => socket.send(Message::Binary(buffer[..len].to_vec().into())).await?,
                },
            }
        }
    });
    ours
}

/// The next message.
pub async fn next<S>(socket: &mut S) -> Option<S::Item>
where
    S: Stream + Unpin,
{
    std::future::poll_fn(|cx| std::pin::Pin::new(&mut *socket).poll_next(cx)).await
}

/// A connection for one request after the other.
pub struct Requests(BufReader<AnyLink>);

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Requests {
    pub fn new(link: AnyLink) -> Self {
        Self(BufReader::new(link))
    }

    pub async fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Answer> {
        self.start(method, path, body).await?;
        self.answer(method).await
    }

    pub async fn start(&mut self, method: &str, path: &str, body: &[u8]) -> Result<()> {
        let len = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: relay.example\r\nContent-Length: {len}\r\n\r\n");
        self.0.write_all(&[head.as_bytes(), body].concat()).await?;
        Ok(self.0.flush().await?)
    }

    pub async fn answer(&mut self, method: &str) -> Result<Answer> {
        let mut headers = String::new();
        while !headers.ends_with("\r\n\r\n") {
            ensure!(self.0.read_line(&mut headers).await? > 0, "closed");
        }
        let headers = headers.to_ascii_lowercase();
        let status = headers.get(9..12).context("a status line")?.parse()?;
        let len = headers.lines().find_map(|line| line.strip_prefix("content-length: "));
        let len = match len {
            Some(len) if method != "HEAD" => len.parse()?,
            _ => 0,
        };
        let mut body = vec![0; len];
        self.0.read_exact(&mut body).await?;
        Ok(Answer { status, headers, body })
    }
}

/// Opens a stream over HTTP; its name.
pub async fn open_stream(requests: &mut Requests) -> Result<String> {
    let name = format!("{:032x}", rand::random::<u128>());
    let answer = requests.send("POST", &format!("/tagio/stream/{name}/0?open=1"), b"").await?;
    ensure!(answer.status == 200 && answer.text() == "0", "{answer:?}");
    Ok(name)
}

/// A stream over HTTP, with a connection for each direction.
pub async fn over_http(up: AnyLink, down: AnyLink) -> Result<AnyLink> {
    let (mut up, mut down) = (Requests::new(up), Requests::new(down));
    let name = open_stream(&mut up).await?;
    let (ours, theirs) = duplex(64 * 1024);
    let (mut read, mut write) = split(theirs);
    let path = format!("/tagio/stream/{name}");
    let fetched = path.clone();
    let fetching = tokio::spawn(async move {
        let mut offset = 0;
        loop {
            let answer = down.send("GET", &format!("{fetched}/{offset}"), b"").await?;
            match answer.status {
                200 => write.write_all(&answer.body).await?,
                204 => {}
                // The second when the relay has forgotten it by now.
                410 | 404 => return Ok(write.shutdown().await?),
                _ => bail!("{answer:?}"),
            }
            offset += answer.body.len();
        }
    });
    tokio::spawn(async move {
        let (mut offset, mut buffer) = (0, vec![0; 16 * 1024]);
        loop {
            match read.read(&mut buffer).await? {
                0 => break,
                len => {
                    let answer = up.send("POST", &format!("{path}/{offset}"), &buffer[..len]).await?;
                    offset += len;
                    ensure!(answer.status == 200 && answer.text() == offset.to_string(), "{answer:?}");
                }
            }
        }
        fetching.abort();
        up.send("DELETE", &path, b"").await?;
        Ok(())
    });
    Ok(Box::new(ours))
}
