//! HTTP proxies: which one stands before a relay, and tunnels through it (RFC 9110, section 9.3.6).

use std::{fmt, sync::Arc};

use bytes::Bytes;
use data_encoding::BASE64;
use http_body_util::Empty;
use hyper::{
    Request, StatusCode,
    client::conn::http1,
    header::{HOST, HeaderValue, PROXY_AUTHORIZATION},
    http::Uri,
};
use hyper_util::{client::proxy::matcher::Matcher, rt::TokioIo};
use tokio::{net::TcpStream, try_join};

use super::{BoxedStream, CarrierError, address::HostPort};

/// Where a proxy listens that is named without a port.
const DEFAULT_PORT: u16 = 80;

/// Which proxy may be used beside the direct way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProxySetting {
    /// What `HTTPS_PROXY`, `ALL_PROXY`, `HTTP_PROXY` and `NO_PROXY` say, else what the system's settings say.
    #[default]
    System,
    /// This one.
    Fixed(FixedProxy),
}

/// A proxy that the person named.
#[derive(Clone, PartialEq, Eq)]
pub struct FixedProxy {
    /// `HOST:PORT`, with or without `http://` before it.
    pub address: String,
    /// Its name for the person; empty where it asks for none.
    pub user: String,
    /// The password that goes with it.
    pub password: String,
}

impl fmt::Debug for FixedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, user, password: _ } = self;
        f.debug_struct("FixedProxy")
            .field("address", address)
            .field("user", user)
            .field("password", &"***")
            .finish()
    }
}

impl FixedProxy {
    /// Whether `address` names a proxy that TagIO can use.
    pub fn is_address(address: &str) -> bool {
        at(address).is_some()
    }
}

fn at(address: &str) -> Option<HostPort> {
    let address = address.trim().trim_end_matches('/');
    HostPort::parse(address.strip_prefix("http://").unwrap_or(address), Some(DEFAULT_PORT))
        .filter(|at| !at.host.contains(['/', '@', ' ', ':']) || at.host.parse::<std::net::IpAddr>().is_ok())
}

/// A proxy that speaks plain HTTP.
#[derive(Clone)]
pub(super) struct Proxy {
    at: HostPort,
    login: Option<HeaderValue>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.at)
    }
}

/// The proxies towards a relay.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies {
    /// For tunnels.
    pub(super) tunnel: Option<Arc<Proxy>>,
    /// For forwarded requests.
    pub(super) forward: Option<Arc<Proxy>>,
}

impl Proxies {
    /// Those that stand before `relay`, by the setting or by what environment and system say now.
    pub(super) fn before(relay: &HostPort, setting: &ProxySetting) -> Self {
        match setting {
            ProxySetting::Fixed(fixed) => {
                let proxy = Proxy::fixed(fixed).map(Arc::new);
                if proxy.is_none() {
                    tracing::warn!("the proxy's address is no HOST:PORT; not used");
                }
                Self { tunnel: proxy.clone(), forward: proxy }
            }
            ProxySetting::System => {
                let matcher = Matcher::from_system();
                let find = |scheme| Proxy::matched(&matcher, scheme, relay).map(Arc::new);
                Self { tunnel: find("https"), forward: find("http") }
            }
        }
    }
}

impl Proxy {
    fn fixed(fixed: &FixedProxy) -> Option<Self> {
        let login = (!fixed.user.is_empty()).then(|| basic(&fixed.user, &fixed.password));
        Some(Self { at: at(&fixed.address)?, login })
    }

    fn matched(matcher: &Matcher, scheme: &str, relay: &HostPort) -> Option<Self> {
        let uri: Uri = format!("{scheme}://{relay}").parse().ok()?;
        let found = matcher.intercept(&uri)?;
        let proxy = found.uri();
        if proxy.scheme_str() != Some("http") {
            tracing::warn!(scheme = proxy.scheme_str(), "only proxies that speak HTTP are used");
            return None;
        }
        let host = proxy.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = proxy.port_u16().unwrap_or(DEFAULT_PORT);
        Some(Self { at: HostPort { host, port }, login: found.basic_auth().cloned() })
    }

    /// Its address, for people.
    pub(super) fn name(&self) -> String {
        self.at.to_string()
    }

    /// What it is shown with each request.
    pub(super) fn login(&self) -> Option<&HeaderValue> {
        self.login.as_ref()
    }

