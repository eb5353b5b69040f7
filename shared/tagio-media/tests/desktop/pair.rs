//! A host's encoder and its viewer's decoder, with the picture between them.

use tagio_media::{
    Framebuffer, Region,
    codec::{
        EncodedUpdate, VideoDecoder, VideoEncoder,
        bands::{BandDecoder, BandEncoder, BandOptions},
    },
};
use tagio_wire::Rect;

#[derive(Default)]
pub struct Pair {
    pub encoder: BandEncoder,
    pub decoder: BandDecoder,
    pub picture: Framebuffer,
    /// Damage since the viewer's last update.
    pub damage: Region,
    number: u32,
}

impl Pair {
    pub fn new(options: BandOptions) -> Self {
        Self { encoder: BandEncoder::new(options), ..Self::default() }
    }

    /// Encodes what is damaged, without decoding it.
    pub fn encode(&mut self, screen: &Framebuffer) -> Option<EncodedUpdate> {
        let damage = std::mem::take(&mut self.damage);
        self.number += 1;
        let update = self.encoder.encode(self.number, screen, &damage).expect("zstd works");
        if let Some(update) = &update {
            assert!(update.header.is_sound());
            assert_eq!(update.header.number, self.number);
            assert_eq!(update.header.payload_len(), update.payload.len());
        }
        update
    }

    /// Brings the viewer up to date in one update and returns its size in bytes, 0 for none.
    pub fn update(&mut self, screen: &Framebuffer) -> usize {
        let Some(update) = self.encode(screen) else { return 0 };
        let mut before = self.picture.clone();
        before.resize(screen.size());
        let changed = self.decoder.decode(&update.header, &update.payload, &mut self.picture);
        let changed = changed.expect("an update of our own");
        // Outside of what it reports, nothing may have changed.
        for &rect in changed.rects() {
            before.copy_rect_from(&self.picture, rect);
        }
        assert!(before == self.picture, "the decoder changed more than it said");
        update.payload.len()
    }

    /// Like [`Self::update`] with damage in one rectangle.
    pub fn update_rect(&mut self, screen: &Framebuffer, rect: Rect) -> usize {
        self.damage.add(rect);
        self.update(screen)
    }

    pub fn assert_exact(&self, screen: &Framebuffer, when: &str) {
        assert_eq!(self.picture.size(), screen.size(), "{when}");
        assert!(self.picture.to_rgb() == screen.to_rgb(), "{when}: the picture differs");
    }
}
