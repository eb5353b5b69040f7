//! Where in a recording we are, as time goes by.

use std::time::{Duration, Instant};

/// The position of a recording that plays, or does not.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The position at `since`, or for as long as it does not play.
    position: Duration,
    since: Option<Instant>,
    /// Seconds of the recording in one second.
    speed: f64,
    duration: Duration,
}

impl Clock {
    /// At the start of a recording of `duration`, not playing.
    pub const fn new(duration: Duration) -> Self {
        Self { position: Duration::ZERO, since: None, speed: 1.0, duration }
    }

    /// Where it is.
    pub fn position(&self, now: Instant) -> Duration {
        let played = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        (self.position + played.mul_f64(self.speed)).min(self.duration)
    }

    /// Whether it plays and has not come to its end.
    pub fn is_playing(&self, now: Instant) -> bool {
        self.since.is_some() && self.position(now) < self.duration
    }

    /// Seconds of the recording in one second.
    pub fn speed(&self) -> f64 {
        self.speed
    }

    /// How long the recording is.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Plays on from here; from the start when it is at its end.
    pub fn play(&mut self, now: Instant) {
        let position = self.position(now);
        self.position = if position < self.duration { position } else { Duration::ZERO };
        self.since = Some(now);
    }

    /// Stays here.
    pub fn pause(&mut self, now: Instant) {
        self.position = self.position(now);
        self.since = None;
    }

    /// Goes there, and plays on if it did.
    pub fn seek(&mut self, to: Duration, now: Instant) {
        let was_playing = self.is_playing(now);
        self.position = to.min(self.duration);
        self.since = was_playing.then_some(now);
    }

    /// Plays on at another speed.
    pub fn set_speed(&mut self, speed: f64, now: Instant) {
        self.position = self.position(now);
        self.since = self.since.map(|_| now);
        self.speed = speed;
    }

    /// In how much time it will be there, if it plays and is not there yet.
    pub fn time_until(&self, position: Duration, now: Instant) -> Option<Duration> {
        let ahead = position.checked_sub(self.position(now))?;
        self.is_playing(now).then(|| ahead.div_f64(self.speed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn time_goes_by_only_while_it_plays_and_not_beyond_the_end() {
        let (mut clock, start) = (Clock::new(s(10)), Instant::now());
        assert_eq!(clock.position(start + s(3)), s(0));
        clock.play(start);
        assert_eq!(clock.position(start + s(3)), s(3));
        clock.set_speed(2.0, start + s(3));
        assert_eq!(clock.position(start + s(5)), s(7));
        assert_eq!(clock.time_until(s(9), start + s(5)), Some(s(1)));
        clock.pause(start + s(5));
        assert_eq!(clock.position(start + s(9)), s(7));
        clock.play(start + s(9));
        assert_eq!((clock.position(start + s(99)), clock.is_playing(start + s(99))), (s(10), false));
        clock.play(start + s(99));
        assert_eq!(clock.position(start + s(100)), s(2), "from the start again");
    }

    #[test]
    fn seeking_keeps_playing_or_pausing() {
        let (mut clock, start) = (Clock::new(s(10)), Instant::now());
        clock.seek(s(4), start);
        assert_eq!((clock.position(start + s(1)), clock.is_playing(start)), (s(4), false));
        clock.play(start);
        clock.seek(s(20), start);
        assert_eq!(clock.position(start), s(10));
        clock.seek(s(1), start);
        assert!(!clock.is_playing(start), "it had come to its end");
    }
}
