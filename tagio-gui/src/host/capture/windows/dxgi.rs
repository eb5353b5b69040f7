//! Desktop duplication over time: begun anew whenever Windows ends it, given up when that does not help.
//! Runs on the picture thread.

use std::time::{Duration, Instant};

use tagio_media::{Framebuffer, Region};

use super::{
    displays::Desktop,
    duplication::{Duplication, DuplicationError},
    outputs,
};

/// How often to ask for a new picture: half the time that a 60 Hz screen shows one. Asking costs
/// microseconds.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(8);

/// How often to try to begin anew. A change of resolution takes about a second.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// After so many failures in a row, ten seconds, it will not come back.
const FAILURES_MAX: u32 = 40;

/// Reads the desktop by a duplication for each display.
pub(super) struct DxgiReader {
    /// Empty after Windows ended one: the resolution changed, a display came or went, a game took the screen, or
    /// the secure desktop (a UAC prompt, the lock screen) is shown.
    duplications: Vec<Duplication>,
    desktop: Desktop,
    /// The frame lacks more than the next update says.
    needs_whole: bool,
    failures: u32,
    tried: Instant,
}

/// Begins, and has a first picture of the whole desktop. Unlike a [`DxgiReader::update`] it is not patient.
pub(super) fn open_with_picture(desktop: &Desktop) -> Result<(DxgiReader, Framebuffer), DuplicationError> {
    let mut reader = DxgiReader::open(desktop)?;
    let mut picture = Framebuffer::default();
    reader.try_update(&mut picture, desktop)?;
    Ok((reader, picture))
}

impl DxgiReader {
    /// Begins. Fails where the driver does not allow it.
    pub(super) fn open(desktop: &Desktop) -> Result<Self, DuplicationError> {
        let duplications = outputs::duplicate_all(desktop)?;
        let tried = Instant::now();
        Ok(Self { duplications, desktop: desktop.clone(), needs_whole: true, failures: 0, tried })
    }

    /// What the last update showed.
    pub(super) fn desktop(&self) -> &Desktop {
        &self.desktop
    }

    /// Brings `frame` up to date with `desktop`. Nothing changes while Windows does not let us look; an error is
    /// final.
    pub(super) fn update(
        &mut self,
        frame: &mut Framebuffer,
        desktop: &Desktop,
    ) -> Result<Region, DuplicationError> {
        match self.try_update(frame, desktop) {
            Ok(region) => Ok(region),
            Err(error) => self.survive(error).map(|()| Region::new()),
        }
    }

    fn try_update(&mut self, frame: &mut Framebuffer, desktop: &Desktop) -> Result<Region, DuplicationError> {
        let is_running = !self.duplications.is_empty();
        let is_due =
            if is_running { *desktop != self.desktop } else { self.tried.elapsed() >= RETRY_INTERVAL };
        if is_due {
            self.begin_anew(desktop)?;
        } else if !is_running {
            return Ok(Region::new());
        }
        let size = self.desktop.screen.size;
        let whole = self.needs_whole || frame.size() != size;
        frame.resize(size);
        if whole {
            // What no display shows stays black.
            frame.bytes_mut().fill(0);
        }
        // Until every display gave its part, the frame has more changes than will have been told.
        self.needs_whole = true;
        let region = self.update_displays(frame, whole)?;
        self.needs_whole = false;
        self.failures = 0;
        Ok(if whole { Region::whole(size) } else { region })
    }

    fn begin_anew(&mut self, desktop: &Desktop) -> Result<(), DuplicationError> {
        self.tried = Instant::now();
        self.needs_whole = true;
        // Before the new ones: only a few can duplicate a display at a time.
        self.duplications.clear();
        self.duplications = outputs::duplicate_all(desktop)?;
        self.desktop.clone_from(desktop);
        Ok(())
    }

    /// What changed on any display. One that is asleep shows nothing, for as long as another shows something.
    fn update_displays(&mut self, frame: &mut Framebuffer, whole: bool) -> Result<Region, DuplicationError> {
        let mut region = Region::new();
        for duplication in &mut self.duplications {
            region.merge(&duplication.update(frame, whole)?);
        }
        if !self.duplications.iter().any(Duplication::is_filled) {
            return Err(DuplicationError::Lost("no display gives a first picture".to_owned()));
        }
        Ok(region)
    }

    /// Whether there is hope: `Err` when there is none.
    fn survive(&mut self, error: DuplicationError) -> Result<(), DuplicationError> {
        self.duplications.clear();
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
