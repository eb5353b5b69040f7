//! When a viewer acknowledges what it has decoded: at once where that tells the host something, a little later
//! together with others where updates are small and many. Each acknowledgement costs a packet of its own.

use std::time::{Duration, Instant};

use tagio_wire::{picture::UpdateNumber, session::ViewerMessage};

/// An update of at least so many bytes tells how fast the link carries.
const TELLING_BYTES: usize = 1200;
/// Small updates that come faster than this are acknowledged together.
const SPACING: Duration = Duration::from_millis(100);

/// What is decoded and not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// The newest update, and when the oldest of those that wait was decoded.
    waiting: Option<(UpdateNumber, Instant)>,
    bytes: usize,
    sent_at: Option<Instant>,
}

impl Acks {
    /// An update of `bytes` is decoded.
    pub(super) fn note(&mut self, number: UpdateNumber, bytes: usize, now: Instant) {
        self.bytes += bytes;
        // Video frames may be done with before what was sent before them.
        let is_older = |waiting: UpdateNumber| waiting.wrapping_sub(number) < UpdateNumber::MAX / 2;
        if self.waiting.is_none_or(|(waiting, _)| !is_older(waiting)) {
            self.waiting = Some((number, now));
        }
    }

    /// When [`Self::take`] has something to send; `None` while nothing waits.
    pub(super) fn due(&self) -> Option<Instant> {
        let (_, decoded_at) = self.waiting?;
        let next = self.sent_at.map_or(decoded_at, |sent| sent + SPACING);
        Some(if self.bytes >= TELLING_BYTES { decoded_at } else { next })
    }

    /// The acknowledgement to be sent now, if one is due.
    pub(super) fn take(&mut self, now: Instant) -> Option<ViewerMessage> {
        if self.due()? > now {
            return None;
        }
        let (number, decoded_at) = self.waiting.take()?;
        self.bytes = 0;
        self.sent_at = Some(now);
        let held = now.saturating_duration_since(decoded_at).as_micros() / 100;
        Some(ViewerMessage::Ack { number, held: u16::try_from(held).unwrap_or(u16::MAX) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn letters_share_an_acknowledgement_and_a_page_has_its_own() {
        let (mut acks, start) = (Acks::default(), Instant::now());
        assert_eq!(acks.due(), None);
        acks.note(1, 150, start);
        assert_eq!(acks.take(start), Some(ViewerMessage::Ack { number: 1, held: 0 }), "nothing before it");
        acks.note(2, 150, start + 33 * MS);
        acks.note(3, 150, start + 66 * MS);
        assert_eq!(acks.take(start + 67 * MS), None);
        assert_eq!(acks.due(), Some(start + 100 * MS));
        assert_eq!(acks.take(start + 100 * MS), Some(ViewerMessage::Ack { number: 3, held: 340 }));
        acks.note(4, 700, start + 105 * MS);
        assert_eq!(acks.take(start + 105 * MS), None, "less than a packet");
        acks.note(5, 20_000, start + 110 * MS);
        assert_eq!(acks.take(start + 110 * MS), Some(ViewerMessage::Ack { number: 5, held: 0 }));
    }
}
