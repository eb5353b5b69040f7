//! Lossy codecs: what is encoded comes back as it was, where it was, at about the size it may have.

mod desktop;

use desktop::{film, random::Random};
use tagio_media::{
    Framebuffer, Look, View,
    codec::{
        VideoError,
        h264::{FrameTarget, H264Decoder, H264Encoder},
        jpeg,
    },
};
use tagio_wire::{Rect, Size};

const FINE: FrameTarget = FrameTarget { bytes: 1_000_000, qp_min: 8, qp_max: 12 };

/// The rectangle of `frame` after H.264, on a screen of the same size.
fn through_h264(frame: &Framebuffer, rect: Rect) -> Framebuffer {
    let mut encoder = H264Encoder::new(Size::new(rect.width, rect.height)).expect("a size that H.264 has");
    let sent =
        encoder.encode(&View::whole(frame), rect, false, FINE).expect("the library works").expect("a frame");
    assert!(sent.is_keyframe, "the first frame needs no other");
    let mut shown = Framebuffer::new(frame.size());
    H264Decoder::new().expect("memory").decode(&sent.payload, rect, &mut shown).expect("own bytes");
    shown
}

fn through_jpeg(frame: &Framebuffer, rect: Rect) -> Framebuffer {
    let file = jpeg::encode(&View::whole(frame), rect, 95).expect("a size that JPEG has");
    let mut shown = Framebuffer::new(frame.size());
    jpeg::decode(&file, rect, &mut shown).expect("own bytes");
    shown
}

/// Paints a rectangle in red, green, blue.
fn paint(frame: &mut Framebuffer, rect: Rect, [red, green, blue]: [u8; 3]) {
    for row in frame.rows_mut(rect) {
        row.as_chunks_mut().0.fill([blue, green, red, 0]);
    }
}

/// Largest difference of any channel within a rectangle.
fn difference(a: &Framebuffer, b: &Framebuffer, rect: Rect) -> u8 {
    let rows = a.rows(rect).zip(b.rows(rect));
    let pixels = rows.flat_map(|(a, b)| a.as_chunks::<4>().0.iter().zip(b.as_chunks::<4>().0));
    pixels.flat_map(|(a, b)| (0..3).map(|i| a[i].abs_diff(b[i]))).max().unwrap_or(0)
}

const BARS: [[u8; 3]; 8] = [
    [255, 255, 255],
    [255, 255, 0],
    [0, 255, 255],
    [0, 255, 0],
    [255, 0, 255],
    [255, 0, 0],
    [0, 0, 255],
    [40, 90, 160],
];

fn bars() -> Framebuffer {
    let mut frame = Framebuffer::new(Size::new(512, 64));
    for (i, colour) in BARS.into_iter().enumerate() {
        paint(&mut frame, Rect::new(i as u32 * 64, 0, 64, 64), colour);
    }
    frame
}

#[test]
fn colour_bars_survive() {
    let bars = bars();
    for (codec, shown) in [
        ("H.264", through_h264(&bars, bars.size().rect())),
        ("JPEG", through_jpeg(&bars, bars.size().rect())),
    ] {
        for i in 0..BARS.len() as u32 {
            let inside = Rect::new(i * 64 + 8, 8, 48, 48);
            let off = difference(&bars, &shown, inside);
            assert!(off <= 3, "{codec}, bar {i}: off by {off}");
        }
    }
}

#[test]
fn greys_stay_grey() {
    let mut ramp = Framebuffer::new(Size::new(512, 32));
    for x in 0..256 {
        paint(&mut ramp, Rect::new(x * 2, 0, 2, 32), [x as u8; 3]);
    }
    let shown = through_h264(&ramp, ramp.size().rect());
    for pixel in shown.bytes().as_chunks::<4>().0 {
        assert!(pixel[0].abs_diff(pixel[1]) <= 2 && pixel[2].abs_diff(pixel[1]) <= 2, "{pixel:?}");
    }
    assert!(difference(&ramp, &shown, ramp.size().rect()) <= 5);
}

/// Weight of red on blue must not move: a wrong siting shifts colour by half a pixel or more.
#[test]
fn colour_stays_where_it_was() {
    let size = Size::new(128, 64);
    let mut frame = Framebuffer::new(size);
    paint(&mut frame, size.rect(), [0, 0, 200]);
    paint(&mut frame, Rect::new(48, 16, 32, 32), [200, 0, 0]);
    let shown = through_h264(&frame, size.rect());
    let centre = |frame: &Framebuffer, channel: usize, background: f64| {
        let (mut weight, mut sum) = (0.0, 0.0);
        for row in frame.rows(size.rect()) {
            for (x, pixel) in row.as_chunks::<4>().0.iter().enumerate() {
                let value = (f64::from(pixel[channel]) - background).abs();
                weight += value;
                sum += value * (x as f64 + 0.5);
            }
        }
        sum / weight
    };
    for (channel, background) in [(2, 0.0), (0, 200.0)] {
        let moved = centre(&shown, channel, background) - centre(&frame, channel, background);
        assert!(moved.abs() < 0.15, "channel {channel} moved by {moved} columns");
    }
}

