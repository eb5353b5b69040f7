//! A host and its viewer with a network between them that loses and delays: updates come in order and all of them,
//! video frames come in any order or never.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tagio_media::{
    Framebuffer, Look, Region, View,
    codec::{
        EncodedFrame, EncodedUpdate,
        picture::{Link, PictureDecoder, PictureEncoder},
    },
};
use tagio_wire::{
    Rect, Size,
    picture::{Codec, UpdateNumber, VideoCodec},
    session::{Quality, VideoWish},
};

use super::random::Random;

/// More rounds without anything new than any picture needs to become exact at the least link.
const QUIET_ROUNDS_MAX: usize = 5000;

/// What happened, so that a test can tell that it tested something.
#[derive(Debug, Default)]
pub struct Tally {
    pub updates: usize,
    pub copies: usize,
    pub h264: usize,
    pub jpeg: usize,
    /// Frames that came and were shown.
    pub shown: usize,
    pub lost: usize,
    /// Frames that came after an update that was encoded later.
    pub overtaken: usize,
    pub refreshes: usize,
    pub resizes: usize,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.updates += other.updates;
        self.copies += other.copies;
        self.h264 += other.h264;
        self.jpeg += other.jpeg;
        self.shown += other.shown;
        self.lost += other.lost;
        self.overtaken += other.overtaken;
        self.refreshes += other.refreshes;
        self.resizes += other.resizes;
    }

    /// Nothing that is counted may be missing.
    pub fn assert_all_happened(&self) {
        let Self { updates, copies, h264, jpeg, shown, lost, overtaken, refreshes, resizes } = self;
        let counts = [updates, copies, h264, jpeg, shown, lost, overtaken, refreshes, resizes];
        assert!(counts.into_iter().all(|count| *count > 0), "this tests little: {self:?}");
    }
}

/// One viewer's session, from the host's screen to what the viewer shows.
pub struct Session {
    pub screen: Framebuffer,
    pub look: Look,
    pub link: Link,
    pub now: Instant,
    pub tally: Tally,
    encoder: PictureEncoder,
    decoder: PictureDecoder,
    /// Damage of the screen that the encoder has not seen.
    damage: Region,
    number: UpdateNumber,
    updates: VecDeque<EncodedUpdate>,
    frames: Vec<EncodedFrame>,
    /// The newest update that the viewer has.
    newest_update: UpdateNumber,
    needs_keyframe: bool,
}

impl Session {
    /// A session that numbers from `number` on.
    pub fn new(screen: Framebuffer, number: UpdateNumber) -> Self {
        Self {
            look: Look::whole(screen.size()),
            damage: Region::whole(screen.size()),
            screen,
            link: Link::default(),
            now: Instant::now(),
            tally: Tally::default(),
            encoder: PictureEncoder::new(),
            decoder: PictureDecoder::new(),
            number,
            updates: VecDeque::new(),
            frames: Vec::new(),
            newest_update: number,
            needs_keyframe: false,
        }
    }

    /// The screen changed.
    pub fn damage(&mut self, rect: Rect) {
        self.damage.add(rect);
    }

    /// The viewer wants something else; its codec and its look may change, in which case all is damaged.
    pub fn wish(&mut self, quality: Quality, video: VideoWish, area: Rect) {
        self.encoder.set_wish(quality, video);
        let (grey, half) = match quality {
            Quality::Saver { grey, half } => (grey, half),
            Quality::Auto | Quality::Sharp | Quality::Smooth => (false, false),
        };
        let look = Look { area, scale: 1 + u8::from(half), grey };
        if look != self.look {
            self.tally.resizes += usize::from(look.size() != self.look.size());
            self.look = look;
            self.damage = Region::whole(self.screen.size());
        }
    }

    /// The host's screen has another size; the viewer sees all of it.
    pub fn resize(&mut self, screen: Framebuffer) {
        self.look.area = screen.size().rect();
        self.damage = Region::whole(screen.size());
        self.screen = screen;
        self.tally.resizes += 1;
    }

