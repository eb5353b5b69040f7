//! The screen by the crate `scrap`: whole frames, compared here. The only way on macOS, a choice elsewhere.
//!
//! Its handles must stay on one thread, so they live on the thread `scrap`, which fetches a frame when the
//! picture thread asks. It knows no cursor: on macOS the cursor is part of the picture, elsewhere it is
//! missing. A screen that changes its size is lost, and can be opened again. On Linux it shares the picture
//! with the X server in memory that every local user may read: one more reason why it is only a choice there.

use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
    time::Duration,
};

use scrap::{Capturer, Display};
use tagio_media::{
    BYTES_PER_PIXEL, Framebuffer, Region,
    capture::{CaptureError, CaptureSource},
};
use tagio_process::spawn_named;
use tagio_wire::{Size, picture::CursorUpdate};

use super::tiles;

/// Often enough for 60 pictures a second. Comparing a 1080p screen takes about a millisecond.
const POLL_INTERVAL: Duration = Duration::from_millis(16);

/// A frame's pixels, or `None` when there is none since the last one; the buffer comes back either way.
type Answer = io::Result<(Vec<u8>, bool)>;

/// Reads the primary screen.
struct ScrapSource {
    size: Size,
    /// `None` only while the source is dropped.
    ask: Option<SyncSender<Vec<u8>>>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<()>>,
    /// The frame that was fetched last; travels to the thread and back.
    fetched: Vec<u8>,
}

/// Opens the primary screen.
pub(super) fn open() -> Result<Box<dyn CaptureSource>, CaptureError> {
    let (ask, asked) = sync_channel(1);
    let (answer, answers) = sync_channel(1);
    let (opened, outcome) = sync_channel(1);
    let unavailable = |error: &dyn std::fmt::Display| {
        CaptureError::Unavailable(format!("{error}; allow screen recording in the system's settings"))
    };
    let thread = spawn_named("scrap", move || match open_capturer() {
        Ok(capturer) => {
            // The receiver waits below.
            let _ = opened.send(Ok(size_of(&capturer)));
            run(capturer, &asked, &answer);
        }
        Err(error) => drop(opened.send(Err(error))),
    })
    .map_err(|error| unavailable(&error))?;
    let size = outcome.recv().map_err(|error| unavailable(&error))?.map_err(|error| unavailable(&error))?;
    let source = ScrapSource { size, ask: Some(ask), answers, thread: Some(thread), fetched: Vec::new() };
    Ok(Box::new(source))
}

impl ScrapSource {
    /// Has the thread fetch a frame into `fetched`. Whether there was one.
    fn fetch(&mut self) -> Result<bool, CaptureError> {
        let lost = |error: &dyn std::fmt::Display| CaptureError::Lost(error.to_string());
        let Some(ask) = &self.ask else { return Ok(false) };
        ask.send(std::mem::take(&mut self.fetched)).map_err(|error| lost(&error))?;
        let (pixels, is_new) =
            self.answers.recv().map_err(|error| lost(&error))?.map_err(|error| lost(&error))?;
        self.fetched = pixels;
        Ok(is_new)
    }
}

impl CaptureSource for ScrapSource {
    fn name(&self) -> &'static str {
        "scrap"
    }

    fn size(&self) -> Size {
        self.size
    }

    fn poll_interval(&self) -> Option<Duration> {
        Some(POLL_INTERVAL)
    }

    fn update(&mut self, frame: &mut Framebuffer) -> Result<Region, CaptureError> {
        let is_first = frame.size() != self.size;
        if !self.fetch()? && !is_first {
            return Ok(Region::new());
        }
        frame.resize(self.size);
        let changed =
            if self.fetched.is_empty() { Region::new() } else { tiles::adopt(frame, &self.fetched) };
        Ok(if is_first { Region::whole(self.size) } else { changed })
    }

    fn cursor(&mut self) -> Result<Vec<CursorUpdate>, CaptureError> {
        Ok(Vec::new())
    }
}

impl Drop for ScrapSource {
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread scrap panicked");
        }
    }
}

fn open_capturer() -> io::Result<Capturer> {
    Capturer::new(Display::primary()?)
}

fn size_of(capturer: &Capturer) -> Size {
    Size::new(capturer.width() as u32, capturer.height() as u32)
}

/// The thread's life: until the source is dropped.
fn run(mut capturer: Capturer, asked: &Receiver<Vec<u8>>, answer: &SyncSender<Answer>) {
    let size = size_of(&capturer);
    for mut buffer in asked {
        let fetched = match capturer.frame() {
            Ok(pixels) => {
                pack(&pixels, size, &mut buffer);
                Ok((buffer, true))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok((buffer, false)),
            Err(error) => Err(error),
        };
        if answer.send(fetched).is_err() {
            return;
        }
    }
}

/// Rows without padding, and 0 in the fourth byte of each pixel.
fn pack(pixels: &[u8], size: Size, packed: &mut Vec<u8>) {
    let row_bytes = size.width as usize * BYTES_PER_PIXEL;
    let stride = pixels.len() / (size.height as usize).max(1);
    packed.clear();
    for row in pixels.chunks_exact(stride.max(row_bytes).max(1)).take(size.height as usize) {
        packed.extend_from_slice(&row[..row_bytes]);
    }
    packed.resize(size.area() as usize * BYTES_PER_PIXEL, 0);
    packed.iter_mut().skip(BYTES_PER_PIXEL - 1).step_by(BYTES_PER_PIXEL).for_each(|unused| *unused = 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_the_fourth_byte_go() {
        let mut packed = vec![9; 3];
        pack(&[1, 2, 3, 255, 7, 7, 4, 5, 6, 255, 7, 7], Size::new(1, 2), &mut packed);
        assert_eq!(packed, [1, 2, 3, 0, 4, 5, 6, 0]);
    }
}
