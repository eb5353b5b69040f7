//! The remote screen as decoded so far, shared between the decode thread and the window.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use tagio_media::{Framebuffer, Region};
use tagio_wire::{
    limits::CURSOR_SLOTS,
    picture::{CursorShape, CursorUpdate},
};
use tokio::sync::Notify;

use crate::{
    recording::Tap,
    views::session::{CursorLook, CursorState, PictureSource},
};

const LOCK: &str = "no thread panics while it holds the canvas";

/// What the canvas holds.
#[derive(Debug, Default)]
pub struct CanvasState {
    /// The remote screen.
    pub picture: Framebuffer,
    /// What changed in it since the window took it last.
    pub dirty: Region,
    /// The remote cursor.
    pub cursor: CursorState,
    /// Where the picture is recorded, while it is.
    tap: Option<Tap>,
    /// Shapes that the host may name again.
    shapes: Vec<Arc<CursorShape>>,
    /// Where the next one is kept.
    next_shape: usize,
    /// Frames of the window since there is a picture.
    frames: u32,
}

impl CanvasState {
    fn keep_shape(&mut self, shape: Arc<CursorShape>) {
        self.cursor.look = CursorLook::Shape(Arc::clone(&shape));
        if self.next_shape == self.shapes.len() {
            self.shapes.push(shape);
        } else {
            self.shapes[self.next_shape] = shape;
        }
        self.next_shape = (self.next_shape + 1) % usize::from(CURSOR_SLOTS);
    }
}

/// The remote screen. Locked for a copy only.
#[derive(Debug, Default)]
pub struct Canvas {
    state: Mutex<CanvasState>,
    shown: Notify,
}

impl Canvas {
    /// Its contents, locked.
    pub fn lock(&self) -> MutexGuard<'_, CanvasState> {
        self.state.lock().expect(LOCK)
    }

    /// Takes over what changed in `picture`; all of it when its size is another one.
    pub fn apply(&self, picture: &Framebuffer, changed: &Region) {
        let mut state = self.lock();
        if let Some(tap) = &state.tap {
            tap.frame(picture, changed, Instant::now());
        }
        if state.picture.size() != picture.size() {
            state.picture = picture.clone();
            state.dirty = Region::whole(picture.size());
            return;
        }
        for rect in changed.rects() {
            state.picture.copy_rect_from(picture, *rect);
        }
        state.dirty.merge(changed);
    }

    /// The window begins a frame with the picture. When it begins the second one, the first is on the screen.
    pub fn note_frame(&self) {
        let mut state = self.lock();
        if state.picture.size().area() > 0 {
            state.frames = state.frames.saturating_add(1);
        }
        if state.frames == 2 {
            self.shown.notify_one();
        }
    }

    /// Waits until the window shows the picture.
    pub async fn shown(&self) {
        self.shown.notified().await;
    }

    /// Records the picture from now on, or no longer.
    pub fn set_tap(&self, tap: Option<Tap>) {
        self.lock().tap = tap;
    }

    /// The host's cursor changed.
    pub fn apply_cursor(&self, update: CursorUpdate) {
        let mut state = self.lock();
        match update {
            CursorUpdate::Shape(shape) => state.keep_shape(Arc::new(shape)),
            CursorUpdate::Known(slot) => {
                if let Some(shape) = state.shapes.get(usize::from(slot)) {
                    state.cursor.look = CursorLook::Shape(Arc::clone(shape));
                }
            }
            CursorUpdate::Hidden => state.cursor.look = CursorLook::Hidden,
            CursorUpdate::Moved(at) => state.cursor.moved_to = Some(at),
        }
    }

    /// Another connection begins: its host names shapes anew.
    pub fn forget_shapes(&self) {
        let mut state = self.lock();
        state.shapes.clear();
        state.next_shape = 0;
    }
}

impl PictureSource for Canvas {
    fn with_picture(&self, read: &mut dyn FnMut(&Framebuffer, &Region)) {
        self.note_frame();
        let mut state = self.lock();
        let dirty = std::mem::take(&mut state.dirty);
        if !dirty.is_empty() {
            read(&state.picture, &dirty);
        }
    }

    fn cursor(&self) -> CursorState {
        self.lock().cursor.clone()
    }
}
