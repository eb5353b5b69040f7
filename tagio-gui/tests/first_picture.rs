//! First pictures of made-up screens are what a viewer accepts: photographs beside windows share no pixel.

use std::time::Instant;

use tagio_media::{
    Framebuffer, Region, View,
    codec::picture::{Link, PictureDecoder, PictureEncoder},
};
use tagio_testkit::Picture;
use tagio_wire::Size;

const SCREEN: Size = Size::new(1280, 800);
/// Of a screen on which a photograph once grew into the next one.
const SEED: u64 = 15_851_948_689_237_908_297;

fn screen(seed: u64) -> Framebuffer {
    let picture = Picture::seeded(SCREEN.width as usize, SCREEN.height as usize, seed);
    let mut frame = Framebuffer::new(SCREEN);
    for (row, pixels) in frame.rows_mut(SCREEN.rect()).zip(picture.pixels.chunks_exact(picture.width)) {
        for (bytes, [red, green, blue]) in row.chunks_exact_mut(4).zip(pixels) {
            bytes.copy_from_slice(&[*blue, *green, *red, 0]);
        }
    }
    frame
}

#[test]
fn a_viewer_accepts_the_first_picture_of_any_screen() {
    let link = Link { bytes_per_second: None, update_bytes_max: 256 * 1024 };
    for seed in (0..20).map(|offset| SEED.wrapping_add(offset)) {
        let frame = screen(seed);
        let mut damage = Region::new();
        damage.add(SCREEN.rect());
        let encoded = PictureEncoder::new().encode(&View::whole(&frame), &damage, link, 1, Instant::now());
        let update = encoded.expect("the codecs work").update.expect("something to show");
        let accepted = PictureDecoder::new().update(&update.header, &update.payload);
        assert!(accepted.is_ok(), "seed {seed}: {accepted:?}");
    }
}
