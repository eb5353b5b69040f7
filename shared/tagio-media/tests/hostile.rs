//! Updates that no honest host sends: refused with a reason, never a panic, never a wrong size.

mod desktop;

use desktop::{
    Desktop,
    pair::{Pair, split},
    random::Random,
};
use tagio_media::{
    Framebuffer,
    codec::bands::{BandDecoder, BandError, Bands},
};
use tagio_wire::{
    Rect, Size, limits,
    picture::{Band, Codec},
};

const SCREEN: Size = Size::new(320, 240);
const MUTATIONS: u64 = 10_000;

/// An honest update and the size of its picture, to be bent.
#[derive(Clone)]
struct Update {
    size: Size,
    bands: Bands,
}

/// A viewer and the next honest update for it.
struct Viewer {
    first: Bands,
    update: Update,
    next: (Bands, Framebuffer),
}

impl Viewer {
    fn new() -> Self {
        let mut pair = Pair::default();
        let mut desktop = Desktop::new(SCREEN, 3);
        let first = pair.encode(&desktop.frame);
        for (i, place) in [(5, 5, 200, 40), (10, 100, 90, 30), (250, 60, 60, 170)].into_iter().enumerate() {
            let place = Rect::new(place.0, place.1, place.2, place.3);
            desktop.draw_text(place, i as u64, [200; 3], true);
            pair.damage.add(place);
        }
        let mut bands = pair.encode(&desktop.frame);
        assert!(bands.bands.len() >= 2);
        // A copy that overlaps its source, where no other band is.
        let copy = Band { rect: Rect::new(100, 150, 120, 60), codec: Codec::Copy { x: 90, y: 145 }, len: 0 };
        assert!(bands.bands.iter().all(|band| band.rect.intersection(copy.rect).is_none()));
        bands.bands.push(copy);
        pair.damage.add(SCREEN.rect());
        let next = (pair.encode(&Desktop::new(SCREEN, 4).frame), Desktop::new(SCREEN, 4).frame);
        Self { first, update: Update { size: SCREEN, bands }, next }
    }

    /// A decoder before the honest update, and what it shows.
    fn decoder(&self) -> (BandDecoder, Framebuffer) {
        let (mut decoder, mut shown) = (BandDecoder::new(), Framebuffer::default());
        decoder.apply(SCREEN, &split(&self.first), &mut shown).expect("honest");
        (decoder, shown)
    }
}

fn apply(decoder: &mut BandDecoder, shown: &mut Framebuffer, update: &Update) -> Result<(), BandError> {
    let mut payload = update.bands.payload.as_slice();
    let split = update.bands.bands.iter().map(|band| {
        let (own, rest) = payload.split_at((band.len as usize).min(payload.len()));
        payload = rest;
        (*band, own)
    });
    decoder.apply(update.size, &split.collect::<Vec<_>>(), shown).map(drop)
}

/// Bends one number or some bytes of an update.
fn mutate(update: &mut Update, random: &mut Random) {
    let at = random.below(update.bands.bands.len() as u64) as usize;
    let band = &mut update.bands.bands[at];
    let payload = &mut update.bands.payload;
    let number = [random.below(300) as u32, random.next() as u32, u32::MAX][random.below(3) as usize];
    match random.below(11) {
        0 => band.rect.x = number,
        1 => band.rect.y = number,
        2 => band.rect.width = number,
        3 => band.rect.height = number,
        4 => band.len = number,
        5 => update.size = Size::new(number % 2000, random.below(2000) as u32),
        6 => payload.truncate(random.below(payload.len() as u64) as usize),
        7 => band.codec = Codec::Copy { x: number, y: random.below(300) as u32 },
        _ => {
            for _ in 0..1 + random.below(3) {
                let at = random.below(payload.len() as u64) as usize;
                payload[at] ^= 1 << random.below(8);
            }
        }
    }
}

#[test]
fn bent_updates_never_panic_and_failures_change_nothing() {
    let viewer = Viewer::new();
    let mut refused = 0;
    for seed in 0..MUTATIONS {
        let mut bent = viewer.update.clone();
        mutate(&mut bent, &mut Random::new(seed));
        let (mut decoder, mut shown) = viewer.decoder();
        let before = shown.clone();
        match apply(&mut decoder, &mut shown, &bent) {
            Ok(()) => assert_eq!(shown.size(), bent.size, "seed {seed}"),
            Err(_) => {
                assert!(shown == before, "seed {seed}: half an update was applied");
                refused += 1;
            }
        }
    }
    assert!(refused > MUTATIONS / 3, "only {refused} were refused");
}

