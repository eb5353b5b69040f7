//! The receiving end of a lane.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::joint::Joint;
use crate::{
    connection::RecvStream,
    error::{Lost, StreamError},
};

/// Streams of a lane that have begun and were not looked at yet: its receiver does so at once.
const STREAMS: usize = 4;

/// Where the streams of a lane come in.
#[derive(Clone, Debug)]
pub struct LaneEntrance(mpsc::Sender<(RecvStream, u64)>);

/// The frames of a lane.
#[derive(Debug)]
pub struct LaneReceiver {
    streams: mpsc::Receiver<(RecvStream, u64)>,
    joint: Joint<RecvStream>,
    /// Another stream may come.
    is_open: bool,
}

/// The receiving end of a lane whose frames have at most `max` bytes.
pub fn lane_receiver(max: usize) -> (LaneEntrance, LaneReceiver) {
    let (entrance, streams) = mpsc::channel(STREAMS);
    (LaneEntrance(entrance), LaneReceiver { streams, joint: Joint::new(max), is_open: true })
}

impl LaneEntrance {
    /// Takes a stream of the lane, of which only the kind was read.
    pub async fn take(&self, mut stream: RecvStream) {
        let mut first = [0; 8];
        if stream.read_exact(&mut first).await.is_ok() {
            self.0.send((stream, u64::from_be_bytes(first))).await.ok();
        }
    }
}

impl LaneReceiver {
    /// The next frame. Cancel safe.
    ///
    /// # Errors
    /// The connection is over, or the peer broke the protocol.
    pub async fn next(&mut self) -> Result<Bytes, StreamError> {
        loop {
            if let Some(frame) = self.joint.pop()? {
                return Ok(frame);
            }
            let current = self.joint.current().filter(|current| !current.is_over);
            if current.is_none() && !self.is_open {
                return Err(Lost::ByPeer.into());
            }
            tokio::select! {
                stream = self.streams.recv(), if self.is_open => match stream {
                    Some((stream, first)) => {
                        let order = stream.order();
                        self.joint.open(stream, order, first);
                    }
                    None => self.is_open = false,
                },
                Some((current, chunk)) = async {
                    let current = current?;
                    let chunk = current.stream.read_chunk().await;
                    Some((current, chunk))
                } => match chunk {
                    Ok(Some(bytes)) => current.push(&bytes),
                    Err(StreamError::Lost(lost)) => return Err(lost.into()),
                    // Its sender goes on in another one.
                    Ok(None) | Err(_) => current.is_over = true,
                },
            }
        }
    }
}
