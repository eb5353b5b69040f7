//! The remote cursor. While this viewer leads it *is* the window's cursor, so it never lags behind the hand;
//! while something on the host moves it, it is painted where the host has it.

use std::sync::Arc;

use eframe::egui::{
    Color32, ColorImage, CursorIcon, CustomCursorImage, Rect, TextureHandle, TextureOptions, Ui, pos2, vec2,
};
use tagio_wire::{Point, limits::CURSOR_SIDE_MAX, picture::CursorShape, session::Permission};

use super::{CursorLook, Placement, SessionState, SessionView};

/// The last shape in the forms that are handed on.
#[derive(Default)]
pub(super) struct CursorCache {
    shape: Option<Arc<CursorShape>>,
    factor: u32,
    image: Option<CustomCursorImage>,
    texture: Option<TextureHandle>,
}

pub(super) fn show_remote_cursor(
    ui: &Ui,
    view: &SessionView<'_>,
    state: &mut SessionState,
    placement: &Placement,
    is_pointer_on_picture: bool,
) {
    let cursor = view.picture.cursor();
    let factor = (placement.scale.round() as u32).max(1);
    if let CursorLook::Shape(shape) = &cursor.look {
        state.cursor.take(shape, factor);
    }
    let is_leading = view.status.permission == Permission::Control && cursor.moved_to.is_none();
    if is_leading && is_pointer_on_picture {
        match cursor.look {
            CursorLook::Unknown => {}
            CursorLook::Hidden => ui.ctx().set_cursor_icon(CursorIcon::None),
            CursorLook::Shape(_) => ui.ctx().set_cursor_image(state.cursor.image.clone()),
        }
    } else if let (CursorLook::Shape(shape), Some(at), false) =
        (&cursor.look, cursor.moved_to, view.is_bare || state.has_window)
    {
        state.cursor.paint(ui, shape, at, placement);
    }
}

impl CursorCache {
    fn take(&mut self, shape: &Arc<CursorShape>, factor: u32) {
        let is_same = self.shape.as_ref().is_some_and(|have| Arc::ptr_eq(have, shape));
        if is_same && self.factor == factor {
            return;
        }
        *self = Self {
            shape: Some(Arc::clone(shape)),
            factor,
            image: window_cursor(shape, factor),
            texture: None,
        };
    }

    fn paint(&mut self, ui: &Ui, shape: &CursorShape, at: Point, placement: &Placement) {
        let size = [shape.size.width as usize, shape.size.height as usize];
        if !shape.is_sound() || shape.size.area() == 0 {
            return;
        }
        let texture = self.texture.get_or_insert_with(|| {
            let image = ColorImage::from_rgba_unmultiplied(size, &shape.rgba);
            ui.ctx().load_texture("remote cursor", image, TextureOptions::NEAREST)
        });
        let corner = Point::new(at.x - shape.hotspot.x, at.y - shape.hotspot.y);
        let end = Point::new(corner.x + size[0] as i32, corner.y + size[1] as i32);
        let rect = Rect::from_min_max(placement.pos_of(corner), placement.pos_of(end));
        let uv = Rect::from_min_size(pos2(0.0, 0.0), vec2(1.0, 1.0));
        ui.painter().image(texture.id(), rect, uv, Color32::WHITE);
    }
}

/// The shape as the window system wants it, enlarged like the picture.
fn window_cursor(shape: &CursorShape, factor: u32) -> Option<CustomCursorImage> {
    if !shape.is_sound() || shape.size.area() == 0 {
        return None;
    }
    let side = shape.size.width.max(shape.size.height);
    let factor = factor.min(CURSOR_SIDE_MAX / side).max(1);
    let (width, height) = (shape.size.width * factor, shape.size.height * factor);
    let mut rgba = Vec::with_capacity((width * height * 4) as usize);
    for y in 0..height {
        for x in 0..width {
            let at = ((y / factor * shape.size.width + x / factor) * 4) as usize;
            rgba.extend_from_slice(&shape.rgba[at..at + 4]);
        }
    }
    let inside = |value: i32, side: u32| (value.max(0) as u32 * factor).min(side - 1) as u16;
    Some(CustomCursorImage {
        rgba: rgba.into(),
        size: [width as u16, height as u16],
        hotspot: [inside(shape.hotspot.x, width), inside(shape.hotspot.y, height)],
    })
}

#[cfg(test)]
mod tests {
    use tagio_wire::Size;

    use super::*;

    #[test]
    fn a_cursor_grows_with_the_picture() {
        let shape = CursorShape {
            size: Size::new(1, 2),
            hotspot: Point::new(0, 1),
            rgba: vec![9, 9, 9, 9, 7, 7, 7, 7],
        };
        let image = window_cursor(&shape, 2).unwrap();
        assert_eq!((image.size, image.hotspot), ([2, 4], [0, 2]));
        assert_eq!(&image.rgba[..8], &[9; 8]);
        assert_eq!(&image.rgba[24..], &[7; 8]);
    }

    #[test]
    fn a_broken_cursor_is_none() {
        let shape = CursorShape { size: Size::new(4, 4), hotspot: Point::new(9, 9), rgba: vec![0; 3] };
        assert!(window_cursor(&shape, 1).is_none());
    }
}
