//! The screen and its viewers, on the picture thread.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tagio_media::{
    Framebuffer, Region,
    capture::{CaptureError, CaptureSource},
    codec::{
        VideoEncoder,
        bands::{BandEncoder, BandOptions},
    },
};
use tagio_session::pacer::Pacer;
use tagio_wire::{
    Point,
    picture::{CursorShape, CursorUpdate, UpdateNumber},
};
use tokio::sync::watch;

use super::{
    Audience, PathNews, ScreenState,
    mailbox::{Letters, Mail, Mailbox},
};
use crate::engine::status::ViewerId;

/// One viewer's view of the screen.
pub(super) struct Viewer {
    audience: Audience,
    encoder: Box<dyn VideoEncoder>,
    pacer: Pacer,
    /// What changed since this viewer's last update.
    pending: Region,
    watching: bool,
    number: UpdateNumber,
}

impl std::fmt::Debug for Viewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Viewer(update {})", self.number)
    }
}

impl Viewer {
    fn new(audience: Audience, now: Instant) -> Self {
        Self {
            pacer: Pacer::new(audience.rtt, now),
            audience,
            encoder: Box::new(BandEncoder::new(BandOptions::default())),
            pending: Region::new(),
            watching: true,
            number: 0,
        }
    }

    /// Whether something is known to have changed for it.
    fn has_pending(&self) -> bool {
        !self.pending.is_empty() || self.encoder.is_behind()
    }

    fn wants(&self, now: Instant) -> bool {
        self.watching && self.pacer.may_send(now)
    }
}

/// The screen as last read, and who looks at it.
pub(super) struct Stage {
    source: Box<dyn CaptureSource>,
    frame: Framebuffer,
    cursor: CursorNow,
    viewers: BTreeMap<ViewerId, Viewer>,
    /// Something on the screen may have changed since it was read last.
    stale: bool,
}

/// The cursor as last seen, for viewers that join later.
#[derive(Default)]
struct CursorNow {
    shape: Option<CursorShape>,
    at: Option<Point>,
}

impl Stage {
    pub(super) fn new(source: Box<dyn CaptureSource>, viewers: BTreeMap<ViewerId, Viewer>) -> Self {
        let frame = Framebuffer::new(source.size());
        Self { source, frame, cursor: CursorNow::default(), viewers, stale: true }
    }

    pub(super) fn into_viewers(self) -> BTreeMap<ViewerId, Viewer> {
        self.viewers
    }

    /// Shows the screen until it is told to stop, or the screen goes away.
    pub(super) fn play(
        &mut self,
        mailbox: &Mailbox,
        screen: &watch::Sender<ScreenState>,
    ) -> Result<(), CaptureError> {
        loop {
            let (mail, letters) = mailbox.take(self.patience());
            if mail == Mail::Stop {
                return Ok(());
            }
            self.read(letters, Instant::now());
            self.update_cursor()?;
            if self.has_work(Instant::now()) {
                self.update_picture(screen)?;
            }
        }
    }

    /// Whether some viewer could take something that it does not have.
    fn has_work(&self, now: Instant) -> bool {
        let news = self.stale || self.source.poll_interval().is_some();
        self.viewers.values().any(|viewer| viewer.wants(now) && (news || viewer.has_pending()))
    }

    /// How long to sleep at most: until a link is free again for what is pending; and a source that cannot
    /// call is asked from time to time. Nobody looks: for ever.
    fn patience(&self) -> Option<Duration> {
        let now = Instant::now();
        let looking = || self.viewers.values().filter(|viewer| viewer.watching);
        let asked = self.source.poll_interval().filter(|_| looking().next().is_some());
        let wakeups = looking().filter(|viewer| self.stale || viewer.has_pending());
        let free = wakeups.filter_map(|viewer| viewer.pacer.next_wakeup(now)).min();
        let free = free.map(|at| at.saturating_duration_since(now));
        asked.into_iter().chain(free).min()
    }

    fn read(&mut self, letters: Letters, now: Instant) {
        self.stale |= letters.woken;
        for (id, audience) in letters.joined {
            let mut viewer = Viewer::new(audience, now);
            viewer.pending = Region::whole(self.source.size());
            self.cursor.tell(&viewer.audience);
            self.viewers.insert(id, viewer);
        }
        for (id, number) in letters.acked {
            if let Some(viewer) = self.viewers.get_mut(&id) {
                viewer.pacer.on_ack(number, now);
            }
        }
        for (id, watching) in letters.watching {
            if let Some(viewer) = self.viewers.get_mut(&id) {
                viewer.watching = watching;
            }
        }
        for id in letters.left {
            self.viewers.remove(&id);
        }
        for (id, (rtt, news)) in letters.paths {
            let Some(viewer) = self.viewers.get_mut(&id) else { continue };
            match news {
                PathNews::Measured => viewer.pacer.on_path_rtt(rtt, now),
                PathNews::Changed => viewer.pacer.on_path_changed(rtt, now),
            }
        }
    }

    fn update_cursor(&mut self) -> Result<(), CaptureError> {
        for update in self.source.cursor()? {
            for viewer in self.viewers.values() {
                // A full queue means a slow link; the next change tells all there is to know again.
                viewer.audience.cursors.try_send(update.clone()).ok();
            }
            self.cursor.note(update);
        }
        Ok(())
    }

    fn update_picture(&mut self, screen: &watch::Sender<ScreenState>) -> Result<(), CaptureError> {
        let before = self.frame.size();
        self.stale = false;
        let damage = self.source.update(&mut self.frame)?;
        let size = self.frame.size();
        if before != size {
            screen.send_replace(ScreenState::Ready(size));
        }
        let mut gone = Vec::new();
        for (id, viewer) in &mut self.viewers {
            if before != size {
                viewer.pending = Region::whole(size);
            }
            viewer.pending.merge(&damage);
            if viewer.has_pending() && viewer.wants(Instant::now()) && !viewer.send(&self.frame) {
                gone.push(*id);
            }
        }
        gone.iter().for_each(|id| drop(self.viewers.remove(id)));
        Ok(())
    }
}

impl Viewer {
    /// Encodes and sends what is pending. Returns whether the viewer is still there.
    fn send(&mut self, frame: &Framebuffer) -> bool {
        let damage = std::mem::take(&mut self.pending);
        let number = self.number.wrapping_add(1);
        let update = match self.encoder.encode(number, frame, &damage) {
            Ok(Some(update)) => update,
            Ok(None) => return true,
            Err(error) => {
                tracing::error!(%error, "picture not encoded");
                return false;
            }
        };
        self.number = number;
        self.pacer.on_sent(number, update.payload.len(), Instant::now());
        self.audience.updates.try_send(update).is_ok()
    }
}

impl CursorNow {
    fn note(&mut self, update: CursorUpdate) {
        match update {
            CursorUpdate::Shape(shape) => self.shape = Some(shape),
            CursorUpdate::Known(_) => {}
            CursorUpdate::Hidden => self.shape = None,
            CursorUpdate::Moved(at) => self.at = Some(at),
        }
    }

    fn tell(&self, audience: &Audience) {
        let shape = self.shape.clone().map_or(CursorUpdate::Hidden, CursorUpdate::Shape);
        let at = self.at.map(CursorUpdate::Moved);
        for update in [Some(shape), at].into_iter().flatten() {
            audience.cursors.try_send(update).ok();
        }
    }
}
