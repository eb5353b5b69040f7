//! Every sentence of the player.

use std::time::Duration;

pub const PLAY: &str = "Play";
pub const PAUSE: &str = "Pause";
pub const POSITION: &str = "Position";
pub const SPEED: &str = "Speed";
pub const IS_CUT: &str = "The end of this recording is missing; what is there can be played.";

/// `1:02:03`, or `2:03` below an hour.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// `0:12 / 2:03`.
pub fn position(position: Duration, duration: Duration) -> String {
    format!("{} / {}", time(position), time(duration))
}

/// `0.5×`.
pub fn speed(speed: f64) -> String {
    format!("{speed}×")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_speeds_read_naturally() {
        let of = |seconds| time(Duration::from_secs(seconds));
        assert_eq!((of(0), of(123), of(3723)), ("0:00".to_owned(), "2:03".to_owned(), "1:02:03".to_owned()));
        assert_eq!((speed(0.5), speed(4.0)), ("0.5×".to_owned(), "4×".to_owned()));
    }
}