#[test]
fn odd_sizes_have_no_seam_and_touch_nothing_around_them() {
    let mut frame = Framebuffer::new(Size::new(401, 303));
    for y in 0..303 {
        for x in 0..401 {
            paint(
                &mut frame,
                Rect::new(x, y, 1, 1),
                [(x / 2) as u8, (y / 2 + 50) as u8, ((x + y) / 3) as u8],
            );
        }
    }
    for rect in [Rect::new(0, 0, 401, 303), Rect::new(7, 5, 161, 121), Rect::new(100, 182, 301, 121)] {
        let shown = through_h264(&frame, rect);
        for edge in [
            Rect { x: rect.right() - 1, width: 1, ..rect },
            Rect { y: rect.bottom() - 1, height: 1, ..rect },
            Rect { width: 1, ..rect },
            Rect { height: 1, ..rect },
        ] {
            let psnr = film::psnr(&frame, &shown, edge);
            assert!(psnr > 42.0, "{rect:?}, edge {edge:?}: {psnr:.1} dB");
        }
        let mut around = shown;
        paint(&mut around, rect, [0; 3]);
        assert!(around.bytes().iter().all(|byte| *byte == 0), "{rect:?}: pixels outside were written");
    }
}

#[test]
fn halves_and_greys_of_a_screen_are_encoded_too() {
    let mut frame = Framebuffer::new(Size::new(640, 480));
    film::photo(&mut frame, Rect::new(0, 0, 640, 480), 0.4, &mut Random::new(1));
    let look = Look { area: Rect::new(11, 7, 600, 401), scale: 2, grey: true };
    let view = View::new(&frame, look);
    let mut expected = Framebuffer::new(view.size());
    let mut rgb = vec![0; view.size().width as usize * 3];
    for (y, row) in expected.rows_mut(view.size().rect()).enumerate() {
        view.pack_row(0, y as u32, &mut rgb);
        for (to, from) in row.as_chunks_mut::<4>().0.iter_mut().zip(rgb.as_chunks::<3>().0) {
            *to = [from[2], from[1], from[0], 0];
        }
    }
    let rect = Rect::new(20, 10, 200, 150);
    let mut shown = Framebuffer::new(view.size());
    let mut encoder = H264Encoder::new(Size::new(200, 150)).unwrap();
    let sent = encoder.encode(&view, rect, false, FINE).unwrap().unwrap();
    H264Decoder::new().unwrap().decode(&sent.payload, rect, &mut shown).unwrap();
    assert!(film::psnr(&expected, &shown, rect) > 38.0);
    jpeg::decode(&jpeg::encode(&view, rect, 90).unwrap(), rect, &mut shown).unwrap();
    assert!(film::psnr(&expected, &shown, rect) > 36.0);
}

#[test]
fn a_film_keeps_to_its_bytes_and_looks_well() {
    let size = Size::new(640, 360);
    let target = FrameTarget { bytes: 1_300_000 / 8 / 30, qp_min: 14, qp_max: 38 };
    let (mut encoder, mut decoder) = (H264Encoder::new(size).unwrap(), H264Decoder::new().unwrap());
    let (mut frame, mut shown) = (Framebuffer::new(size), Framebuffer::new(size));
    let (mut bytes, mut worst, mut random) = (0, f64::MAX, Random::new(5));
    for i in 0..60 {
        film::photo(&mut frame, size.rect(), i as f32 / 15.0, &mut random);
        let sent = encoder.encode_whole(&frame, i == 30, target).unwrap().expect("no frame is skipped");
        assert_eq!(sent.is_keyframe, i == 0 || i == 30, "frame {i}");
        decoder.decode(&sent.payload, size.rect(), &mut shown).unwrap();
        if i >= 10 {
            bytes += sent.payload.len();
            worst = film::psnr(&frame, &shown, size.rect()).min(worst);
        }
    }
    assert!(bytes < 51 * target.bytes * 5 / 4, "{bytes} bytes in 50 frames");
    assert!(worst >= 36.5, "{worst:.1} dB");
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut frame = Framebuffer::new(Size::new(320, 240));
    film::photo(&mut frame, Rect::new(0, 0, 320, 240), 0.0, &mut Random::new(2));
    let rect = Rect::new(0, 0, 160, 120);
    let sent = H264Encoder::new(Size::new(160, 120)).unwrap().encode(&View::whole(&frame), rect, true, FINE);
    let h264 = sent.unwrap().unwrap().payload;
    let file = jpeg::encode(&View::whole(&frame), rect, 80).unwrap();
    let mut shown = Framebuffer::new(frame.size());
    for (place, misfit) in
        [(Rect::new(0, 0, 162, 120), true), (Rect::new(300, 0, 160, 120), false), (Rect::default(), false)]
    {
        let errors = [
            H264Decoder::new().unwrap().decode(&h264, place, &mut shown).unwrap_err(),
            jpeg::decode(&file, place, &mut shown).unwrap_err(),
        ];
        // A JPEG that is too large is refused before its size is known to us.
        assert_eq!(matches!(errors[0], VideoError::Misfit { .. }), misfit);
        assert_eq!(matches!(errors[1], VideoError::Misfit { .. }), misfit);
    }
    assert!(shown.bytes().iter().all(|byte| *byte == 0), "nothing is shown of what is refused");
    for size in [Size::new(0, 0), Size::new(4000, 100), Size::new(3000, 3000), Size::new(8, 300)] {
        assert!(!H264Encoder::accepts(size) && H264Encoder::new(size).is_err());
    }
}
