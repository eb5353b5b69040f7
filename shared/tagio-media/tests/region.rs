//! Regions against a bitmap that knows every pixel.

mod desktop;

use desktop::random::Random;
use tagio_media::Region;
use tagio_wire::{Rect, Size};

const SCREEN: Size = Size::new(160, 120);
/// As promised by the region's module.
const RECTS_MAX: usize = 64;

/// How often each pixel of the screen lies in one of the rectangles.
fn counts(rects: &[Rect]) -> Vec<u32> {
    let mut counts = vec![0; SCREEN.area() as usize];
    for rect in rects {
        for y in rect.y..rect.bottom() {
            let row = (y * SCREEN.width) as usize;
            counts[row + rect.x as usize..row + rect.right() as usize]
                .iter_mut()
                .for_each(|count| *count += 1);
        }
    }
    counts
}

/// The region holds all of `added`, nothing twice, and keeps to its bounds.
fn check(region: &Region, added: &[Rect], seed: u64) {
    let (have, want) = (counts(region.rects()), counts(added));
    assert!(have.iter().all(|count| *count <= 1), "seed {seed}: rectangles overlap");
    assert!(have.iter().zip(&want).all(|(have, want)| *want == 0 || *have == 1), "seed {seed}: damage lost");
    assert!(region.rects().len() <= RECTS_MAX, "seed {seed}: too many rectangles");
    assert!(region.rects().iter().all(|rect| !rect.is_empty()), "seed {seed}: an empty rectangle");
    assert_eq!(region.area(), have.iter().map(|count| u64::from(*count)).sum::<u64>(), "seed {seed}");
    let bounds = added.iter().fold(Rect::default(), |all, rect| all.union(*rect));
    assert_eq!(region.bounds(), bounds, "seed {seed}");
}

#[test]
fn damage_is_never_lost_nor_counted_twice() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let side_max = [3, 8, 30, 160][random.below(4) as usize];
        let (mut region, mut added) = (Region::new(), Vec::new());
        for _ in 0..random.below(150) {
            let rect = random.rect(SCREEN, side_max);
            region.add(rect);
            added.push(rect);
            check(&region, &added, seed);
        }
    }
}

#[test]
fn regions_merge_and_clip() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let (mut one, mut other, mut added) = (Region::new(), Region::new(), Vec::new());
        for i in 0..40 {
            let rect = random.rect(SCREEN, 20);
            let half = if i % 2 == 0 { &mut one } else { &mut other };
            half.add(rect);
            added.push(rect);
        }
        one.merge(&other);
        check(&one, &added, seed);
        let size = Size::new(1 + random.below(160) as u32, 1 + random.below(120) as u32);
        let before = counts(one.rects());
        one.clip(size);
        let inside = counts(&[size.rect()]);
        let expected: Vec<u32> = before.iter().zip(inside).map(|(before, inside)| before * inside).collect();
        assert_eq!(counts(one.rects()), expected, "seed {seed}");
    }
}

#[test]
fn neighbours_join_and_strangers_stay_apart() {
    let mut region = Region::new();
    for column in 0..10 {
        region.add(Rect::new(column * 10, 0, 10, 16));
    }
    assert_eq!(region.rects(), [Rect::new(0, 0, 100, 16)]);
    region.add(Rect::new(1500, 900, 8, 8));
    assert_eq!((region.rects().len(), region.area()), (2, 1664));
}

#[test]
fn ten_thousand_small_rectangles_stay_few() {
    let (mut random, mut region) = (Random::new(1), Region::new());
    let screen = Size::new(3840, 2160);
    for _ in 0..10_000 {
        region.add(random.rect(screen, 12));
    }
    assert!(region.rects().len() <= RECTS_MAX);
    assert!(region.area() <= screen.area());
}

#[test]
fn rectangles_at_the_end_of_numbers_do_no_harm() {
    let mut region = Region::new();
    for x in [0, 1, u32::MAX - 1, u32::MAX] {
        for side in [0, 1, u32::MAX] {
            region.add(Rect::new(x, x, side, side));
            region.add(Rect::new(0, x, side, 1));
        }
    }
    region.clip(SCREEN);
    assert_eq!(region.area(), SCREEN.area());
}
