//! The streams of a visit, a task for each.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tagio_media::codec::{EncodedFrame, EncodedUpdate};
use tagio_transport::{
    Connection,
    lane::{Lane, LaneEntrance, LaneSender, Memory},
};
use tagio_wire::{
    encode,
    limits::CURSOR_SLOTS,
    picture::{CursorShape, CursorUpdate, UpdateNumber},
    session::StreamKind,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

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

/// Where the viewer's lanes come in.
pub(super) struct Entrances {
    pub(super) messages: LaneEntrance,
    pub(super) inputs: LaneEntrance,
}

/// Takes the streams that the viewer opens.
pub(super) async fn accept_streams(connection: Connection, entrances: Entrances) {
    // A stream that says nothing holds up no other; QUIC bounds how many there are.
    let mut begun = JoinSet::new();
    while let Ok(mut stream) = connection.accept_uni().await {
        let (messages, inputs) = (entrances.messages.clone(), entrances.inputs.clone());
        begun.spawn(async move {
            match stream.read_u8().await.map(StreamKind::parse) {
                Ok(Some(StreamKind::Messages)) => messages.take(stream).await,
                Ok(Some(StreamKind::Input)) => inputs.take(stream).await,
                // A newer viewer may send more than this program knows.
                Ok(
                    Some(StreamKind::Picture | StreamKind::Cursor | StreamKind::Video | StreamKind::Port)
                    | None,
                )
                | Err(_) => {}
            }
        });
        while begun.try_join_next().is_some() {}
    }
}

/// Sends the picture's lane. What the viewer has acknowledged is not sent again.
pub(super) async fn send_picture(
    connection: Connection,
    mut updates: mpsc::Receiver<EncodedUpdate>,
    mut acked: watch::Receiver<UpdateNumber>,
) {
    let mut lane = LaneSender::new(&connection, StreamKind::Picture, Memory::UntilForgotten);
    let mut sent = SentUpdates::default();
    loop {
        tokio::select! {
            update = updates.recv(), if lane.is_idle() => {
                let Some(update) = update else { return };
                let header = encode(&update.header);
                let len = u32::try_from(header.len()).expect("a header has at most BANDS_MAX bands");
                let frame = lane.push(&[&len.to_be_bytes()[..], &header].concat(), update.payload);
                sent.note(update.header.number, frame);
            }
            Ok(()) = acked.changed() => lane.forget_below(sent.acked(*acked.borrow_and_update())),
            worked = lane.work() => if worked.is_err() {
                return;
            },
        }
    }
}

/// Which frame of the lane an update went in. Bounded as what a viewer has not acknowledged is.
#[derive(Default)]
struct SentUpdates {
    sent: VecDeque<(UpdateNumber, u64)>,
    /// The first frame that may be needed again.
    needed: u64,
}

impl SentUpdates {
    fn note(&mut self, number: UpdateNumber, frame: u64) {
        self.sent.push_back((number, frame));
    }

    /// Everything up to `number` is decoded; the first frame that is not.
    fn acked(&mut self, number: UpdateNumber) -> u64 {
        let is_decoded = |sent: UpdateNumber| number.wrapping_sub(sent) < UpdateNumber::MAX / 2;
        while let Some((_, frame)) = self.sent.pop_front_if(|(sent, _)| is_decoded(*sent)) {
            self.needed = frame + 1;
        }
        self.needed
    }
}

/// Writes a stream for each video frame, and calls `lost` for one that did not arrive in time.
pub(super) async fn send_video(
    connection: Connection,
    mut frames: mpsc::Receiver<EncodedFrame>,
    lost: impl Fn(),
) {
    let mut under_way = JoinSet::new();
    let mut strandings = connection.strandings();
    // Of the frames that were under way when a path died it is said once that they are lost.
    let mut stranded = 0;
    loop {
        tokio::select! {
            () = strandings.next() => {
                if !under_way.is_empty() {
                    lost();
                }
                stranded += 1;
            }
            frame = frames.recv() => match frame {
                Some(frame) => {
                    let (connection, began) = (connection.clone(), stranded);
                    under_way.spawn(async move { (send_frame(connection, frame).await, began) });
                }
                None => return,
            },
            Some(sent) = under_way.join_next() => {
                if matches!(sent, Ok((false, began)) if began == stranded) {
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

/// Sends the cursor's lane.
pub(super) async fn send_cursor(
    connection: Connection,
    mut cursors: mpsc::Receiver<CursorUpdate>,
    own: LastMove,
) {
    let lane = Lane::spawn(&connection, StreamKind::Cursor);
    let mut slots = CursorSlots::default();
    while let Some(update) = cursors.recv().await {
        if matches!(update, CursorUpdate::Moved(_)) && own.is_recent() {
            continue;
        }
        if lane.send(encode(&slots.shorten(update))).await.is_err() {
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
    fn an_acknowledged_update_is_not_needed_again() {
        let mut sent = SentUpdates::default();
        assert_eq!(sent.acked(7), 0);
        // Video frames have numbers, too, and no frame in this lane.
        [(1, 0), (2, 1), (5, 2)].into_iter().for_each(|(number, frame)| sent.note(number, frame));
        assert_eq!(sent.acked(1), 1);
        assert_eq!(sent.acked(4), 2);
        assert_eq!(sent.acked(3), 2, "old news");
        assert_eq!(sent.acked(5), 3);
        let mut sent = SentUpdates::default();
        [(UpdateNumber::MAX, 0), (2, 1)].into_iter().for_each(|(number, frame)| sent.note(number, frame));
        assert_eq!(sent.acked(UpdateNumber::MAX), 1);
        assert_eq!(sent.acked(2), 2, "numbers wrap around");
    }

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
