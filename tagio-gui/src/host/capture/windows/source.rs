//! The source itself: desktop duplication while it works, else GDI. Runs on the picture thread.

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

/// When to try desktop duplication again after it ended without being impossible: displays that slept wake up.
/// A try that fails costs up to half a second.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Reads the desktop.
pub(super) struct WindowsSource {
    reader: Reader,
    desktop: Desktop,
    looked: Instant,
    cursor: CursorReader,
}

enum Reader {
    Dxgi(DxgiReader),
    Gdi {
        reader: GdiReader,
        /// When to try the other one; `None`: when the displays change.
        again: Option<Instant>,
    },
}

impl WindowsSource {
    /// Opens the better of the two readers that works here.
    pub(super) fn open() -> Result<Self, CaptureError> {
        let desktop = Desktop::now();
        let reader = match DxgiReader::open(&desktop) {
            Ok(reader) => Reader::Dxgi(reader),
            Err(why) => Reader::Gdi { reader: gdi_instead(&why, &desktop)?, again: again_after(&why) },
        };
        let source = Self { reader, desktop, looked: Instant::now(), cursor: CursorReader::default() };
        source.log();
        Ok(source)
    }

    /// What the last update showed.
    fn shown(&self) -> &Desktop {
        match &self.reader {
            Reader::Dxgi(reader) => reader.desktop(),
            Reader::Gdi { reader, .. } => reader.desktop(),
        }
    }

    fn log(&self) {
        let Size { width, height } = self.size();
        tracing::info!("the screen of {width}x{height} is read by {}", self.name());
    }

    /// Looks at the displays, if it is time to.
    fn look(&mut self) {
        if self.looked.elapsed() < DESKTOP_INTERVAL {
            return;
        }
        self.looked = Instant::now();
        let desktop = Desktop::now();
        if desktop != self.desktop {
            self.desktop = desktop;
            if let Reader::Gdi { again, .. } = &mut self.reader {
                *again = Some(Instant::now());
            }
        }
    }

    /// Goes back to desktop duplication, if it is time to and that has a picture: then `frame` is that.
    fn try_dxgi_again(&mut self, frame: &mut Framebuffer) -> Option<Region> {
        let Reader::Gdi { again, .. } = &mut self.reader else { return None };
        again.take_if(|at| *at <= Instant::now())?;
        match dxgi::open_with_picture(&self.desktop) {
            Ok((reader, picture)) => {
                *frame = picture;
                self.reader = Reader::Dxgi(reader);
                self.log();
                Some(Region::whole(frame.size()))
            }
            Err(why) => {
                tracing::debug!("desktop duplication still does not work: {why}");
                *again = again_after(&why);
                None
            }
        }
    }
}

fn gdi_instead(why: &DuplicationError, desktop: &Desktop) -> Result<GdiReader, CaptureError> {
    tracing::warn!("desktop duplication does not work here, GDI is used instead: {why}");
    GdiReader::open(desktop)
}

fn again_after(why: &DuplicationError) -> Option<Instant> {
    match why {
        DuplicationError::Denied | DuplicationError::Lost(_) => Some(Instant::now() + AGAIN_AFTER),
        DuplicationError::Unfit(_) => None,
    }
}

impl CaptureSource for WindowsSource {
    fn name(&self) -> &'static str {
        match &self.reader {
            Reader::Dxgi(_) => "dxgi",
            Reader::Gdi { .. } => "gdi",
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
            Reader::Gdi { .. } => gdi::POLL_INTERVAL,
        })
    }

    fn update(&mut self, frame: &mut Framebuffer) -> Result<Region, CaptureError> {
        self.look();
        if let Some(region) = self.try_dxgi_again(frame) {
            return Ok(region);
        }
        match &mut self.reader {
            Reader::Gdi { reader, .. } => reader.update(frame, &self.desktop),
            Reader::Dxgi(reader) => match reader.update(frame, &self.desktop) {
                Ok(region) => Ok(region),
                Err(why) => {
                    let mut reader = gdi_instead(&why, &self.desktop)?;
                    let region = reader.update(frame, &self.desktop);
                    self.reader = Reader::Gdi { reader, again: again_after(&why) };
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
