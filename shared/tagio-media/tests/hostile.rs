//! Updates that no honest host sends: refused with a reason, never a panic, never a wrong size.

mod desktop;

use desktop::{Desktop, pair::Pair, random::Random};
use tagio_media::{
    Framebuffer,
    codec::{EncodedUpdate, PictureError, VideoDecoder, bands::BandDecoder},
};
use tagio_wire::{Rect, Size, limits};

const SCREEN: Size = Size::new(320, 240);
const MUTATIONS: u64 = 10_000;

/// A viewer's picture and the next honest update for it.
fn honest() -> (Framebuffer, EncodedUpdate) {
    let mut pair = Pair::default();
    let mut desktop = Desktop::new(SCREEN, 3);
    pair.update(&desktop.frame);
    let picture = pair.picture.clone();
    for (i, place) in [(5, 5, 200, 40), (10, 100, 90, 30), (250, 60, 60, 170)].into_iter().enumerate() {
        let place = Rect::new(place.0, place.1, place.2, place.3);
        desktop.draw_text(place, i as u64, [200; 3], true);
        pair.damage.add(place);
    }
    let update = pair.encode(&desktop.frame).expect("the screen changed");
    assert!(update.header.bands.len() >= 2);
    (picture, update)
}

fn decode(update: &EncodedUpdate, picture: &mut Framebuffer) -> Result<(), PictureError> {
    BandDecoder::new().decode(&update.header, &update.payload, picture).map(drop)
}

/// Bends one number or some bytes of an update.
fn mutate(update: &mut EncodedUpdate, random: &mut Random) {
    let at = random.below(update.header.bands.len() as u64) as usize;
    let band = &mut update.header.bands[at];
    let number = [random.below(300) as u32, random.next() as u32, u32::MAX][random.below(3) as usize];
    match random.below(10) {
        0 => band.rect.x = number,
        1 => band.rect.y = number,
        2 => band.rect.width = number,
        3 => band.rect.height = number,
        4 => band.len = number,
        5 => update.header.screen = Size::new(number % 2000, random.below(2000) as u32),
        6 => update.payload.truncate(random.below(update.payload.len() as u64) as usize),
        _ => {
            for _ in 0..1 + random.below(3) {
                let at = random.below(update.payload.len() as u64) as usize;
                update.payload[at] ^= 1 << random.below(8);
            }
        }
    }
}

#[test]
fn bent_updates_never_panic_and_failures_change_no_pixel() {
    let (before, update) = honest();
    let mut refused = 0;
    for seed in 0..MUTATIONS {
        let mut bent = update.clone();
        mutate(&mut bent, &mut Random::new(seed));
        let mut picture = before.clone();
        match decode(&bent, &mut picture) {
            Ok(()) => assert_eq!(picture.size(), bent.header.screen, "seed {seed}"),
            Err(_) if picture.size() == before.size() => {
                assert!(picture == before, "seed {seed}: half an update was applied");
                refused += 1;
            }
            Err(_) => {
                assert!(picture == Framebuffer::new(picture.size()), "seed {seed}: not black");
                refused += 1;
            }
        }
    }
    assert!(refused > MUTATIONS / 2, "only {refused} were refused");
}

#[test]
fn noise_is_no_update() {
    let (before, update) = honest();
    for seed in 0..1000 {
        let mut random = Random::new(seed);
        let mut noise = update.clone();
        // Half of them keep the first bytes of a true frame.
        let from = if seed % 2 == 0 { 0 } else { 8 };
        noise.payload[from..].iter_mut().for_each(|byte| *byte = random.next() as u8);
        assert!(decode(&noise, &mut before.clone()).is_err(), "seed {seed}");
    }
}

#[test]
fn headers_out_of_bounds_are_unsound() {
    let (before, update) = honest();
    let check = |change: &dyn Fn(&mut EncodedUpdate)| {
        let mut bent = update.clone();
        change(&mut bent);
        let refused = decode(&bent, &mut before.clone());
        assert!(matches!(refused, Err(PictureError::Unsound(_))), "{refused:?}");
    };
    check(&|update| update.header.screen.width = limits::SCREEN_SIDE_MAX + 1);
    check(&|update| update.header.screen = Size::new(limits::SCREEN_SIDE_MAX, limits::SCREEN_SIDE_MAX));
    check(&|update| update.header.bands[0].rect.width = 0);
    check(&|update| update.header.bands[0].rect.x = u32::MAX);
    check(&|update| update.header.bands[0].len = u32::MAX);
    check(&|update| update.header.bands = vec![update.header.bands[0]; limits::BANDS_MAX + 1]);
    // Each band is in bounds, all of them together ask for five hundred screens.
    check(&|update| {
        update.header.bands[0].rect = SCREEN.rect();
        update.header.bands = vec![update.header.bands[0]; limits::BANDS_MAX];
    });
}

#[test]
fn payloads_of_another_length_are_damaged() {
    let (before, update) = honest();
    let check = |change: &dyn Fn(&mut EncodedUpdate)| {
        let mut bent = update.clone();
        change(&mut bent);
        let refused = decode(&bent, &mut before.clone());
        assert!(matches!(refused, Err(PictureError::Damaged { .. })), "{refused:?}");
    };
    check(&|update| update.payload.push(0));
    check(&|update| update.payload.truncate(update.payload.len() - 1));
    check(&|update| update.payload.clear());
    // One row less, one row more than the frame holds.
    check(&|update| update.header.bands[0].rect.height -= 1);
    check(&|update| update.header.bands[0].rect.height += 1);
}
