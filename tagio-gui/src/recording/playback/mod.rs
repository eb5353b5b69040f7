//! Playing a recording: the thread `player` decodes, a window shows what is due.

mod clock;
mod thread;

use std::{
    fs::File,
    io::BufReader,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        mpsc::{Receiver, sync_channel},
    },
    time::{Duration, Instant},
};

use tagio_media::Framebuffer;
use tagio_process::spawn_named;

pub use clock::Clock;

use super::mp4::Reader;

/// Decoded pictures that wait for their time. The thread waits while they are so many; each is a screen large.
const PICTURES_MAX: usize = 2;

const LOCK: &str = "no thread panics while it holds the player's state";

/// What the window wants.
#[derive(Debug)]
struct Wanted {
    clock: Clock,
    /// Counts the jumps: pictures from before the last one are out of date.
    jump: u64,
    is_over: bool,
}

#[derive(Debug)]
struct Shared {
    wanted: Mutex<Wanted>,
    news: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().expect(LOCK)
    }
}

/// What comes from the thread.
#[derive(Debug)]
struct Decoded {
    jump: u64,
    start: Duration,
    /// A sentence, when nothing more can be decoded from here.
    picture: Result<Framebuffer, String>,
}

/// A recording that is open. Dropping it ends its thread.
#[derive(Debug)]
pub struct Playback {
    shared: Arc<Shared>,
    decoded: Receiver<Decoded>,
    /// Too early to be shown.
    next: Option<Decoded>,
    jump: u64,
    /// The picture of the last jump has not come yet.
    is_searching: bool,
    problem: Option<String>,
}

impl Playback {
    /// Starts decoding, paused at the start. `wake` is called on the decoding thread when there is something to show.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(reader: Reader<BufReader<File>>, wake: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let clock = Clock::new(reader.index().duration());
        let wanted = Mutex::new(Wanted { clock, jump: 0, is_over: false });
        let shared = Arc::new(Shared { wanted, news: Condvar::new() });
        let (pictures, decoded) = sync_channel(PICTURES_MAX);
        let theirs = Arc::clone(&shared);
        spawn_named("player", move || thread::run(reader, &theirs, &pictures, &wake))?;
        Ok(Self { shared, decoded, next: None, jump: 0, is_searching: true, problem: None })
    }

    /// Where it is, and how it moves.
    pub fn clock(&self) -> Clock {
        self.shared.lock().clock.clone()
    }

    /// Plays, or does not.
    pub fn set_playing(&mut self, is_playing: bool, now: Instant) {
        let is_at_end = {
            let clock = &mut self.shared.lock().clock;
            let is_at_end = clock.position(now) >= clock.duration();
            if is_playing {
                clock.play(now);
            } else {
                clock.pause(now);
            }
            is_at_end
        };
        if is_playing && is_at_end {
            self.seek(Duration::ZERO, now);
        }
    }

    /// Plays at another speed.
    pub fn set_speed(&mut self, speed: f64, now: Instant) {
        self.shared.lock().clock.set_speed(speed, now);
    }

    /// Goes there.
    pub fn seek(&mut self, to: Duration, now: Instant) {
        let mut wanted = self.shared.lock();
        wanted.clock.seek(to, now);
        wanted.jump += 1;
        (self.jump, self.is_searching, self.problem) = (wanted.jump, true, None);
        drop(wanted);
        self.next = None;
        self.shared.news.notify_one();
    }

    /// A sentence, when it cannot be played on from here.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// The picture that is due, if it is another one than the last that was returned.
    pub fn due(&mut self, now: Instant) -> Option<Framebuffer> {
        let position = self.clock().position(now);
        let mut due = None;
        while let Some(decoded) = self.next.take().or_else(|| self.decoded.try_recv().ok()) {
            if decoded.jump != self.jump {
                continue;
            }
            // The first one after a jump is the one that was jumped to.
            if decoded.start > position && !self.is_searching {
                self.next = Some(decoded);
                break;
            }
            self.is_searching = false;
            match decoded.picture {
                Ok(picture) => due = Some(picture),
                Err(problem) => self.problem = Some(problem),
            }
        }
        due
    }

    /// In how much time the next picture is due, if one is known to come.
    pub fn next_due(&self, now: Instant) -> Option<Duration> {
        let next = self.next.as_ref()?;
        self.clock().time_until(next.start, now)
    }
}

impl Drop for Playback {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.news.notify_one();
    }
}
