//! What the viewer sees is what the host has, to the bit, whatever happens on the screen.

mod desktop;

use desktop::{CODE_PANE, Desktop, FULL_HD, film::photo, pair::Pair, random::Random};
use tagio_media::{Framebuffer, Look, Region, View, codec::bands::BandOptions};
use tagio_wire::{
    Rect, Size,
    picture::{Band, Codec},
};

const SCREEN: Size = Size::new(500, 420);

/// Does something inside `place`, which is the damage then.
fn disturb(desktop: &mut Desktop, place: Rect, random: &mut Random) {
    match random.below(5) {
        0 => desktop.fill(place, [random.next() as u8, 0, 255]),
        1 => desktop.draw_noise(place, random),
        2 => desktop.draw_text(place, random.next(), [255; 3], true),
        3 => scroll(&mut desktop.frame, place, random.below(40) as usize),
        // Damage without a change, or in the ignored byte only.
        _ => {
            let rows = desktop.frame.rows_mut(place);
            rows.for_each(|row| row.chunks_exact_mut(4).for_each(|pixel| pixel[3] ^= 0x55));
        }
    }
}

/// Moves the rows of `place` up.
fn scroll(frame: &mut Framebuffer, place: Rect, rows: usize) {
    let old: Vec<Vec<u8>> = frame.rows(place).map(<[u8]>::to_vec).collect();
    for (row, old) in frame.rows_mut(place).zip(old.iter().skip(rows)) {
        row.copy_from_slice(old);
    }
}

#[test]
fn every_update_is_exact() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let level = [1, 3, -3][random.below(3) as usize];
        let mut pair = Pair::new(BandOptions { level, ..BandOptions::default() });
        let mut desktop = Desktop::new(SCREEN, seed);
        pair.update(&desktop.frame);
        for step in 0..25 {
            for _ in 0..1 + random.below(4) {
                let side_max = [12, 80, 500][random.below(3) as usize];
                let place = random.rect(SCREEN, side_max);
                disturb(&mut desktop, place, &mut random);
                pair.damage.add(place);
            }
            pair.update(&desktop.frame);
            pair.assert_exact(&desktop.frame, &format!("seed {seed}, step {step}"));
            assert!(pair.shown.bytes().chunks_exact(4).all(|pixel| pixel[3] == 0));
        }
    }
}

#[test]
fn viewers_of_different_pace_do_not_disturb_each_other() {
    let mut random = Random::new(11);
    let (mut quick, mut slow) = (Pair::default(), Pair::default());
    let mut desktop = Desktop::new(SCREEN, 1);
    for step in 0..120 {
        let place = random.rect(SCREEN, 150);
        disturb(&mut desktop, place, &mut random);
        quick.damage.add(place);
        slow.damage.add(place);
        quick.update(&desktop.frame);
        quick.assert_exact(&desktop.frame, &format!("quick, step {step}"));
        if step % 13 == 0 {
            slow.update(&desktop.frame);
            slow.assert_exact(&desktop.frame, &format!("slow, step {step}"));
        }
    }
}

#[test]
fn another_size_starts_anew_whatever_the_damage_says() {
    let mut pair = Pair::default();
    for (seed, (width, height)) in (0..).zip([(300, 200), (200, 300), (1, 1), (0, 0), (7, 600), (300, 200)]) {
        let desktop = Desktop::new(Size::new(width, height), seed);
        pair.damage = Region::new();
        // Left over from the size before, and beyond the edges of this one.
        pair.damage.add(Rect::new(100, 100, 4000, 4000));
        pair.update(&desktop.frame);
        pair.assert_exact(&desktop.frame, &format!("{width} x {height}"));
    }
}

#[test]
fn unchanged_damage_sends_nothing() {
    let mut pair = Pair::default();
    assert!(pair.encode(&Framebuffer::new(SCREEN)).bands.is_empty(), "black on black");
    let mut desktop = Desktop::new(SCREEN, 5);
    pair.damage = Region::whole(SCREEN);
    pair.update(&desktop.frame);
    assert!(pair.encode(&desktop.frame).bands.is_empty(), "no damage");
    pair.damage = Region::whole(SCREEN);
    assert!(pair.encode(&desktop.frame).bands.is_empty(), "damage without change");
    desktop.frame.bytes_mut().chunks_exact_mut(4).for_each(|pixel| pixel[3] = !pixel[3]);
    pair.damage = Region::whole(SCREEN);
    assert!(pair.encode(&desktop.frame).bands.is_empty(), "change in the ignored byte");
    assert!(!pair.is_behind());
}

#[test]
fn what_finds_no_room_comes_later() {
    let mut pair = Pair::new(BandOptions { bytes_max: 1, ..BandOptions::default() });
    let mut desktop = Desktop::new(FULL_HD, 6);
    assert!(pair.update(&desktop.frame) > 0);
    let mut updates = 1;
    // The screen goes on changing meanwhile.
    while pair.is_behind() {
        let rect = desktop.type_letter(updates, 3, 8);
        pair.update_rect(&desktop.frame, rect);
        updates += 1;
        assert!(updates < 1000, "it never catches up");
    }
    assert!(updates > 2, "a full screen has several bands");
    pair.assert_exact(&desktop.frame, "after the last");
}

