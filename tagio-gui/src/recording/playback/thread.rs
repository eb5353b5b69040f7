//! The thread `player`: decodes what comes next, or what was jumped to, a little ahead of its time.

use std::{fs::File, io::BufReader, sync::mpsc::SyncSender, time::Instant};

use anyhow::ensure;
use tagio_media::{Framebuffer, codec::h264::H264Decoder};

use super::{Decoded, Shared};
use crate::recording::mp4::{Reader, Sample};

/// Runs until the window is gone.
pub(super) fn run(
    mut reader: Reader<BufReader<File>>,
    shared: &Shared,
    pictures: &SyncSender<Decoded>,
    wake: &dyn Fn(),
) {
    let mut jump = None;
    let mut head = Head::default();
    loop {
        let sample_count = reader.index().samples.len();
        let Some(wanted) = wait(shared, jump, head.next < sample_count) else { return };
        if jump != Some(wanted) {
            jump = Some(wanted);
            head.jump(&reader, shared);
        }
        let Some(sample) = reader.index().samples.get(head.next).copied() else { continue };
        let is_wanted = head.is_wanted(&sample, sample_count, shared);
        let picture = match head.decode(&mut reader, &sample) {
            Ok(()) if !is_wanted => continue,
            Ok(()) => Ok(head.picture.clone()),
            Err(problem) => Err(problem),
        };
        // Waits while the window has enough of them; when it is gone there is nobody to decode for.
        if pictures.send(Decoded { jump: wanted, start: sample.start, picture }).is_err() {
            return;
        }
        wake();
    }
}

/// The jump that is wanted now, once there is something to do; `None` at the end of all.
fn wait(shared: &Shared, jump: Option<u64>, has_more: bool) -> Option<u64> {
    let is_idle = |wanted: &mut super::Wanted| !has_more && jump == Some(wanted.jump) && !wanted.is_over;
    let wanted = shared.news.wait_while(shared.lock(), is_idle).expect(super::LOCK);
    (!wanted.is_over).then_some(wanted.jump)
}

/// Where in the file it is.
#[derive(Default)]
struct Head {
    decoder: Option<H264Decoder>,
    /// The last one that was decoded.
    picture: Framebuffer,
    /// The sample that is decoded next.
    next: usize,
    /// The one that was jumped to: those before it are only passed by.
    target: usize,
    /// So many were too late in a row.
    late: u32,
}

/// After so many pictures that came too late one is shown all the same: a slow machine shows less, not nothing.
const LATE_MAX: u32 = 8;

impl Head {
    fn jump(&mut self, reader: &Reader<BufReader<File>>, shared: &Shared) {
        let position = shared.lock().clock.position(Instant::now());
        self.target = reader.index().at(position);
        let key = reader.index().key_for(self.target);
        // A target just ahead is reached soonest by decoding on.
        if self.decoder.is_none() || !(key..=self.target).contains(&self.next) {
            self.next = key;
        }
    }

    /// Whether anybody will see it: it is not before the target, and its time is not over yet.
    fn is_wanted(&mut self, sample: &Sample, sample_count: usize, shared: &Shared) -> bool {
        let is_last = self.next + 1 == sample_count;
        if self.next < self.target {
            return false;
        }
        let position = shared.lock().clock.position(Instant::now());
        let is_late = sample.end <= position && self.next != self.target && !is_last;
        self.late = if is_late { self.late + 1 } else { 0 };
        !is_late || self.late.is_multiple_of(LATE_MAX)
    }

    /// Decodes the next sample into `picture`.
    fn decode(&mut self, reader: &mut Reader<BufReader<File>>, sample: &Sample) -> Result<(), String> {
        let decoded = self.try_decode(reader, sample);
        if decoded.is_err() {
            // Nothing after it can be trusted; only a jump helps, and that starts anew.
            self.decoder = None;
            self.next = usize::MAX;
        } else {
            self.next += 1;
        }
        decoded.map_err(|error| format!("This recording cannot be played on from here: {error}."))
    }

    fn try_decode(&mut self, reader: &mut Reader<BufReader<File>>, sample: &Sample) -> anyhow::Result<()> {
        let stream = reader.stream(sample)?;
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            none => none.insert(H264Decoder::new()?),
        };
        decoder.decode_whole(&stream, &mut self.picture)?;
        ensure!(self.picture.size() == reader.index().size, "its pictures are not of the size that it says");
        Ok(())
    }
}
