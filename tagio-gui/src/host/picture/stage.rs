//! The screen and its viewers, on the picture thread.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tagio_media::{
    Framebuffer, Look, Region, View,
    capture::{CaptureError, CaptureSource},
    codec::picture::{Link, PictureEncoder},
};
use tagio_session::pacer::Pacer;
use tagio_wire::{
    Point,
    picture::{CursorShape, CursorUpdate, Timing, UpdateNumber},
    session::{Quality, ViewWish},
};
use tokio::sync::watch;

use super::{
    Audience, PathNews, ScreenLayout, ScreenState,
    mailbox::{Letters, Mail, Mailbox},
};
use crate::engine::status::ViewerId;

/// Most pictures a second of a viewer that saves bytes, if it does not say.
const SAVER_FPS: u8 = 10;

/// How often a changing screen is read though no viewer can take it: often enough to tell a film from a page.
const WATCH_INTERVAL: Duration = Duration::from_millis(60);

/// Weight of the newest update in [`Stage::load`].
const LOAD_WEIGHT: f64 = 0.2;

/// One viewer's view of the screen.
pub(super) struct Viewer {
    audience: Audience,
    encoder: PictureEncoder,
    pacer: Pacer,
    /// What changed since this viewer's last update.
    pending: Region,
    wish: ViewWish,
    /// By the wish and the screen's layout.
    look: Look,
    /// When the next update may be sent by the wish.
    not_before: Instant,
    watching: bool,
    number: UpdateNumber,
}

impl std::fmt::Debug for Viewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Viewer(update {})", self.number)
    }
}

impl Viewer {
    fn new(audience: Audience, layout: &ScreenLayout, now: Instant) -> Self {
        let wish = ViewWish::default();
        Self {
            pacer: Pacer::new(audience.rtt, now),
            audience,
            encoder: PictureEncoder::new(),
            pending: Region::whole(layout.size),
            wish,
            look: layout.look(&wish),
            not_before: now,
            watching: true,
            number: 0,
        }
    }

    /// Whether something is known to have changed for it.
    fn has_pending(&self, now: Instant) -> bool {
        let has_stopped = || self.encoder.next_deadline().is_some_and(|at| at <= now);
        !self.pending.is_empty() || self.encoder.is_behind() || has_stopped()
    }

    fn wants(&self, now: Instant) -> bool {
        self.watching && now >= self.not_before && self.pacer.may_send(now)
    }

    /// When it may want something without any word from it; `None` if only a word can do that.
    fn next_wakeup(&self, now: Instant) -> Option<Instant> {
        if self.pacer.may_send(now) { Some(self.not_before.max(now)) } else { self.pacer.next_wakeup(now) }
    }

    /// Looks at the screen in another way, if the wish or the layout has changed.
    fn look_again(&mut self, layout: &ScreenLayout) {
        let look = layout.look(&self.wish);
        if look != self.look {
            self.look = look;
            self.pending = Region::whole(layout.size);
        }
    }

    /// Least time between two updates.
    fn spacing(&self) -> Duration {
        let is_saver = matches!(self.wish.quality, Quality::Saver { .. });
        let fps_max = self.wish.fps_max.or_else(|| is_saver.then_some(SAVER_FPS));
        fps_max.map_or(Duration::ZERO, |fps| Duration::from_secs(1) / u32::from(fps.max(1)))
    }
}

/// The screen as last read, and who looks at it.
pub(super) struct Stage {
    source: Box<dyn CaptureSource>,
    frame: Framebuffer,
    layout: ScreenLayout,
    /// Zero of the clock that viewers are told.
    began: Instant,
    cursor: CursorNow,
    viewers: BTreeMap<ViewerId, Viewer>,
    /// Something on the screen may have changed since it was read last.
    stale: bool,
    /// When it was read last.
    read_at: Instant,
    /// Part of the time that reading and encoding take, evened out over some updates; 0 to 1.
    load: f64,
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
        let layout = ScreenLayout::new(source.size(), source.monitors());
        let now = Instant::now();
        let mut stage = Self {
            source,
            frame,
            layout,
            began: now,
            cursor: CursorNow::default(),
            viewers,
            stale: true,
            read_at: now,
            load: 0.0,
        };
        stage.look_again();
        stage
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

    /// Whether some viewer could take something that it does not have, or has waited long enough for the screen
    /// to be looked at meanwhile.
    fn has_work(&self, now: Instant) -> bool {
        let news = self.stale || self.source.poll_interval().is_some();
        let is_due = news && now >= self.read_at + WATCH_INTERVAL;
        self.viewers.values().any(|viewer| {
            let can_take = viewer.wants(now) && (news || viewer.has_pending(now));
            can_take || (is_due && viewer.watching)
        })
    }

    /// How long to sleep at most: until a link is free again for what is pending; and a source that cannot
    /// call is asked from time to time. Nobody looks: for ever.
    fn patience(&self) -> Option<Duration> {
        let now = Instant::now();
        let looking = || self.viewers.values().filter(|viewer| viewer.watching);
        let asked = self.source.poll_interval().filter(|_| looking().next().is_some());
        let watched = (self.stale && looking().next().is_some()).then(|| self.read_at + WATCH_INTERVAL);
        let free = looking().filter_map(|viewer| {
            if self.stale || viewer.has_pending(now) {
                viewer.next_wakeup(now)
            } else {
                viewer.encoder.next_deadline()
            }
        });
        let free = free.chain(watched).min();
        let free = free.map(|at| at.saturating_duration_since(now));
        asked.into_iter().chain(free).min()
    }