    /// What its answer to a request means, where that says nothing of the relay.
    pub(super) fn check(&self, status: StatusCode) -> Result<(), CarrierError> {
        let proxy = self.name();
        match status {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Err(CarrierError::ProxyLogin { proxy, was_given: self.login.is_some() })
            }
            _ => Ok(()),
        }
    }

    /// A TCP connection to it.
    pub(super) async fn connect(&self) -> Result<BoxedStream, CarrierError> {
        let unreachable = |source| CarrierError::ProxyConnect { proxy: self.name(), source };
        let stream = TcpStream::connect((self.at.host.as_str(), self.at.port)).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        Ok(Box::new(stream))
    }

    /// A tunnel through it to `relay`.
    pub(super) async fn tunnel(&self, relay: &HostPort) -> Result<BoxedStream, CarrierError> {
        let stream = TokioIo::new(self.connect().await?);
        let (mut sender, connection) = http1::handshake(stream).await?;
        let mut request = Request::connect(relay.to_string()).header(HOST, relay.to_string());
        if let Some(login) = &self.login {
            request = request.header(PROXY_AUTHORIZATION, login);
        }
        let request =
            request.body(Empty::<Bytes>::new()).map_err(|_| CarrierError::Name(relay.to_string()))?;
        let ask = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            self.check(status)?;
            if !status.is_success() {
                return Err(CarrierError::ProxyRefused { proxy: self.name(), status: status.as_u16() });
            }
            Ok(hyper::upgrade::on(answer).await?)
        };
        let drive = async { connection.with_upgrades().await.map_err(CarrierError::from) };
        let (upgraded, ()) = try_join!(ask, drive)?;
        Ok(Box::new(TokioIo::new(upgraded)))
    }
}

/// RFC 7617.
fn basic(user: &str, password: &str) -> HeaderValue {
    let encoded = BASE64.encode(format!("{user}:{password}").as_bytes());
    let mut header = HeaderValue::from_str(&format!("Basic {encoded}")).expect("base64 is plain ASCII");
    header.set_sensitive(true);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(address: &str, user: &str) -> FixedProxy {
        FixedProxy { address: address.to_owned(), user: user.to_owned(), password: "open sesame".to_owned() }
    }

    #[test]
    fn a_named_proxy_is_understood_or_refused() {
        for (address, read) in [
            ("proxy:3128", Some("proxy:3128")),
            ("http://proxy.example:3128/", Some("proxy.example:3128")),
            ("proxy", Some("proxy:80")),
            ("http://[2001:db8::1]:3128", Some("[2001:db8::1]:3128")),
            ("https://proxy:3128", None),
            ("socks5://proxy:1080", None),
            ("me:secret@proxy:3128", None),
            ("", None),
        ] {
            let proxy = Proxy::fixed(&fixed(address, ""));
            assert_eq!(proxy.as_ref().map(Proxy::name).as_deref(), read, "{address}");
        }
    }

    #[test]
    fn the_login_is_shown_to_the_proxy_and_to_nobody_else() {
        let fixed = fixed("proxy:3128", "Aladdin");
        let proxy = Proxy::fixed(&fixed).unwrap();
        assert_eq!(proxy.login().unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let shown = format!("{fixed:?} {proxy:?} {:?}", proxy.login());
        assert!(!shown.contains("sesame") && !shown.contains("QWxh"), "{shown}");
    }

    #[test]
    fn what_the_environment_says_is_followed_but_for_its_exceptions() {
        let matcher =
            Matcher::builder().all("http://me:secret@proxy:3128").no("intern.example, 10.0.0.0/8").build();
        let found = |relay| Proxy::matched(&matcher, "https", &HostPort::parse(relay, None).unwrap());
        let proxy = found("relay.example:443").unwrap();
        assert_eq!(proxy.name(), "proxy:3128");
        assert_eq!(proxy.login().unwrap(), "Basic bWU6c2VjcmV0");
        assert!(found("relay.intern.example:443").is_none());
        assert!(found("10.1.2.3:443").is_none());
        assert!(found("[2001:db8::1]:443").is_some());
        let socks = Matcher::builder().all("socks5://proxy:1080").build();
        let relay = HostPort::parse("relay.example:443", None).unwrap();
        assert!(Proxy::matched(&socks, "https", &relay).is_none());
    }
}
