//! The streams of a visit: one task each, so that a half-read frame is never dropped.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tagio_media::codec::{EncodedFrame, EncodedUpdate};
use tagio_transport::{Connection, RecvStream};
use tagio_wire::{
    decode, encode,
    input::InputEvent,
    limits::CURSOR_SLOTS,
    picture::{CursorShape, CursorUpdate},
    session::{CONTROL_FRAME_BYTES_MAX, StreamKind, ViewerMessage},
};
use tokio::{sync::mpsc, task::JoinSet};

use crate::engine::{ControlError, read_message};

/// How long after a viewer's own move the pointer's reports are its echoes.
const ECHO: Duration = Duration::from_millis(300);

/// A video frame that is not there so long after three round trips is worth nothing: the film went on.
const LATE_AFTER: Duration = Duration::from_millis(250);

/// When a viewer last moved the pointer. While it does, the host's reports of where the pointer is are
/// echoes.
#[derive(Clone)]
pub(super) struct LastMove(Arc<Mutex<Instant>>);

impl LastMove {
    const LOCK: &str = "no task panics while it holds a time";

    pub(super) fn long_ago() -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(now.checked_sub(ECHO).unwrap_or(now))))
    }

    pub(super) fn note(&self) {
        *self.0.lock().expect(Self::LOCK) = Instant::now();
    }

    fn is_recent(&self) -> bool {
        self.0.lock().expect(Self::LOCK).elapsed() < ECHO
    }
}

/// Reads the viewer's messages; the last one may be an error of the viewer's.
pub(super) async fn read_messages(mut recv: RecvStream, messages: mpsc::Sender<Result<ViewerMessage, ()>>) {
    loop {
        let message = match read_message(&mut recv).await {
            Ok(message) => Ok(message),
            Err(ControlError::Message(error)) => {
                tracing::warn!(%error, "bad message");
                Err(())
            }
            Err(ControlError::Stream(_)) => return,
        };
        let last = message.is_err();
        if messages.send(message).await.is_err() || last {
            return;
        }
    }
}

/// Reads the viewer's input stream, the one stream that it opens.
pub(super) async fn read_inputs(connection: Connection, inputs: mpsc::Sender<Result<InputEvent, ()>>) {
    let Ok(mut stream) = connection.accept_uni().await else { return };
    if !matches!(stream.read_u8().await.map(StreamKind::parse), Ok(Some(StreamKind::Input))) {
        inputs.send(Err(())).await.ok();
        return;
    }
    while let Ok(frame) = stream.read_frame(CONTROL_FRAME_BYTES_MAX).await {
        let event = decode(&frame).map_err(|error| tracing::warn!(%error, "bad input event"));
        let last = event.is_err();
        if inputs.send(event).await.is_err() || last {
            return;
        }
    }
    // The stream is over before the connection: the viewer's hands are gone, not its eyes.
    inputs.closed().await;
}

/// Writes the picture stream.
pub(super) async fn send_picture(connection: Connection, mut updates: mpsc::Receiver<EncodedUpdate>) {
    let Ok(mut stream) = connection.open_uni(StreamKind::Picture.priority()).await else { return };
    if stream.write(&[StreamKind::Picture.byte()]).await.is_err() {
        return;
    }
    while let Some(update) = updates.recv().await {
        let header = encode(&update.header);
        let len = u32::try_from(header.len()).expect("a header has at most BANDS_MAX bands");
        let head = [&len.to_be_bytes()[..], &header].concat();
        if stream.write_owned(head).await.is_err() || stream.write_owned(update.payload).await.is_err() {
            return;
        }
    }
}

/// Writes a stream for each video frame, and calls `lost` for one that did not arrive in time.
pub(super) async fn send_video(
    connection: Connection,
    mut frames: mpsc::Receiver<EncodedFrame>,
    lost: impl Fn(),
) {
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            frame = frames.recv() => match frame {
                Some(frame) => drop(under_way.spawn(send_frame(connection.clone(), frame))),
                None => return,
            },
            Some(sent) = under_way.join_next() => {
                if !sent.unwrap_or(false) {
                    lost();
                }
            }
        }
    }
}

