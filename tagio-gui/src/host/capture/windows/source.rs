//! The source itself: desktop duplication as long as it works, GDI from then on. Runs on the picture thread.

use std::time::{Duration, Instant};

use tagio_media::{
    Framebuffer, Region,
    capture::{CaptureError, CaptureSource},
};
use tagio_wire::{Size, picture::CursorUpdate, session::Monitor};

use super::{
    cursor::CursorReader,
    displays::Desktop,
    duplication::DuplicationError,
    dxgi::{self, DxgiReader},
    gdi::{self, GdiReader},
};

/// How often to look whether displays came, went or moved. A look costs microseconds.
const DESKTOP_INTERVAL: Duration = Duration::from_millis(250);

/// Reads the desktop.
pub(super) struct WindowsSource {
    reader: Reader,
    desktop: Desktop,
    looked: Instant,
    cursor: CursorReader,
}

enum Reader {
    Dxgi(DxgiReader),
    Gdi(GdiReader),
}

impl WindowsSource {
    /// Opens the better of the two readers that works here.
    pub(super) fn open() -> Result<Self, CaptureError> {
        let desktop = Desktop::now();
        let reader = match DxgiReader::open(&desktop) {
            Ok(reader) => Reader::Dxgi(reader),
            Err(why) => Reader::Gdi(gdi_instead(&why, &desktop)?),
        };
        let source = Self { reader, desktop, looked: Instant::now(), cursor: CursorReader::default() };
        log(&source);
        Ok(source)
    }

    /// What the last update showed.
    fn shown(&self) -> &Desktop {
        match &self.reader {
            Reader::Dxgi(reader) => reader.desktop(),
            Reader::Gdi(reader) => reader.desktop(),
        }
    }
}

fn log(source: &WindowsSource) {
    let Size { width, height } = source.size();
    tracing::info!("the screen of {width}x{height} is read by {}", source.name());
}

fn gdi_instead(why: &DuplicationError, desktop: &Desktop) -> Result<GdiReader, CaptureError> {
    tracing::warn!("desktop duplication does not work here, GDI is used instead: {why}");
    GdiReader::open(desktop)
}

impl CaptureSource for WindowsSource {
    fn name(&self) -> &'static str {
        match &self.reader {
            Reader::Dxgi(_) => "dxgi",
            Reader::Gdi(_) => "gdi",
        }
    }

    fn size(&self) -> Size {
        self.shown().screen.size
    }

    fn monitors(&self) -> Vec<Monitor> {
        self.shown().monitors()
    }

    fn poll_interval(&self) -> Option<Duration> {
        Some(match &self.reader {
            Reader::Dxgi(_) => dxgi::POLL_INTERVAL,
            Reader::Gdi(_) => gdi::POLL_INTERVAL,
        })
    }

    fn update(&mut self, frame: &mut Framebuffer) -> Result<Region, CaptureError> {
        if self.looked.elapsed() >= DESKTOP_INTERVAL {
            self.looked = Instant::now();
            self.desktop = Desktop::now();
        }
        match &mut self.reader {
            Reader::Gdi(reader) => reader.update(frame, &self.desktop),
            Reader::Dxgi(reader) => match reader.update(frame, &self.desktop) {
                Ok(region) => Ok(region),
                Err(why) => {
                    let mut reader = gdi_instead(&why, &self.desktop)?;
                    let region = reader.update(frame, &self.desktop);
                    self.reader = Reader::Gdi(reader);
                    region
                }
            },
        }
    }

    fn cursor(&mut self) -> Result<Vec<CursorUpdate>, CaptureError> {
        let origin = self.shown().screen.origin;
        Ok(self.cursor.read(origin))
    }
}
