//! The source itself: desktop duplication as long as it works, GDI from then on. Runs on the picture thread.

use std::time::Duration;

use tagio_media::{
    Framebuffer, Region,
    capture::{CaptureError, CaptureSource},
};
use tagio_wire::{Size, picture::CursorUpdate};

use super::{
    cursor::CursorReader,
    duplication::DuplicationError,
    dxgi::{self, DxgiReader},
    gdi::{self, GdiReader},
};

/// Reads the primary monitor.
pub(super) struct WindowsSource {
    reader: Reader,
    cursor: CursorReader,
}

enum Reader {
    Dxgi(DxgiReader),
    Gdi(GdiReader),
}

impl WindowsSource {
    /// Opens the better of the two readers that works here.
    pub(super) fn open() -> Result<Self, CaptureError> {
        let reader = match DxgiReader::open() {
            Ok(reader) => Reader::Dxgi(reader),
            Err(why) => Reader::Gdi(gdi_instead(&why)?),
        };
        let source = Self { reader, cursor: CursorReader::default() };
        log(&source);
        Ok(source)
    }
}

fn log(source: &WindowsSource) {
    let Size { width, height } = source.size();
    tracing::info!("the screen of {width}x{height} is read by {}", source.name());
}

fn gdi_instead(why: &DuplicationError) -> Result<GdiReader, CaptureError> {
    tracing::warn!("desktop duplication does not work here, GDI is used instead: {why}");
    GdiReader::open()
}

impl CaptureSource for WindowsSource {
    fn name(&self) -> &'static str {
        match &self.reader {
            Reader::Dxgi(_) => "dxgi",
            Reader::Gdi(_) => "gdi",
        }
    }

    fn size(&self) -> Size {
        match &self.reader {
            Reader::Dxgi(reader) => reader.size(),
            Reader::Gdi(reader) => reader.size(),
        }
    }

    fn poll_interval(&self) -> Option<Duration> {
        Some(match &self.reader {
            Reader::Dxgi(_) => dxgi::POLL_INTERVAL,
            Reader::Gdi(_) => gdi::POLL_INTERVAL,
        })
    }

    fn update(&mut self, frame: &mut Framebuffer) -> Result<Region, CaptureError> {
        match &mut self.reader {
            Reader::Gdi(reader) => reader.update(frame),
            Reader::Dxgi(reader) => match reader.update(frame) {
                Ok(region) => Ok(region),
                Err(why) => {
                    let mut reader = gdi_instead(&why)?;
                    let region = reader.update(frame);
                    self.reader = Reader::Gdi(reader);
                    region
                }
            },
        }
    }

    fn cursor(&mut self) -> Result<Vec<CursorUpdate>, CaptureError> {
        Ok(self.cursor.read())
    }
}
