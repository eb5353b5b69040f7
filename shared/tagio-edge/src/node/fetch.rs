//! HTTP GETs and WebSockets, plain or by TLS with a certificate that the system believes.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, Uri, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use rustls_platform_verifier::BuilderVerifierExt as _;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// Time for one request and its answer.
const EXCHANGE: Duration = Duration::from_secs(5);
/// Longest answer: lists of a few URLs.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Times that an answer may point elsewhere.
const REDIRECTS_MAX: usize = 3;
/// What is spoken inside TLS.
const ALPN: &[u8] = b"http/1.1";

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum FetchError {
    /// Not an `http`, `https`, `ws` or `wss` URL with a host.
    #[error("`{0}` is no URL that can be used")]
    Url(String),
    /// No connection, or it broke.
    #[error("no connection: {0}")]
    Io(#[from] io::Error),
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// It does not speak HTTP.
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    /// The answer is another than 200.
    #[error("the answer is {0}")]
    Status(hyper::StatusCode),
    /// It is too long, or broke off.
    #[error("the answer cannot be read")]
    Body,
    /// It took too long.
    #[error("no answer in time")]
    TimedOut,
}

/// A connection of either kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Makes connections.
#[derive(Clone)]
pub(super) struct Client {
    tls: Arc<ClientConfig>,
}

impl Client {
    /// With the certificates that the system believes.
    pub(super) fn new() -> Result<Self, FetchError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()?
            .with_no_client_auth();
        tls.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self { tls: Arc::new(tls) })
    }

    /// A connection to where `uri` leads.
    pub(super) async fn connect(&self, uri: &Uri) -> Result<Box<dyn Stream>, FetchError> {
        let bad = || FetchError::Url(uri.to_string());
        let host = uri.host().ok_or_else(bad)?.trim_matches(['[', ']']);
        let (is_tls, port) = match uri.scheme_str() {
            Some("http" | "ws") => (false, 80),
            Some("https" | "wss") => (true, 443),
            _ => return Err(bad()),
        };
        let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(port))).await?;
        // Small messages with somebody waiting for each. A socket that refuses is dying.
        let _ = stream.set_nodelay(true);
        if !is_tls {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| bad())?;
        Ok(Box::new(TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await?))
    }

    /// The body at `url`.
    pub(super) async fn get(&self, url: &str) -> Result<Bytes, FetchError> {
        timeout(EXCHANGE, self.follow(url)).await.map_err(|_| FetchError::TimedOut)?
    }

    async fn follow(&self, url: &str) -> Result<Bytes, FetchError> {
        let mut uri: Uri = url.parse().map_err(|_| FetchError::Url(url.to_owned()))?;
        for _ in 0..REDIRECTS_MAX {
            match self.exchange(&uri).await? {
                Answer::Body(body) => return Ok(body),
                Answer::Elsewhere(next) => uri = next,
            }
        }
        Err(FetchError::Url(url.to_owned()))
    }

    async fn exchange(&self, uri: &Uri) -> Result<Answer, FetchError> {
        let stream = self.connect(uri).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path)
            .header(header::HOST, authority)
            .header(header::ACCEPT, "application/json")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|_| FetchError::Url(uri.to_string()))?;
        let answered = async {
            let answer = sender.send_request(request).await?;
            if answer.status().is_redirection() {
                let location = answer.headers().get(header::LOCATION).and_then(|text| text.to_str().ok());
                let next = location.and_then(|location| elsewhere(uri, location));
                return next.map(Answer::Elsewhere).ok_or(FetchError::Status(answer.status()));
            }
            if !answer.status().is_success() {
                return Err(FetchError::Status(answer.status()));
            }
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok(Answer::Body(body.map_err(|_| FetchError::Body)?.to_bytes()))
        };
        tokio::pin!(answered, connection);
        tokio::select! {
            answer = &mut answered => answer,
            ended = &mut connection => match ended {
                // Everything was read: the answer is there.
                Ok(()) => answered.await,
                Err(error) => Err(error.into()),
            },
        }
    }
}

enum Answer {
    Body(Bytes),
    Elsewhere(Uri),
}

/// Where an answer from `from` points. It may leave TLS no more than once entered.
fn elsewhere(from: &Uri, location: &str) -> Option<Uri> {
    let next: Uri = if location.starts_with('/') && !location.starts_with("//") {
        let (scheme, authority) = (from.scheme_str()?, from.authority()?);
        format!("{scheme}://{authority}{location}").parse().ok()?
    } else {
        location.parse().ok()?
    };
    let loses_tls = from.scheme_str() == Some("https") && next.scheme_str() != Some("https");
    (!loses_tls).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_point_to_paths_and_urls_and_never_out_of_tls() {
        let from: Uri = "https://a.example:8443/list".parse().expect("a URL");
        let to = |location| elsewhere(&from, location).map(|uri| uri.to_string());
        assert_eq!(to("/other?x=1").as_deref(), Some("https://a.example:8443/other?x=1"));
        assert_eq!(to("https://b.example/").as_deref(), Some("https://b.example/"));
        assert_eq!(to("http://b.example/"), None);
        assert_eq!(to("//b.example/"), None);
        assert_eq!(to("not a url"), None);
    }
}
