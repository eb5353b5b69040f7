//! The newest picture on its way to the recorder's thread: one, whatever the thread does meanwhile.

use std::{
    sync::{Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use tagio_media::{Framebuffer, Region};

const LOCK: &str = "no thread panics while it holds the mailbox";

/// Between whoever sees pictures and the thread that records them. Neither waits for the other longer than it takes
/// to copy what changed, or to swap two pictures.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    slot: Mutex<Slot>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Slot {
    picture: Framebuffer,
    /// Where `picture` is older than the last one that was put in: after a swap, what that swap took out.
    behind: Region,
    /// What changed since the thread took the last picture.
    changed: Region,
    /// When the last change came.
    at: Option<Instant>,
    /// No more pictures are taken since then.
    closed_at: Option<Instant>,
}

/// What the thread finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A picture, and since when it is like this.
    Picture { at: Instant },
    /// Nothing for as long as was waited.
    Quiet,
    /// The end, and when it was asked for.
    Closed(Instant),
}

impl Mailbox {
    /// Puts a picture in; the one that was in there, if any, is merged into it.
    pub(super) fn put(&self, picture: &Framebuffer, changed: &Region, now: Instant) {
        let mut slot = self.lock();
        if slot.closed_at.is_some() {
            return;
        }
        let slot = &mut *slot;
        let mut changed = changed.within(picture.size().rect());
        if slot.picture.size() != picture.size() {
            slot.picture.resize(picture.size());
            changed = Region::whole(picture.size());
            slot.changed = Region::new();
            slot.behind = Region::new();
        }
        slot.behind.merge(&changed);
        for rect in slot.behind.rects() {
            slot.picture.copy_rect_from(picture, *rect);
        }
        slot.behind = Region::new();
        if !changed.is_empty() {
            slot.changed.merge(&changed);
            slot.at = Some(now);
            self.news.notify_one();
        }
    }

    /// Takes no more pictures. What is in there can still be taken out.
    pub(super) fn close(&self, now: Instant) {
        self.lock().closed_at.get_or_insert(now);
        self.news.notify_one();
    }

    /// Whether no more pictures are taken.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed_at.is_some()
    }

    /// Waits until `patience` is over for a picture, and swaps it for the one that was taken before. `mine` is
    /// left as it is when there is none.
    pub(super) fn take(&self, mine: &mut Framebuffer, patience: Duration) -> News {
        let slot = self.lock();
        let is_idle = |slot: &mut Slot| slot.changed.is_empty() && slot.closed_at.is_none();
        let (mut slot, _) = self.news.wait_timeout_while(slot, patience, is_idle).expect(LOCK);
        let slot = &mut *slot;
        match (slot.at, slot.closed_at) {
            (Some(at), _) if !slot.changed.is_empty() => {
                std::mem::swap(&mut slot.picture, mine);
                slot.behind = std::mem::take(&mut slot.changed);
                News::Picture { at }
            }
            (_, Some(at)) => News::Closed(at),
            _ => News::Quiet,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().expect(LOCK)
    }
}

#[cfg(test)]
mod tests {
    use tagio_wire::{Rect, Size};

    use super::*;

    const NOW: Duration = Duration::ZERO;

    /// Paints one pixel and says where.
    fn paint(picture: &mut Framebuffer, x: u32, value: u8) -> Region {
        let rect = Rect::new(x, 0, 1, 1);
        picture.rows_mut(rect).for_each(|row| row.fill(value));
        let mut region = Region::new();
        region.add(rect);
        region
    }

    #[test]
    fn what_is_taken_is_always_the_newest_picture() {
        let (mailbox, now) = (Mailbox::default(), Instant::now());
        let (mut screen, mut mine) = (Framebuffer::new(Size::new(8, 1)), Framebuffer::default());
        mailbox.put(&screen, &Region::new(), now);
        for round in 0..20_u8 {
            for step in 0..=round % 3 {
                let changed = paint(&mut screen, u32::from((round + step * 3) % 8), round + 1);
                mailbox.put(&screen, &changed, now);
            }
            assert!(matches!(mailbox.take(&mut mine, NOW), News::Picture { .. }));
            assert_eq!(mine, screen, "round {round}");
            assert_eq!(mailbox.take(&mut mine, NOW), News::Quiet);
        }
    }

    #[test]
    fn another_size_is_a_whole_new_picture() {
        let (mailbox, now) = (Mailbox::default(), Instant::now());
        let mut mine = Framebuffer::default();
        for width in [8, 4, 16] {
            let mut screen = Framebuffer::new(Size::new(width, 2));
            screen.bytes_mut().fill(width as u8);
            mailbox.put(&screen, &Region::new(), now);
            let news = mailbox.take(&mut mine, NOW);
            assert_eq!(news, News::Picture { at: now });
            assert_eq!(mine, screen);
        }
    }

    #[test]
    fn the_last_picture_can_be_taken_after_the_end() {
        let (mailbox, now) = (Mailbox::default(), Instant::now());
        let (screen, mut mine) = (Framebuffer::new(Size::new(2, 2)), Framebuffer::default());
        mailbox.put(&screen, &Region::new(), now);
        mailbox.close(now);
        mailbox.put(&Framebuffer::new(Size::new(4, 4)), &Region::new(), now);
        assert!(matches!(mailbox.take(&mut mine, NOW), News::Picture { .. }));
        assert_eq!(mine, screen);
        assert_eq!(mailbox.take(&mut mine, NOW), News::Closed(now));
    }
}