#[test]
fn after_a_refusal_the_base_is_what_it_was() {
    let viewer = Viewer::new();
    let honest = Bands {
        bands: viewer.update.bands.bands[..viewer.update.bands.bands.len() - 1].to_vec(),
        ..viewer.update.bands.clone()
    };
    for seed in 0..200 {
        let (mut decoder, mut shown) = viewer.decoder();
        let mut bent = viewer.update.clone();
        mutate(&mut bent, &mut Random::new(seed));
        if apply(&mut decoder, &mut shown, &bent).is_err() {
            for update in [&honest, &viewer.next.0] {
                decoder.apply(SCREEN, &split(update), &mut shown).expect("honest");
            }
            assert!(shown.to_rgb() == viewer.next.1.to_rgb(), "seed {seed}");
        }
    }
}

#[test]
fn copies_read_all_before_anything_is_written() {
    let viewer = Viewer::new();
    let (mut decoder, mut shown) = viewer.decoder();
    let before = shown.clone();
    // A chain: each overlaps its source, and is the source of the next.
    let rects = [(0, 0), (60, 50), (120, 100)].map(|(x, y)| Rect::new(x, y, 60, 50));
    let copies: Vec<(Band, &[u8])> = rects
        .iter()
        .map(|rect| {
            let codec = Codec::Copy { x: rect.x + 17, y: rect.y + 31 };
            (Band { rect: *rect, codec, len: 0 }, [].as_slice())
        })
        .collect();
    decoder.apply(SCREEN, &copies, &mut shown).expect("honest");
    for rect in rects {
        let source = Rect { x: rect.x + 17, y: rect.y + 31, ..rect };
        assert!(shown.rows(rect).eq(before.rows(source)), "{rect:?}");
    }
}

#[test]
fn noise_is_no_update() {
    let viewer = Viewer::new();
    for seed in 0..1000 {
        let mut random = Random::new(seed);
        let mut noise = viewer.update.clone();
        // Half of them keep the first bytes of true blocks.
        let from = if seed % 2 == 0 { 0 } else { 8 };
        noise.bands.payload[from..].iter_mut().for_each(|byte| *byte = random.next() as u8);
        let (mut decoder, mut shown) = viewer.decoder();
        assert!(apply(&mut decoder, &mut shown, &noise).is_err(), "seed {seed}");
    }
}

/// What becomes of the honest update after a change.
fn refusal(change: impl FnOnce(&mut Update)) -> BandError {
    let viewer = Viewer::new();
    let mut bent = viewer.update.clone();
    change(&mut bent);
    let (mut decoder, mut shown) = viewer.decoder();
    apply(&mut decoder, &mut shown, &bent).expect_err("it is bent")
}

#[test]
fn bands_out_of_bounds_are_unsound() {
    let changes: [fn(&mut Update); 10] = [
        |update| update.size.width = limits::SCREEN_SIDE_MAX + 1,
        |update| update.size = Size::new(limits::SCREEN_SIDE_MAX, limits::SCREEN_SIDE_MAX),
        |update| update.bands.bands[0].rect.width = 0,
        |update| update.bands.bands[0].rect.x = u32::MAX,
        |update| update.bands.bands[0].len = u32::MAX,
        |update| update.bands.bands[0].codec = Codec::Copy { x: 0, y: 0 },
        |update| update.bands.bands.last_mut().expect("the copy").codec = Codec::Copy { x: u32::MAX, y: 0 },
        |update| update.bands.bands.last_mut().expect("the copy").codec = Codec::Copy { x: 0, y: 200 },
        |update| update.bands.bands = vec![update.bands.bands[0]; limits::BANDS_MAX + 1],
        // Each band is in bounds, all of them together ask for five hundred pictures.
        |update| {
            update.bands.bands[0] = Band { rect: SCREEN.rect(), len: 0, ..update.bands.bands[0] };
            update.bands.bands = vec![update.bands.bands[0]; limits::BANDS_MAX];
        },
    ];
    for (i, change) in changes.into_iter().enumerate() {
        assert_eq!(refusal(change), BandError::Unsound, "change {i}");
    }
}

#[test]
fn payloads_of_another_length_are_damaged() {
    let changes: [fn(&mut Update); 4] = [
        |update| {
            let len = &mut update.bands.bands[0].len;
            *len -= 1;
        },
        |update| update.bands.bands[0].len = 0,
        // One row less, one row more than the frame holds.
        |update| update.bands.bands[0].rect.height -= 1,
        |update| update.bands.bands[0].rect.height += 1,
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let refused = refusal(change);
        assert!(matches!(refused, BandError::Damaged(_)), "change {i}: {refused:?}");
    }
    let lossy = refusal(|update| update.bands.bands[0].codec = Codec::Jpeg);
    assert_eq!(lossy, BandError::Foreign);
}
