//! The decode thread: turns updates into pixels, hands them to whoever shows them, and acknowledges.

use std::sync::Arc;

use tagio_media::{
    Framebuffer, Region,
    codec::{PictureError, VideoDecoder, bands::BandDecoder},
};
use tagio_wire::picture::{UpdateHeader, UpdateNumber};
use tokio::sync::mpsc;

use super::canvas::Canvas;

/// Updates that wait for the decoder. When full, the reader of the stream waits, and with it, by the
/// missing acknowledgements, the host.
const QUEUE: usize = 4;

/// An update as it came from the host.
#[derive(Debug)]
pub struct Update {
    /// What the payload holds.
    pub header: UpdateHeader,
    /// The bands' payloads.
    pub payload: Vec<u8>,
}

/// What the decoder says of an update.
#[derive(Debug)]
pub enum Decoded {
    /// It is on the canvas.
    Done(UpdateNumber),
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
) -> std::io::Result<(mpsc::Sender<Update>, mpsc::Receiver<Decoded>)> {
    let (updates_tx, mut updates) = mpsc::channel::<Update>(QUEUE);
    let (decoded_tx, decoded) = mpsc::channel(QUEUE * 2);
    tagio_process::spawn_named("decode", move || {
        let mut decoder = BandDecoder::new();
        // A connection starts from black, while the canvas still shows the last frame of the one before.
        let mut picture = Framebuffer::default();
        while let Some(update) = updates.blocking_recv() {
            let number = update.header.number;
            let fresh = picture.size() != update.header.screen;
            let (message, last) = match decoder.decode(&update.header, &update.payload, &mut picture) {
                Ok(changed) => {
                    let changed = if fresh { Region::whole(picture.size()) } else { changed };
                    canvas.apply(&picture, &changed);
                    screen.picture_changed(&picture, &changed);
                    (Decoded::Done(number), false)
                }
                Err(error) => (Decoded::Failed(error), true),
            };
            if decoded_tx.blocking_send(message).is_err() || last {
                return;
            }
        }
    })?;
    Ok((updates_tx, decoded))
}
