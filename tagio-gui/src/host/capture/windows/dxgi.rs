//! Desktop duplication over time: begun anew whenever Windows ends it, given up when that does not help.
//! Runs on the picture thread.

use std::time::{Duration, Instant};

use tagio_media::{Framebuffer, Region};
use tagio_wire::Size;

use super::duplication::{Duplication, DuplicationError};

/// How often to ask for a new picture: half the time that a 60 Hz screen shows one. Asking costs
/// microseconds.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(8);

/// How often to try to begin anew. A change of resolution takes about a second.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// After so many failures in a row, ten seconds, it will not come back.
const FAILURES_MAX: u32 = 40;

/// Reads the primary monitor by desktop duplication.
pub(super) struct DxgiReader {
    /// `None` after Windows ended it: the resolution changed, a game took the screen, or the secure desktop
    /// (a UAC prompt, the lock screen) is shown.
    duplication: Option<Duplication>,
    size: Size,
    /// The frame lacks more than the next update says.
    needs_whole: bool,
    failures: u32,
    tried: Instant,
}

impl DxgiReader {
    /// Begins. Fails where the driver or the arrangement of screens does not allow it.
    pub(super) fn open() -> Result<Self, DuplicationError> {
        let duplication = Duplication::open()?;
        let size = duplication.size();
        let tried = Instant::now();
        Ok(Self { duplication: Some(duplication), size, needs_whole: true, failures: 0, tried })
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Brings `frame` up to date. Nothing changes while Windows does not let us look; an error is final.
    pub(super) fn update(&mut self, frame: &mut Framebuffer) -> Result<Region, DuplicationError> {
        match self.try_update(frame) {
            Ok(region) => Ok(region),
            Err(error) => self.survive(error).map(|()| Region::new()),
        }
    }

    fn try_update(&mut self, frame: &mut Framebuffer) -> Result<Region, DuplicationError> {
        if self.duplication.is_none() && self.tried.elapsed() >= RETRY_INTERVAL {
            self.tried = Instant::now();
            let duplication = Duplication::open()?;
            self.size = duplication.size();
            self.needs_whole = true;
            self.duplication = Some(duplication);
        }
        let Some(duplication) = &mut self.duplication else { return Ok(Region::new()) };
        let whole = self.needs_whole || frame.size() != self.size;
        frame.resize(self.size);
        let region = duplication.update(frame, whole)?;
        self.needs_whole = false;
        self.failures = 0;
        Ok(region)
    }

    /// Whether there is hope: `Err` when there is none.
    fn survive(&mut self, error: DuplicationError) -> Result<(), DuplicationError> {
        self.duplication = None;
        match &error {
            // Lasts as long as somebody looks at the prompt.
            DuplicationError::Denied => return Ok(()),
            DuplicationError::Unfit(_) => return Err(error),
            DuplicationError::Lost(why) => tracing::debug!("desktop duplication ended: {why}"),
        }
        self.failures += 1;
        if self.failures < FAILURES_MAX { Ok(()) } else { Err(error) }
    }
}
