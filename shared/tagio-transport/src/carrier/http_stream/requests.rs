//! Requests one after the other over a connection that is kept alive, and made again where it was lost.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::{CACHE_CONTROL, HOST, PROXY_AUTHORIZATION},
};
use hyper_util::rt::TokioIo;
use tagio_wire::carrier::HTTP_WAIT;
use tokio::{task::JoinSet, time::timeout};

use crate::carrier::{CarrierError, road::Road};

/// How long an answer may take: a `GET` waits, and a slow proxy adds to that.
const ANSWER_DEADLINE: Duration = Duration::from_secs(HTTP_WAIT.as_secs() + 10);
/// Longest answer that is read as a whole: a stream's name or an offset.
const SHORT_ANSWER_BYTES_MAX: usize = 1024;

/// What sends requests, and the task that moves its bytes.
type Connection = (SendRequest<Full<Bytes>>, JoinSet<()>);

/// Asks the relay, or the proxy before it.
pub(super) struct Requests {
    road: Road,
    connection: Option<Connection>,
}

impl Requests {
    pub(super) fn new(road: Road) -> Self {
        Self { road, connection: None }
    }

    /// The same road, another connection.
    pub(super) fn another(&self) -> Self {
        Self::new(self.road.clone())
    }

    /// Sends a request and waits for the head of the answer, whose body has to be read before the next request.
    pub(super) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, CarrierError> {
        // Taken out, so that a request that is given up half-way takes its connection with it.
        if let Some(open) = self.connection.take().filter(|(sender, _)| !sender.is_closed()) {
            match self.ask_over(open, &method, path, &body).await {
                // The other side has closed it meanwhile, as is its right. To ask twice does no harm: bytes have offsets.
                Err(CarrierError::Http(error)) => tracing::trace!(%error, "HTTP connection was over"),
                answered => return answered,
            }
        }
        let fresh = self.connect().await?;
        self.ask_over(fresh, &method, path, &body).await
    }

    /// Keeps the connection where there was an answer.
    async fn ask_over(
        &mut self,
        (mut sender, task): Connection,
        method: &Method,
        path: &str,
        body: &Bytes,
    ) -> Result<Response<Incoming>, CarrierError> {
        let request = self.request(method, path, body.clone())?;
        let answer = timeout(ANSWER_DEADLINE, async {
            sender.ready().await?;
            sender.send_request(request).await
        });
        let answer = answer.await.map_err(|_| CarrierError::TimedOut)??;
        if let Some(proxy) = self.road.forwarder() {
            proxy.check(answer.status())?;
        }
        self.connection = Some((sender, task));
        Ok(answer)
    }

    /// The same, with a short answer.
    pub(super) async fn ask_all(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), CarrierError> {
        let answer = self.ask(method, path, body).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), SHORT_ANSWER_BYTES_MAX).collect();
        match timeout(ANSWER_DEADLINE, body).await {
            Ok(Ok(body)) => Ok((status, body.to_bytes())),
            Ok(Err(_)) => {
                self.connection = None;
                // An error's page may be long, and is nobody's business.
                if status.is_success() { Err(CarrierError::NotTheRelay) } else { Ok((status, Bytes::new())) }
            }
            Err(_) => {
                self.connection = None;
                Err(CarrierError::TimedOut)
            }
        }
    }

    async fn connect(&self) -> Result<Connection, CarrierError> {
        let stream = timeout(ANSWER_DEADLINE, self.road.connect());
        let stream = stream.await.map_err(|_| CarrierError::TimedOut)??;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            if let Err(error) = connection.await {
                tracing::trace!(%error, "HTTP connection over");
            }
        });
        Ok((sender, task))
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, CarrierError> {
        let relay = &self.road.relay;
        let mut request = Request::builder()
            .method(method)
            .header(HOST, relay.to_string())
            .header(CACHE_CONTROL, "no-store");
        request = match self.road.forwarder() {
            Some(proxy) => {
                let request = request.uri(format!("http://{relay}{path}"));
                match proxy.login() {
                    Some(login) => request.header(PROXY_AUTHORIZATION, login),
                    None => request,
                }
            }
            None => request.uri(path),
        };
        request.body(Full::new(body)).map_err(|_| CarrierError::Name(relay.to_string()))
    }
}
