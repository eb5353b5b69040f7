//! Which quantiser makes a frame cost what it may.

use super::{FrameTarget, KEYFRAME_SHARE};

/// A step of the quantiser by this much halves or doubles a frame.
const QP_PER_OCTAVE: f64 = 6.0;
/// Finer by at most this much from frame to frame: a quick return of detail is seen as pumping.
const QP_FINER_MAX: f64 = 1.5;
/// Bits per pixel of a frame at quantiser 26 before any has been seen: keyframe, other.
const FIRST_GUESS: [f64; 2] = [0.6, 0.12];

/// Learns what frames cost. Keyframes and others are two worlds.
pub(super) struct Rate {
    /// Bytes that a frame would have at quantiser 0, as a power of two.
    complexity: [f64; 2],
    /// Quantiser of the last frame.
    last: Option<f64>,
}

impl Rate {
    /// For pictures of so many pixels.
    pub(super) fn new(pixels: u64) -> Self {
        let guess = |bits: f64| (pixels as f64 * bits / 8.0).log2() + 26.0 / QP_PER_OCTAVE;
        Self { complexity: FIRST_GUESS.map(guess), last: None }
    }

    /// Whether a frame has been noted.
    pub(super) fn has_begun(&self) -> bool {
        self.last.is_some()
    }

    /// The quantiser of the next frame.
    pub(super) fn quantiser(&self, keyframe: bool, target: FrameTarget) -> u8 {
        let share = if keyframe { KEYFRAME_SHARE } else { 1 };
        let bytes = (target.bytes.max(1) * share) as f64;
        let mut qp = (self.complexity[kind(keyframe)] - bytes.log2()) * QP_PER_OCTAVE;
        if let Some(last) = self.last {
            qp = qp.max(last - QP_FINER_MAX);
        }
        let (min, max) = (target.qp_min.clamp(1, 51), target.qp_max.clamp(1, 51));
        (qp.round() as u8).clamp(min.min(max), max)
    }

    /// A frame was encoded.
    pub(super) fn note(&mut self, keyframe: bool, qp: u8, bytes: usize) {
        let seen = (bytes.max(1) as f64).log2() + f64::from(qp) / QP_PER_OCTAVE;
        let complexity = &mut self.complexity[kind(keyframe)];
        // Up at once, since a link is filled by one large frame; down slowly.
        let weight = if seen > *complexity { 0.7 } else { 0.3 };
        *complexity += (seen - *complexity) * weight;
        self.last = Some(f64::from(qp));
    }
}

fn kind(keyframe: bool) -> usize {
    usize::from(!keyframe)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: FrameTarget = FrameTarget { bytes: 5000, qp_min: 14, qp_max: 40 };

    /// Frames of a made-up codec whose bytes double every 5 steps.
    fn run(rate: &mut Rate, frames: usize, at_26: f64) -> Vec<f64> {
        let mut bytes = Vec::new();
        for _ in 0..frames {
            let qp = rate.quantiser(false, TARGET);
            let cost = at_26 * ((26.0 - f64::from(qp)) / 5.0).exp2();
            rate.note(false, qp, cost as usize);
            bytes.push(cost);
        }
        bytes
    }

    #[test]
    fn it_finds_the_target_and_finds_it_again_after_a_cut() {
        let mut rate = Rate::new(640 * 360);
        for at_26 in [2000.0, 20_000.0, 6000.0] {
            let bytes = run(&mut rate, 25, at_26);
            for cost in &bytes[18..] {
                assert!((3800.0..6600.0).contains(cost), "{at_26}: {bytes:?}");
            }
        }
    }

    #[test]
    fn the_quantiser_keeps_to_its_range() {
        let mut rate = Rate::new(640 * 360);
        run(&mut rate, 20, 1e7);
        assert_eq!(rate.quantiser(false, TARGET), 40);
        run(&mut rate, 60, 1.0);
        assert_eq!(rate.quantiser(false, TARGET), 14);
    }
}
