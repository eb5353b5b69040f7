//! The picture: one thread reads the screen and encodes it for each viewer, at that viewer's pace.
//!
//! Nothing runs while nothing changes: the thread sleeps on its [`Mailbox`] until the system reports damage,
//! a viewer acknowledges, or one comes or goes. Damage is fetched when some viewer can take it, and a few
//! times a second while none can, for films to be noticed; then each viewer gets what changed since *its* last update.

mod layout;
mod mailbox;
mod stage;

use std::{sync::Arc, time::Duration};

use tagio_media::{
    capture::{CaptureError, CaptureSource, Wake},
    codec::{EncodedFrame, EncodedUpdate},
};
use tagio_wire::{
    picture::{CursorUpdate, UpdateNumber},
    session::ViewWish,
};
use tokio::sync::{mpsc, watch};

use crate::engine::status::ViewerId;
pub use layout::ScreenLayout;
use mailbox::{Mail, Mailbox};
use stage::Stage;

/// Updates that wait for a viewer's stream. The pacer allows fewer, so this never fills.
pub const UPDATES_QUEUE: usize = 40;
/// Video frames that wait for a stream. The pacer allows fewer, so this never fills.
pub const FRAMES_QUEUE: usize = 64;
/// Cursor changes that wait for a viewer's stream; when full, the oldest positions are worth nothing.
pub const CURSORS_QUEUE: usize = 64;
/// How often a screen that went away is looked for again.
const REOPEN_EVERY: Duration = Duration::from_secs(2);

/// Opens the screen; called again after it went away.
pub type OpenScreen = Box<dyn Fn(Wake) -> Result<Box<dyn CaptureSource>, CaptureError> + Send>;

/// What a viewer gets of the picture.
#[derive(Debug)]
pub struct Audience {
    /// Updates, in order.
    pub updates: mpsc::Sender<EncodedUpdate>,
    /// Video frames, in order.
    pub frames: mpsc::Sender<EncodedFrame>,
    /// Changes of the cursor, in order.
    pub cursors: mpsc::Sender<CursorUpdate>,
    /// Round trip to the viewer, as QUIC has measured it.
    pub rtt: Duration,
}

/// What is new about a viewer's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathNews {
    /// Its round trip was measured again.
    Measured,
    /// It is another one.
    Changed,
}

/// How it stands with the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScreenState {
    /// It is being opened.
    Opening,
    /// It can be shown.
    Ready(ScreenLayout),
    /// It cannot; a sentence says why.
    Unavailable(String),
}

/// Owns the picture thread; the thread ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Picture {
    mailbox: Arc<Mailbox>,
    screen: watch::Receiver<ScreenState>,
    _stop: Arc<StopOnDrop>,
}

#[derive(Debug)]
struct StopOnDrop(Arc<Mailbox>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Picture {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn spawn(open: OpenScreen) -> anyhow::Result<Self> {
        let mailbox = Arc::new(Mailbox::default());
        let (screen_tx, screen) = watch::channel(ScreenState::Opening);
        let inbox = Arc::clone(&mailbox);
        tagio_process::spawn_named("picture", move || run(&inbox, &open, &screen_tx))?;
        Ok(Self { screen, _stop: Arc::new(StopOnDrop(Arc::clone(&mailbox))), mailbox })
    }

    /// The screen's state, to be watched.
    pub fn screen(&self) -> watch::Receiver<ScreenState> {
        self.screen.clone()
    }

    /// Shows the screen to a viewer from now on.
    pub fn join(&self, viewer: ViewerId, audience: Audience) {
        self.mailbox.join(viewer, audience);
    }

    /// Stops showing it.
    pub fn leave(&self, viewer: ViewerId) {
        self.mailbox.leave(viewer);
    }

    /// A viewer has decoded everything up to `number`, and held the word of it back for `held`.
    pub fn acked(&self, viewer: ViewerId, number: UpdateNumber, held: Duration) {
        self.mailbox.acked(viewer, number, held);
    }

    /// A viewer lost a video frame.
    pub fn refresh(&self, viewer: ViewerId) {
        self.mailbox.refresh(viewer);
    }

    /// What a viewer wants of the picture from now on.
    pub fn wish(&self, viewer: ViewerId, wish: ViewWish) {
        self.mailbox.wish(viewer, wish);
    }

    /// Whether a viewer wants to see anything now.
    pub fn watching(&self, viewer: ViewerId, watching: bool) {
        self.mailbox.watching(viewer, watching);
    }

    /// What is new about a viewer's path.
    pub fn path(&self, viewer: ViewerId, rtt: Duration, news: PathNews) {
        self.mailbox.path(viewer, rtt, news);
    }
}

fn run(mailbox: &Arc<Mailbox>, open: &OpenScreen, screen: &watch::Sender<ScreenState>) {
    loop {
        let wake: Wake = {
            let mailbox = Arc::clone(mailbox);
            Arc::new(move || mailbox.wake())
        };
        let problem = match open(wake) {
            Ok(source) => {
                tracing::info!(source = source.name(), size = ?source.size(), "screen opened");
                screen.send_replace(ScreenState::Ready(ScreenLayout::new(source.size(), source.monitors())));
                let mut stage = Stage::new(source, std::mem::take(&mut *mailbox.parked()));
                match stage.play(mailbox, screen) {
                    Ok(()) => return,
                    Err(error) => {
                        *mailbox.parked() = stage.into_viewers();
                        error
                    }
                }
            }
            Err(error) => error,
        };
        tracing::warn!(error = %problem, "no screen");
        screen.send_replace(ScreenState::Unavailable(problem.to_string()));
        if mailbox.pause(REOPEN_EVERY) == Mail::Stop {
            return;
        }
    }
}
