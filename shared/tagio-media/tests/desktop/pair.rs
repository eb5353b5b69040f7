//! A host's encoder and its viewer's decoder, with the pictures between them.

use tagio_media::{
    Framebuffer, Region, View,
    codec::bands::{BandDecoder, BandEncoder, BandOptions, Bands},
};
use tagio_wire::{Rect, Size, picture::Band};

#[derive(Default)]
pub struct Pair {
    pub options: BandOptions,
    pub encoder: BandEncoder,
    pub decoder: BandDecoder,
    /// What the viewer shows.
    pub shown: Framebuffer,
    /// Damage since the viewer's last update.
    pub damage: Region,
}

impl Pair {
    pub fn new(options: BandOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Encodes what is damaged, without decoding it.
    pub fn encode(&mut self, screen: &Framebuffer) -> Bands {
        self.encode_view(&View::whole(screen))
    }

    /// Like [`Self::encode`]; damage is in pixels of the view.
    pub fn encode_view(&mut self, view: &View<'_>) -> Bands {
        if view.size() != self.encoder.size() {
            self.encoder.start(view.size());
        }
        self.encoder.add(&std::mem::take(&mut self.damage));
        let update = self.encoder.encode(view, self.options).expect("zstd works");
        let len: usize = update.bands.iter().map(|band| band.len as usize).sum();
        assert_eq!(len, update.payload.len());
        assert_disjoint(&update.bands);
        update
    }

    /// Hands an update to the viewer.
    pub fn apply(&mut self, size: Size, update: &Bands) {
        let mut before = self.shown.clone();
        before.resize(size);
        let changed = self.decoder.apply(size, &split(update), &mut self.shown);
        let changed = changed.expect("an update of our own");
        // Outside of what it reports, nothing may have changed.
        for &rect in changed.rects() {
            before.copy_rect_from(&self.shown, rect);
        }
        assert!(before == self.shown, "the decoder changed more than it said");
    }

    /// Sends the viewer one update and returns the size of its payload in bytes.
    pub fn update(&mut self, screen: &Framebuffer) -> usize {
        let update = self.encode(screen);
        self.apply(screen.size(), &update);
        update.payload.len()
    }

    /// Like [`Self::update`] with damage in one rectangle.
    pub fn update_rect(&mut self, screen: &Framebuffer, rect: Rect) -> usize {
        self.damage.add(rect);
        self.update(screen)
    }

    /// Whether the last update left something behind.
    pub fn is_behind(&self) -> bool {
        !self.encoder.pending().is_empty()
    }

    pub fn assert_exact(&self, screen: &Framebuffer, when: &str) {
        assert_eq!(self.shown.size(), screen.size(), "{when}");
        assert!(self.shown.to_rgb() == screen.to_rgb(), "{when}: the picture differs");
    }
}

/// Each band of an update with its payload.
pub fn split(update: &Bands) -> Vec<(Band, &[u8])> {
    let mut payload = update.payload.as_slice();
    let bands = update.bands.iter().map(|band| {
        let (own, rest) = payload.split_at(band.len as usize);
        payload = rest;
        (*band, own)
    });
    bands.collect()
}

fn assert_disjoint(bands: &[Band]) {
    for (i, one) in bands.iter().enumerate() {
        let overlaps = bands[..i].iter().any(|other| other.rect.intersection(one.rect).is_some());
        assert!(!overlaps, "{:?} overlaps another", one.rect);
    }
}
