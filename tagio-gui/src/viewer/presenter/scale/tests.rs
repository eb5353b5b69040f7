//! Any sequence of damage ends where scaling everything would have ended.

use std::sync::Mutex;

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::views::session::CursorState;

struct Picture(Mutex<Framebuffer>);

impl Lender for Picture {
    fn lend(&self, read: &mut dyn FnMut(&Framebuffer)) {
        read(&self.0.lock().unwrap());
    }
    fn cursor(&self) -> CursorState {
        CursorState::default()
    }
}

fn scaled(picture: &Picture, part: Rect, from: Size, to: Size) -> Vec<u8> {
    let mut out = vec![0; part.area() as usize * BYTES_PER_PIXEL];
    assert!(Scaler::new(from, to).scale(part, picture, &mut out));
    out
}

fn random_rect(rng: &mut StdRng, size: Size) -> Rect {
    let (x, y) = (rng.random_range(0..size.width), rng.random_range(0..size.height));
    let width = rng.random_range(1..=(size.width - x).min(40));
    Rect::new(x, y, width, rng.random_range(1..=(size.height - y).min(40)))
}

/// Changes a picture at random, shows only what each change touches, and compares.
fn check(from: Size, to: Size, tolerance: u8) {
    let mut rng = StdRng::seed_from_u64(u64::from(to.width));
    let mut first = Framebuffer::new(from);
    rng.fill_bytes(first.bytes_mut());
    let picture = Picture(Mutex::new(first));
    let mut scaler = Scaler::new(from, to);
    let mut shown = Framebuffer::new(to);
    shown.bytes_mut().copy_from_slice(&scaled(&picture, to.rect(), from, to));
    for _ in 0..40 {
        let damage = random_rect(&mut rng, from);
        picture.0.lock().unwrap().rows_mut(damage).for_each(|row| rng.fill_bytes(row));
        let part = scaler.touched(damage).intersection(to.rect()).unwrap();
        let mut out = vec![0; part.area() as usize * BYTES_PER_PIXEL];
        assert!(scaler.scale(part, &picture, &mut out));
        let rows = out.chunks_exact(part.width as usize * BYTES_PER_PIXEL);
        shown.rows_mut(part).zip(rows).for_each(|(to, from)| to.copy_from_slice(from));
    }
    let expected = scaled(&picture, to.rect(), from, to);
    let worst = shown.bytes().iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst.is_some_and(|worst| worst <= tolerance), "{from:?} to {to:?} is off by {worst:?}");
}

#[test]
fn damage_made_smaller_is_as_if_all_had_been() {
    for percent in [95, 70, 50, 33, 12] {
        check(Size::new(300, 200), Size::new(3 * percent, 2 * percent), 1);
    }
    check(Size::new(301, 199), Size::new(211, 140), 1);
}

#[test]
fn damage_made_larger_is_as_if_all_had_been() {
    for percent in [101, 130, 175, 250] {
        // Noise is the worst case for the two roundings, one in each direction.
        check(Size::new(300, 200), Size::new(3 * percent, 2 * percent), 2);
    }
}

#[test]
fn whole_factors_repeat_pixels_exactly() {
    for factor in [1, 2, 3] {
        check(Size::new(120, 90), Size::new(120 * factor, 90 * factor), 0);
    }
    let mut two = Framebuffer::new(Size::new(2, 1));
    two.bytes_mut().copy_from_slice(&[1, 1, 1, 0, 2, 2, 2, 0]);
    let picture = Picture(Mutex::new(two));
    let part = scaled(&picture, Rect::new(1, 1, 4, 1), Size::new(2, 1), Size::new(6, 3));
    assert_eq!(part.chunks_exact(4).map(|pixel| pixel[0]).collect::<Vec<_>>(), [1, 1, 2, 2]);
}

#[test]
fn a_picture_of_another_size_is_left_alone() {
    let picture = Picture(Mutex::new(Framebuffer::new(Size::new(9, 9))));
    for to in [Size::new(5, 5), Size::new(10, 10)] {
        let mut out = vec![7; 100];
        assert!(!Scaler::new(Size::new(10, 10), to).scale(Rect::new(0, 0, 5, 5), &picture, &mut out));
        assert_eq!(out, vec![7; 100]);
    }
}

#[test]
fn an_even_picture_stays_even_up_to_its_edges() {
    let mut grey = Framebuffer::new(Size::new(100, 80));
    grey.bytes_mut().fill(77);
    let picture = Picture(Mutex::new(grey));
    for to in [Size::new(70, 56), Size::new(130, 104)] {
        assert!(scaled(&picture, to.rect(), Size::new(100, 80), to).iter().all(|byte| *byte == 77));
    }
}