    fn read(&mut self, letters: Letters, now: Instant) {
        self.stale |= letters.woken;
        for (id, audience) in letters.joined {
            let viewer = Viewer::new(audience, &self.layout, now);
            self.cursor.tell(&viewer);
            self.viewers.insert(id, viewer);
        }
        for (id, (number, held)) in letters.acked {
            if let Some(viewer) = self.viewers.get_mut(&id) {
                viewer.pacer.on_ack(number, now.checked_sub(held).unwrap_or(now));
            }
        }
        for id in letters.refresh {
            if let Some(viewer) = self.viewers.get_mut(&id) {
                viewer.encoder.refresh();
            }
        }
        for (id, wish) in letters.wishes {
            if let Some(viewer) = self.viewers.get_mut(&id) {
                viewer.encoder.set_wish(wish.quality, wish.video);
                viewer.wish = wish;
                viewer.not_before = now;
                viewer.look_again(&self.layout);
                self.cursor.tell(viewer);
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
                viewer.audience.cursors.try_send(seen_by(viewer, update.clone())).ok();
            }
            self.cursor.note(update);
        }
        Ok(())
    }

    fn update_picture(&mut self, screen: &watch::Sender<ScreenState>) -> Result<(), CaptureError> {
        let began = Instant::now();
        let since_last = began.saturating_duration_since(self.read_at);
        (self.stale, self.read_at) = (false, began);
        let damage = self.source.update(&mut self.frame)?;
        let layout = ScreenLayout::new(self.frame.size(), self.source.monitors());
        if layout != self.layout {
            self.layout = layout.clone();
            self.look_again();
            screen.send_replace(ScreenState::Ready(layout));
        }
        let timing = Timing { capture: tenths(began.elapsed()), ..Timing::default() };
        let mut gone = Vec::new();
        for (id, viewer) in &mut self.viewers {
            viewer.pending.merge(&damage);
            let now = Instant::now();
            if !(viewer.has_pending(now) && viewer.wants(now)) {
                viewer.watch(&self.frame, &damage, now);
            } else {
                viewer.encoder.set_load(self.load);
                if !viewer.send(&self.frame, timing, self.began) {
                    gone.push(*id);
                }
            }
        }
        let busy = began.elapsed().as_secs_f64();
        let share = busy / since_last.as_secs_f64().max(busy).max(f64::EPSILON);
        self.load += (share - self.load) * LOAD_WEIGHT;
        gone.iter().for_each(|id| drop(self.viewers.remove(id)));
        Ok(())
    }

    fn look_again(&mut self) {
        self.viewers.values_mut().for_each(|viewer| viewer.look_again(&self.layout));
    }
}

/// A time for [`Timing`].
fn tenths(time: Duration) -> u16 {
    u16::try_from(time.as_micros() / 100).unwrap_or(u16::MAX)
}

/// A cursor's news as the viewer's picture has it.
fn seen_by(viewer: &Viewer, update: CursorUpdate) -> CursorUpdate {
    match update {
        CursorUpdate::Moved(at) => CursorUpdate::Moved(viewer.look.point(at)),
        other => other,
    }
}

impl Viewer {
    /// Looks at damage that it cannot take yet.
    fn watch(&mut self, frame: &Framebuffer, damage: &Region, now: Instant) {
        if self.watching && !damage.is_empty() {
            self.encoder.watch(&View::new(frame, self.look), &self.look.damage(damage), now);
        }
    }

    /// Encodes and sends what is pending. Returns whether the viewer is still there.
    fn send(&mut self, frame: &Framebuffer, timing: Timing, clock: Instant) -> bool {
        let now = Instant::now();
        let damage = self.look.damage(&std::mem::take(&mut self.pending));
        let link = Link {
            bytes_per_second: self.pacer.bytes_per_second(),
            update_bytes_max: self.pacer.update_bytes_max(),
        };
        let (view, next) = (View::new(frame, self.look), self.number.wrapping_add(1));
        let encoded = match self.encoder.encode(&view, &damage, link, next, now) {
            Ok(encoded) => encoded,
            Err(error) => {
                tracing::error!(%error, "picture not encoded");
                return false;
            }
        };
        self.not_before = now + self.spacing();
        let sent = (clock.elapsed().as_micros() / 100) as u16;
        let timing = Timing { encode: tenths(now.elapsed()), sent, ..timing };
        for mut frame in encoded.frames {
            frame.header.timing = timing;
            self.note_sent(frame.header.number, frame.payload.len());
            if self.audience.frames.try_send(frame).is_err() {
                return false;
            }
        }
        let Some(mut update) = encoded.update else { return true };
        update.header.timing = timing;
        self.note_sent(update.header.number, update.payload.len());
        self.audience.updates.try_send(update).is_ok()
    }

    fn note_sent(&mut self, number: UpdateNumber, bytes: usize) {
        self.number = number;
        self.pacer.on_sent(number, bytes, Instant::now());
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

    fn tell(&self, viewer: &Viewer) {
        let shape = self.shape.clone().map_or(CursorUpdate::Hidden, CursorUpdate::Shape);
        let at = self.at.map(CursorUpdate::Moved);
        for update in [Some(shape), at].into_iter().flatten() {
            viewer.audience.cursors.try_send(seen_by(viewer, update)).ok();
        }
    }
}