#[test]
fn a_letter_does_not_wait_for_a_page() {
    let mut pair = Pair::new(BandOptions { bytes_max: 4000, ..BandOptions::default() });
    let mut desktop = Desktop::new(FULL_HD, 6);
    pair.damage = Region::whole(FULL_HD);
    while pair.damage.area() > 0 || pair.is_behind() {
        pair.update(&desktop.frame);
    }
    let page = Rect::new(0, 0, 1200, 600);
    for step in 0..20 {
        desktop.draw_text(page, 100 + step, [255; 3], true);
        pair.damage.add(page);
        let cell = desktop.type_letter(step as u32, 49, step as usize);
        pair.damage.add(cell);
        pair.update(&desktop.frame);
        assert!(pair.is_behind(), "step {step}: the page fits, so nothing is shown");
        let same = pair.shown.rows(cell).zip(desktop.frame.rows(cell));
        let same = same.flat_map(|(a, b)| a.chunks(4).zip(b.chunks(4))).all(|(a, b)| a[..3] == b[..3]);
        assert!(same, "step {step}: the letter was late");
    }
}

#[test]
fn what_is_insisted_on_repairs_what_is_shown() {
    let (mut pair, mut random) = (Pair::default(), Random::new(3));
    let mut desktop = Desktop::new(SCREEN, 5);
    pair.update(&desktop.frame);
    let mut copies = 0;
    for step in 0..100 {
        // A lossy codec spoils what is shown; the base is what it was.
        let spoilt = random.rect(SCREEN, 200);
        pair.shown.rows_mut(spoilt).flatten().for_each(|byte| *byte ^= 0x10);
        let mut inexact = Region::new();
        inexact.add(spoilt);
        let place = random.rect(SCREEN, 500);
        disturb(&mut desktop, place, &mut random);
        pair.damage.add(place);
        pair.options.bytes_max = [1, 2000, 1 << 20][random.below(3) as usize];
        let mut rounds = 0;
        while !inexact.is_empty() || pair.is_behind() || !pair.damage.is_empty() {
            // Sometimes there are updates before anybody insists.
            if random.below(3) == 0 {
                pair.encoder.insist(&inexact);
            }
            let update = pair.encode(&desktop.frame);
            pair.apply(SCREEN, &update);
            copies += update.bands.iter().filter(|band| matches!(band.codec, Codec::Copy { .. })).count();
            inexact = update.inexact_after(&inexact);
            rounds += 1;
            assert!(rounds < 2000, "step {step}: it never ends");
        }
        pair.assert_exact(&desktop.frame, &format!("step {step}"));
    }
    assert!(copies > 5, "only {copies} copies: this does not test what they take along");
}

#[test]
fn what_is_held_back_stays_as_it_is_until_it_is_added_again() {
    let mut pair = Pair::default();
    let mut desktop = Desktop::new(SCREEN, 5);
    pair.update(&desktop.frame);
    let film = Rect::new(100, 100, 200, 150);
    desktop.draw_noise(film, &mut Random::new(1));
    let mut region = Region::new();
    region.add(film);
    pair.encoder.add(&region);
    pair.encoder.hold_back(film);
    assert!(pair.encode(&desktop.frame).bands.is_empty());
    pair.damage = region;
    pair.update(&desktop.frame);
    pair.assert_exact(&desktop.frame, "added again");
}

#[test]
fn any_sequence_ends_exact() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let (mut pair, mut size) = (Pair::default(), SCREEN);
        let mut desktop = Desktop::new(size, seed);
        let mut held = Region::new();
        for _ in 0..40 {
            pair.options.bytes_max = [1, 300, 5000, 1 << 24][random.below(4) as usize];
            match random.below(12) {
                0 => {
                    size = Size::new(1 + random.below(600) as u32, 1 + random.below(500) as u32);
                    desktop = Desktop::new(size, seed);
                    held = Region::new();
                }
                1 => {
                    let rect = random.rect(size, 300);
                    pair.encoder.hold_back(rect);
                    pair.damage.subtract(rect);
                    held.add(rect);
                }
                2 => pair.encoder.insist(&std::mem::take(&mut held)),
                _ => {
                    let place = random.rect(size, 400);
                    disturb(&mut desktop, place, &mut random);
                    pair.damage.add(place);
                }
            }
            pair.damage.clip(size);
            pair.update(&desktop.frame);
        }
        pair.damage.merge(&held);
        pair.update(&desktop.frame);
        for _ in 0..1000 {
            if pair.is_behind() {
                pair.update(&desktop.frame);
            }
        }
        pair.assert_exact(&desktop.frame, &format!("seed {seed}"));
    }
}

