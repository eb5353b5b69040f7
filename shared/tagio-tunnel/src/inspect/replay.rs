//! A recorded request, sent to the local service once more.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1 as client};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use super::{Head, Recorder, passing::fields};

/// Time for all of it.
const REPLAY: Duration = Duration::from_secs(30);
/// Fields of the connection that it came by; it leaves by another, its body in one piece.
const LEFT_OUT: [&str; 6] =
    ["connection", "keep-alive", "content-length", "transfer-encoding", "upgrade", "expect"];

/// Why a request was not sent once more.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It is not kept any more.
    #[error("this request is not kept any more")]
    Unknown,
    /// Only the beginning of its body was kept.
    #[error("its body was too long to be kept whole")]
    Cut,
    /// What was recorded cannot be sent by itself.
    #[error("it cannot be sent again")]
    Unfit,
    /// The service gave no answer.
    #[error("the local service does not answer: {0}")]
    Service(#[from] io::Error),
}

/// Sends a recorded request to the service at `host` and `port` once more. The number of the new exchange.
///
/// # Errors
/// It is gone, is not whole, or nobody answers.
pub async fn replay(recorder: &Arc<Recorder>, id: u64, host: &str, port: u16) -> Result<u64, ReplayError> {
    let exchange = recorder.find(id).ok_or(ReplayError::Unknown)?;
    if !exchange.request_body.is_whole() {
        return Err(ReplayError::Cut);
    }
    let Head { method, target, fields: sent } = exchange.request.clone();
    let mut builder = Request::builder().method(method.as_str()).uri(target.as_str());
    for (name, value) in sent.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str())) {
        builder = builder.header(name, value);
    }
    let body = Bytes::from(exchange.request_body.kept);
    let request = builder.body(Full::new(body.clone())).map_err(|_| ReplayError::Unfit)?;
    let recording = recorder.begin(exchange.request, Some(id));
    recording.request_bytes(&body);
    let answered = async {
        let stream = TcpStream::connect((host, port)).await?;
        let (mut sender, connection) =
            client::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let exchanged = async {
            let response = sender.send_request(request).await?;
            recording.answered(response.status().as_u16(), fields(response.headers()));
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                if let Some(bytes) = frame?.data_ref() {
                    recording.response_bytes(bytes);
                }
            }
            recording.done();
            Ok::<_, hyper::Error>(())
        };
        tokio::select! {
            exchanged = exchanged => exchanged.map_err(io::Error::other),
            ended = connection => Err(ended.map_or_else(io::Error::other, |()| io::ErrorKind::UnexpectedEof.into())),
        }
    };
    timeout(REPLAY, answered).await.map_err(io::Error::from)??;
    Ok(recording.id())
}
