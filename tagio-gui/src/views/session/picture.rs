//! The seam to the pixels, and the texture that shows them where a GPU does the work.

use std::sync::Arc;

use eframe::egui::{
    Color32, ColorImage, Context, Rect, TextureFilter, TextureHandle, TextureOptions, Ui, pos2,
};
use tagio_media::{BYTES_PER_PIXEL, Framebuffer, Region};
use tagio_wire::{Point, Rect as PictureRect, Size, picture::CursorShape};

use super::{PicturePointer, PictureView, PictureWindow, Placement};

/// Where the window gets the remote picture from. Called on the window's thread; must not block for long.
pub trait PictureSource: Send + Sync {
    /// Shows `read` the newest picture and what changed since the last call (all of it the first time and
    /// after a change of size). Does not call it when nothing changed.
    fn with_picture(&self, read: &mut dyn FnMut(&Framebuffer, &Region));

    /// The remote cursor now.
    fn cursor(&self) -> CursorState;
}

/// The remote cursor.
#[derive(Clone, Debug, Default)]
pub struct CursorState {
    /// How it looks.
    pub look: CursorLook,
    /// Where the host has it, if something else than this viewer moved it last.
    pub moved_to: Option<Point>,
}

/// How the remote cursor looks.
#[derive(Clone, Debug, Default)]
pub enum CursorLook {
    /// Not told yet.
    #[default]
    Unknown,
    /// Not shown.
    Hidden,
    /// Like this. The same `Arc` for as long as it does not change.
    Shape(Arc<CursorShape>),
}

/// Who puts the pixels on the screen.
pub enum PicturePainter {
    /// egui, with a texture.
    Texture,
    /// A window of the picture's own, which covers what egui draws there.
    Window(Box<dyn PictureWindow>),
}

impl PicturePainter {
    /// Tells the picture's window, if there is one, how to show it; false when egui has to draw it.
    pub(super) fn show(&mut self, view: Option<PictureView>) -> bool {
        match self {
            Self::Texture => false,
            Self::Window(window) => window.show(view),
        }
    }

    /// Where the pointer was last on the picture's own window.
    pub(super) fn pointer(&self) -> Option<PicturePointer> {
        match self {
            Self::Texture => None,
            Self::Window(window) => window.pointer(),
        }
    }
}

/// The picture on the graphics card: one texture, or several where one cannot be large enough.
#[derive(Default)]
pub struct PictureTexture {
    size: Size,
    tiles: Vec<Tile>,
}

struct Tile {
    texture: TextureHandle,
    covers: PictureRect,
}

impl PictureTexture {
    /// Uploads what changed, and nothing else.
    pub fn update(&mut self, ctx: &Context, source: &dyn PictureSource) {
        source.with_picture(&mut |picture, changed| {
            if self.size != picture.size() {
                self.rebuild(ctx, picture);
                return;
            }
            for tile in &mut self.tiles {
                let parts = changed.rects().iter().filter_map(|rect| rect.intersection(tile.covers));
                for part in parts {
                    let at = [(part.x - tile.covers.x) as usize, (part.y - tile.covers.y) as usize];
                    tile.texture.set_partial(at, rgba(picture, part), OPTIONS);
                }
            }
        });
    }

    /// Paints the picture into its place.
    pub fn paint(&self, ui: &Ui, placement: &Placement) {
        let uv = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
        for tile in &self.tiles {
            let covers = tile.covers;
            let min = placement.pos_of(Point::new(covers.x as i32, covers.y as i32));
            let max = placement.pos_of(Point::new(covers.right() as i32, covers.bottom() as i32));
            ui.painter().image(tile.texture.id(), Rect::from_min_max(min, max), uv, Color32::WHITE);
        }
    }

    fn rebuild(&mut self, ctx: &Context, picture: &Framebuffer) {
        self.size = picture.size();
        let side_max = ctx.input(|input| input.max_texture_side) as u32;
        let tiles = tiles(self.size, side_max).map(|covers| Tile {
            texture: ctx.load_texture("remote picture", rgba(picture, covers), OPTIONS),
            covers,
        });
        self.tiles = tiles.collect();
    }
}

/// Sharp when enlarged by whole numbers or shown as it is; smooth when made smaller.
///
/// Enlarging by fractions is rare (the view snaps to whole multiples) and keeps letters sharp this way too.
const OPTIONS: TextureOptions = TextureOptions {
    magnification: TextureFilter::Nearest,
    minification: TextureFilter::Linear,
    ..TextureOptions::NEAREST
};

/// Cuts a picture into pieces that a texture can hold.
fn tiles(size: Size, side_max: u32) -> impl Iterator<Item = PictureRect> {
    let step = side_max.max(1) as usize;
    (0..size.height).step_by(step).flat_map(move |y| {
        (0..size.width)
            .step_by(step)
            .map(move |x| PictureRect::new(x, y, side_max.min(size.width - x), side_max.min(size.height - y)))
    })
}

fn rgba(picture: &Framebuffer, rect: PictureRect) -> ColorImage {
    let size = [rect.width as usize, rect.height as usize];
    let mut pixels = Vec::with_capacity(size[0] * size[1]);
    for row in picture.rows(rect) {
        pixels.extend(row.chunks_exact(BYTES_PER_PIXEL).map(|p| Color32::from_rgb(p[2], p[1], p[0])));
    }
    ColorImage::new(size, pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rectangle_of_the_picture_becomes_rgba() {
        let mut picture = Framebuffer::new(Size::new(3, 2));
        picture.bytes_mut()[16..20].copy_from_slice(&[1, 2, 3, 99]);
        let image = rgba(&picture, PictureRect::new(1, 1, 2, 1));
        assert_eq!(image.pixels, [Color32::from_rgb(3, 2, 1), Color32::BLACK]);
    }

    #[test]
    fn tiles_cover_the_picture_once() {
        let parts: Vec<_> = tiles(Size::new(10, 5), 4).collect();
        assert_eq!(parts.len(), 6);
        assert_eq!(parts.iter().map(|part| part.area()).sum::<u64>(), 50);
        assert_eq!(tiles(Size::new(10, 5), 16).count(), 1);
    }
}
