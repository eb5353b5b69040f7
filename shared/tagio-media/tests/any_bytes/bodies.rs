//! What strangers' bytes are fed to: a function for each decoder, shared by the test here and the targets in `fuzz/`.
//!
//! Each reads its input as a session would and asserts what always holds. It returns how many parts of the input the
//! decoder took, so that a test can tell that honest input gets through.

use tagio_media::{
    Framebuffer, Region,
    codec::{bands::BandDecoder, h264::H264Decoder, jpeg, picture::PictureDecoder},
};
use tagio_wire::{Rect, Size, picture::UpdateHeader, session::StreamKind};

/// Larger pictures take longer and lead nowhere else.
const AREA_MAX: u64 = 512 * 512;

/// Where lossy pictures go, and what is around them.
pub(crate) const PLACE: Rect = Rect::new(8, 6, 80, 64);
const SCREEN: Size = Size::new(96, 80);

/// A stream of updates for the exact codecs.
pub(crate) fn bands(mut data: &[u8]) -> usize {
    let (mut decoder, mut shown, mut taken) = (BandDecoder::new(), Framebuffer::default(), 0);
    while let Some((header, payload)) = update(&mut data) {
        let mut rest = payload;
        let mut split = Vec::new();
        for band in &header.bands {
            let (own, later) = rest.split_at((band.len as usize).min(rest.len()));
            rest = later;
            split.push((*band, own));
        }
        let before = shown.clone();
        match decoder.apply(header.picture(), &split, &mut shown) {
            Ok(changed) => {
                assert_eq!(shown.size(), header.picture());
                assert_changed(&before, &shown, &changed);
                taken += 1;
            }
            Err(_) => assert!(shown == before, "half an update was applied"),
        }
    }
    taken
}

/// Updates and video frames in the order in which they arrive, each behind the byte of its stream.
pub(crate) fn picture(mut data: &[u8]) -> usize {
    let (mut decoder, mut taken) = (PictureDecoder::new(), 0);
    while let Some((kind, rest)) = data.split_first() {
        data = rest;
        let mut before = decoder.picture().clone();
        let changed = match StreamKind::parse(*kind) {
            Some(StreamKind::Picture) => {
                let Some((header, payload)) = update(&mut data) else { return taken };
                // A session ends here.
                let Ok(changed) = decoder.update(&header, payload) else { return taken };
                assert_eq!(decoder.picture().size(), header.picture());
                before.resize(header.picture());
                changed
            }
            Some(StreamKind::Video) => {
                let header = chunk(&mut data).and_then(|header| tagio_wire::decode(header).ok());
                let (Some(header), Some(payload)) = (header, chunk(&mut data)) else { return taken };
                decoder.frame(header, payload.to_vec()).changed
            }
            Some(StreamKind::Cursor | StreamKind::Input | StreamKind::Messages) | None => return taken,
        };
        assert_changed(&before, decoder.picture(), &changed);
        assert!((0.0..=1.0).contains(&decoder.exact_share()));
        taken += usize::from(!changed.is_empty());
    }
    taken
}

/// The frames of one film.
pub(crate) fn h264(mut data: &[u8]) -> usize {
    let Ok(mut decoder) = H264Decoder::new() else { return 0 };
    let (mut shown, mut whole, mut taken) = (Framebuffer::new(SCREEN), Framebuffer::default(), 0);
    while let Some(frame) = chunk(&mut data) {
        taken += usize::from(decoder.decode(frame, PLACE, &mut shown).is_ok());
    }
    assert_changed(&Framebuffer::new(SCREEN), &shown, &region(PLACE));
    // What was recorded has no place that it must fit.
    decoder.decode_whole(data, &mut whole).ok();
    taken
}

/// One file.
pub(crate) fn jpeg(data: &[u8]) -> usize {
    let mut shown = Framebuffer::new(SCREEN);
    let taken = jpeg::decode(data, PLACE, &mut shown).is_ok();
    let changed = if taken { region(PLACE) } else { Region::new() };
    assert_changed(&Framebuffer::new(SCREEN), &shown, &changed);
    usize::from(taken)
}

/// What stands behind its length.
fn chunk<'a>(data: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = data.split_first_chunk()?;
    let (chunk, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    *data = rest;
    Some(chunk)
}

/// The next update, with as much of its payload as there is.
fn update<'a>(data: &mut &'a [u8]) -> Option<(UpdateHeader, &'a [u8])> {
    let header: UpdateHeader = tagio_wire::decode(chunk(data)?).ok()?;
    let len = header.bands.iter().map(|band| band.len as usize).fold(0, usize::saturating_add);
    let (payload, rest) = data.split_at(len.min(data.len()));
    *data = rest;
    (header.picture().area() <= AREA_MAX).then_some((header, payload))
}

fn region(rect: Rect) -> Region {
    let mut region = Region::new();
    region.add(rect);
    region
}

/// No pixel may differ outside of `changed`.
fn assert_changed(before: &Framebuffer, after: &Framebuffer, changed: &Region) {
    let mut expected = before.clone();
    expected.resize(after.size());
    for rect in changed.rects() {
        assert!(rect.fits(after.size()), "{rect:?} lies outside the picture");
        expected.copy_rect_from(after, *rect);
    }
    assert!(expected == *after, "something changed that was not reported");
}