/// Whether the viewer has it.
async fn send_frame(connection: Connection, frame: EncodedFrame) -> bool {
    let deadline = LATE_AFTER + 3 * connection.rtt();
    let Ok(mut stream) = connection.open_uni(StreamKind::Video.priority()).await else { return false };
    let header = encode(&frame.header);
    let len = u32::try_from(header.len()).expect("a video header is short");
    let head = [&[StreamKind::Video.byte()][..], &len.to_be_bytes(), &header].concat();
    let written = stream.write_owned(head).await.is_ok() && stream.write_owned(frame.payload).await.is_ok();
    written && stream.finish_within(deadline).await
}

/// Writes the cursor stream.
pub(super) async fn send_cursor(
    connection: Connection,
    mut cursors: mpsc::Receiver<CursorUpdate>,
    own: LastMove,
) {
    let Ok(mut stream) = connection.open_uni(StreamKind::Cursor.priority()).await else { return };
    if stream.write(&[StreamKind::Cursor.byte()]).await.is_err() {
        return;
    }
    let mut slots = CursorSlots::default();
    while let Some(update) = cursors.recv().await {
        if matches!(update, CursorUpdate::Moved(_)) && own.is_recent() {
            continue;
        }
        let bytes = encode(&slots.shorten(update));
        let len = u32::try_from(bytes.len()).expect("a cursor has at most CURSOR_SIDE_MAX rows");
        if stream.write(&[&len.to_be_bytes()[..], &bytes].concat()).await.is_err() {
            return;
        }
    }
}

/// The shapes that a viewer keeps.
#[derive(Default)]
struct CursorSlots {
    shapes: Vec<CursorShape>,
    /// Where the next one goes.
    next: usize,
}

impl CursorSlots {
    /// Names a shape that the viewer has by its slot.
    fn shorten(&mut self, update: CursorUpdate) -> CursorUpdate {
        let CursorUpdate::Shape(shape) = update else { return update };
        if let Some(slot) = self.shapes.iter().position(|kept| *kept == shape) {
            return CursorUpdate::Known(slot as u8);
        }
        if self.next == self.shapes.len() {
            self.shapes.push(shape.clone());
        } else {
            self.shapes[self.next] = shape.clone();
        }
        self.next = (self.next + 1) % usize::from(CURSOR_SLOTS);
        CursorUpdate::Shape(shape)
    }
}

#[cfg(test)]
mod tests {
    use tagio_wire::{Point, Size};

    use super::*;

    #[test]
    fn a_shape_travels_once_while_the_viewer_keeps_it() {
        let shape =
            |grey| CursorShape { size: Size::new(1, 1), hotspot: Point::new(0, 0), rgba: vec![grey; 4] };
        let mut slots = CursorSlots::default();
        for grey in 0..CURSOR_SLOTS {
            assert_eq!(slots.shorten(CursorUpdate::Shape(shape(grey))), CursorUpdate::Shape(shape(grey)));
            assert_eq!(slots.shorten(CursorUpdate::Shape(shape(grey))), CursorUpdate::Known(grey));
        }
        assert_eq!(slots.shorten(CursorUpdate::Shape(shape(200))), CursorUpdate::Shape(shape(200)));
        assert_eq!(
            slots.shorten(CursorUpdate::Shape(shape(200))),
            CursorUpdate::Known(0),
            "the oldest is gone"
        );
        assert_eq!(slots.shorten(CursorUpdate::Shape(shape(0))), CursorUpdate::Shape(shape(0)));
        assert_eq!(slots.shorten(CursorUpdate::Hidden), CursorUpdate::Hidden);
    }
}
