//! The decode thread: turns what comes into pixels, hands them to whoever shows them, and acknowledges.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tagio_media::{
    Framebuffer, Region,
    codec::{PictureError, picture::PictureDecoder},
};
use tagio_wire::picture::{Timing, UpdateHeader, UpdateNumber, VideoHeader};
use tokio::sync::mpsc;

use super::{canvas::Canvas, enlarge::Enlarger};
use crate::engine::viewer::figures::Sample;

/// Updates and frames that wait for the decoder. When full, the readers of the streams wait, and with them, by
/// the missing acknowledgements, the host.
const QUEUE: usize = 8;

/// Something of the picture, as it came from the host.
#[derive(Debug)]
pub struct Arrival {
    /// What came.
    pub part: Part,
    /// When its last byte was here.
    pub at: Instant,
}

/// What comes of a picture.
#[derive(Debug)]
pub enum Part {
    /// An update and the payloads of its bands.
    Update(UpdateHeader, Bytes),
    /// A video frame.
    Frame(VideoHeader, Vec<u8>),
}

impl Part {
    fn timing_and_bytes(&self) -> (Timing, usize) {
        match self {
            Self::Update(header, payload) => (header.timing, payload.len()),
            Self::Frame(header, payload) => (header.timing, payload.len()),
        }
    }
}

/// What the decoder says.
#[derive(Debug)]
pub enum Decoded {
    /// It is on the canvas.
    Done {
        /// The newest number that is done with.
        number: UpdateNumber,
        /// Where the time went.
        sample: Sample,
        /// See [`crate::engine::status::Figures::exact_share`].
        exact_share: f32,
        /// Whether it was a video frame.
        has_video: bool,
    },
    /// A video frame is lost: the next one must need no other.
    NeedsKeyframe,
    /// It could not be decoded: the session cannot go on.
    Failed(PictureError),
}

/// Who shows the picture. Called on the decode thread, or on the engine's for the cursor; must be quick.
pub trait Screen: Send + Sync {
    /// The canvas has a new picture; `changed` says where.
    fn picture_changed(&self, picture: &Framebuffer, changed: &Region);
    /// The canvas has a new cursor.
    fn cursor_changed(&self);
}

/// Starts a decode thread for one connection. It ends when the sender is dropped.
///
/// # Errors
/// The system has no thread left.
pub fn spawn(
    canvas: Arc<Canvas>,
    screen: Arc<dyn Screen>,
) -> std::io::Result<(mpsc::Sender<Arrival>, mpsc::Receiver<Decoded>)> {
    let (arrivals_tx, mut arrivals) = mpsc::channel::<Arrival>(QUEUE);
    let (decoded_tx, decoded) = mpsc::channel(QUEUE * 2);
    tagio_process::spawn_named("decode", move || {
        let mut desk = Desk { decoder: PictureDecoder::new(), enlarger: Enlarger::default(), canvas, screen };
        while let Some(arrival) = arrivals.blocking_recv() {
            for word in desk.take(arrival) {
                let is_last = matches!(word, Decoded::Failed(_));
                if decoded_tx.blocking_send(word).is_err() || is_last {
                    return;
                }
            }
        }
    })?;
    Ok((arrivals_tx, decoded))
}

/// What the thread works with.
struct Desk {
    /// A connection starts from black, while the canvas still shows the last frame of the one before.
    decoder: PictureDecoder,
    enlarger: Enlarger,
    canvas: Arc<Canvas>,
    screen: Arc<dyn Screen>,
}

impl Desk {
    fn take(&mut self, arrival: Arrival) -> Vec<Decoded> {
        let began = Instant::now();
        let (timing, bytes) = arrival.part.timing_and_bytes();
        let has_video = matches!(arrival.part, Part::Frame(..));
        let (done, changed, needs_keyframe) = match arrival.part {
            Part::Update(header, payload) => match self.decoder.update(&header, &payload) {
                Ok(changed) => (vec![header.number], changed, false),
                Err(error) => return vec![Decoded::Failed(error)],
            },
            Part::Frame(header, payload) => {
                let played = self.decoder.frame(header, payload);
                (played.done, played.changed, played.needs_keyframe)
            }
        };
        let decode = began.elapsed();
        let display = self.show(&changed);
        let mut words = Vec::new();
        if let Some(number) = done.last() {
            let sample = Sample { timing, arrived: arrival.at, decode, display, bytes };
            let exact_share = self.decoder.exact_share();
            words.push(Decoded::Done { number: *number, sample, exact_share, has_video });
        }
        if needs_keyframe {
            words.push(Decoded::NeedsKeyframe);
        }
        words
    }

    fn show(&mut self, changed: &Region) -> Duration {
        let began = Instant::now();
        let (screen, scale) = self.decoder.seen();
        let (picture, changed) = self.enlarger.enlarge(self.decoder.picture(), changed, screen, scale);
        if !changed.is_empty() || self.canvas.lock().picture.size() != picture.size() {
            self.canvas.apply(picture, &changed);
            self.screen.picture_changed(picture, &changed);
        }
        began.elapsed()
    }
}