#[test]
fn a_viewer_may_see_a_part_at_half_the_resolution_without_colour() {
    for (scale, grey) in [(1, false), (2, false), (1, true), (2, true)] {
        let mut random = Random::new(2);
        let mut desktop = Desktop::new(SCREEN, 9);
        let look = Look { area: Rect::new(33, 21, 301, 255), scale, grey };
        let mut pair = Pair::default();
        for step in 0..20 {
            let place = random.rect(SCREEN, 200);
            disturb(&mut desktop, place, &mut random);
            let mut damage = Region::new();
            damage.add(place);
            pair.damage = look.damage(&damage);
            let view = View::new(&desktop.frame, look);
            let update = pair.encode_view(&view);
            pair.apply(view.size(), &update);
            let mut expected = vec![0; view.size().area() as usize * 3];
            let rows = expected.chunks_exact_mut(view.size().width as usize * 3);
            rows.zip(0..).for_each(|(row, y)| view.pack_row(0, y, row));
            assert!(pair.shown.to_rgb() == expected, "scale {scale}, grey {grey}, step {step}");
        }
    }
}

/// A fresh viewer's cost of `rect`, the rest of the screen being black.
fn intra_bytes(screen: &Framebuffer, rect: Rect) -> usize {
    let mut alone = Framebuffer::new(screen.size());
    alone.copy_rect_from(screen, rect);
    Pair::default().update(&alone)
}

#[test]
fn a_typed_letter_costs_next_to_nothing() {
    let (mut pair, mut desktop) = (Pair::default(), Desktop::new(FULL_HD, 7));
    let first = pair.update(&desktop.frame);
    let cell = desktop.type_letter(40, 20, 5);
    let around = Rect::new(CODE_PANE.x, cell.y - 20, CODE_PANE.width, 60);
    let letter = pair.update_rect(&desktop.frame, around);
    assert!(letter <= 200 && letter * 100 < first, "{letter} bytes after {first}");
}

#[test]
fn scrolling_and_moving_cost_a_part_of_drawing_anew() {
    let (mut pair, mut desktop) = (Pair::default(), Desktop::new(FULL_HD, 8));
    pair.update(&desktop.frame);
    for first_line in [3, 6, 3] {
        desktop.draw_code(first_line);
        let (scroll, anew) =
            (pair.update_rect(&desktop.frame, CODE_PANE), intra_bytes(&desktop.frame, CODE_PANE));
        assert!(scroll * 3 < anew, "scroll to {first_line}: {scroll} bytes against {anew}");
    }
    let (here, there) = (Rect::new(300, 200, 700, 500), Rect::new(341, 237, 700, 500));
    let mut shown = Desktop::new(FULL_HD, 8);
    shown.draw_window(here, 9);
    pair.update_rect(&shown.frame, FULL_HD.rect());
    let mut moved = Desktop::new(FULL_HD, 8);
    moved.draw_window(there, 9);
    let damage = here.union(there);
    let (bytes, anew) = (pair.update_rect(&moved.frame, damage), intra_bytes(&moved.frame, damage));
    assert!(bytes * 2 < anew, "window: {bytes} bytes against {anew}");
    pair.assert_exact(&moved.frame, "after all");
}

#[test]
fn a_letter_that_stands_nearby_is_copied() {
    let (mut pair, mut desktop) = (Pair::default(), Desktop::new(FULL_HD, 7));
    // A line of its own, with nothing behind its letters.
    let line = Rect::new(CODE_PANE.x, CODE_PANE.y, CODE_PANE.width, 200);
    desktop.fill(line, [0x1e; 3]);
    pair.update(&desktop.frame);
    pair.update_rect(&desktop.frame, line);
    let first = desktop.type_letter(10, 3, 5);
    pair.update_rect(&desktop.frame, first);
    let second = desktop.type_letter(30, 6, 5);
    pair.damage.add(second);
    let update = pair.encode(&desktop.frame);
    assert!(matches!(update.bands[..], [Band { codec: Codec::Copy { .. }, .. }]), "{update:?}");
    pair.apply(FULL_HD, &update);
    pair.assert_exact(&desktop.frame, "the copied letter");
}

#[test]
fn a_photograph_costs_far_less_than_its_pixels() {
    let (mut pair, mut desktop) = (Pair::default(), Desktop::new(FULL_HD, 7));
    pair.update(&desktop.frame);
    let place = Rect::new(300, 200, 640, 360);
    photo(&mut desktop.frame, place, 1.0, &mut Random::new(2));
    pair.damage.add(place);
    let update = pair.encode(&desktop.frame);
    assert!(update.bands.iter().any(|band| band.codec == Codec::ZstdPredicted));
    pair.apply(FULL_HD, &update);
    pair.assert_exact(&desktop.frame, "a photograph");
    let (sent, raw) = (update.payload.len(), place.area() as usize * 3);
    assert!(sent * 5 < raw * 2, "{sent} bytes of {raw}");
}