    /// The host encodes what it has, onto the wire.
    pub fn encode(&mut self) {
        if std::mem::take(&mut self.needs_keyframe) {
            self.encoder.refresh();
            self.tally.refreshes += 1;
        }
        let view = View::new(&self.screen, self.look);
        let damage = self.look.damage(&std::mem::take(&mut self.damage));
        let next = self.number.wrapping_add(1);
        let encoded = self.encoder.encode(&view, &damage, self.link, next, self.now).expect("it encodes");
        for frame in &encoded.frames {
            assert_eq!(frame.header.number, self.number.wrapping_add(1), "frames count up");
            self.number = frame.header.number;
            match frame.header.codec {
                VideoCodec::H264 => self.tally.h264 += 1,
                VideoCodec::Jpeg => self.tally.jpeg += 1,
            }
        }
        if let Some(update) = &encoded.update {
            assert_eq!(update.header.number, self.number.wrapping_add(1), "updates count up");
            self.number = update.header.number;
            let is_copy = |codec: Codec| matches!(codec, Codec::Copy { .. });
            self.tally.copies += update.header.bands.iter().filter(|band| is_copy(band.codec)).count();
            self.tally.updates += 1;
        }
        self.frames.extend(encoded.frames);
        self.updates.extend(encoded.update);
    }

    /// Some of what is on the wire arrives, some frames never do.
    pub fn deliver_some(&mut self, random: &mut Random) {
        for _ in 0..random.below(4) {
            self.deliver_update();
        }
        let mut at = 0;
        while at < self.frames.len() {
            match random.below(12) {
                0 => {
                    self.frames.swap_remove(at);
                    self.tally.lost += 1;
                }
                1..=7 => self.deliver_frame(at),
                // It is late.
                _ => at += 1,
            }
        }
    }

    /// Everything that was sent in time arrives, frames in between and after the updates.
    pub fn deliver_all(&mut self, random: &mut Random) {
        while !self.updates.is_empty() || !self.frames.is_empty() {
            if random.below(2) == 0 && !self.frames.is_empty() {
                self.deliver_frame(random.below(self.frames.len() as u64) as usize);
            } else {
                self.deliver_update();
            }
        }
    }

    fn deliver_update(&mut self) {
        let Some(update) = self.updates.pop_front() else { return };
        let before = self.decoder.picture().clone();
        let changed = self.decoder.update(&update.header, &update.payload).expect("an update of our own");
        self.assert_only_changed(before, &changed, update.header.picture());
        self.newest_update = update.header.number;
    }

    fn deliver_frame(&mut self, at: usize) {
        let EncodedFrame { header, payload } = self.frames.swap_remove(at);
        let before = self.decoder.picture().clone();
        let size = before.size();
        let played = self.decoder.frame(header, payload);
        self.assert_only_changed(before, &played.changed, size);
        self.needs_keyframe |= played.needs_keyframe;
        self.tally.shown += usize::from(!played.changed.is_empty());
        let age = self.newest_update.wrapping_sub(header.number);
        self.tally.overtaken += usize::from(age < UpdateNumber::MAX / 2);
    }

    /// Outside of what was reported, no pixel may have changed.
    fn assert_only_changed(&self, mut before: Framebuffer, changed: &Region, size: Size) {
        before.resize(size);
        changed.rects().iter().for_each(|rect| before.copy_rect_from(self.decoder.picture(), *rect));
        assert!(before == *self.decoder.picture(), "the decoder changed more than it said");
    }

    /// Nothing happens on the screen any more: lets the host finish, and the wire run dry.
    pub fn settle(&mut self, random: &mut Random) {
        for _ in 0..QUIET_ROUNDS_MAX {
            self.encode();
            // What is asked for below arrives a round later, as on a real link.
            self.deliver_some(random);
            match self.encoder.next_deadline() {
                _ if self.encoder.is_behind() || self.needs_keyframe => self.now += Duration::from_millis(5),
                Some(deadline) => self.now = self.now.max(deadline),
                None if self.updates.is_empty() => return self.deliver_all(random),
                None => self.now += Duration::from_millis(5),
            }
        }
        panic!("the picture never becomes exact: {:?}", self.tally);
    }

    /// The viewer must have to the bit what the host sees of its screen.
    pub fn assert_exact(&self) {
        let view = View::new(&self.screen, self.look);
        assert_eq!(self.decoder.picture().size(), view.size());
        assert_eq!(self.decoder.seen().1, self.look.scale);
        let mut expected = vec![0; view.size().area() as usize * 3];
        let rows = expected.chunks_exact_mut((view.size().width as usize * 3).max(1));
        rows.zip(0..).for_each(|(row, y)| view.pack_row(0, y, row));
        let seen = self.decoder.picture().to_rgb();
        let wrong = seen.chunks_exact(3).zip(expected.chunks_exact(3)).filter(|(a, b)| a != b).count();
        assert!(wrong == 0, "{wrong} of {} pixels differ", view.size().area());
        let share = self.decoder.exact_share();
        assert!((share - 1.0).abs() < f32::EPSILON, "it says that {share} is exact");
    }
}
