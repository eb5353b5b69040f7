//! What of the picture the window's own things cover in this frame: toolbar, menus, tips, cards.

use eframe::egui::{Context, LayerId, Order, Rect, Ui};
use tagio_wire::Rect as PixelRect;

use super::Cover;
use crate::theme::radius;

/// Everything that is painted over the picture in this frame, in the window's pixels: `rects`, which are in
/// points and as round as cards, and whatever floats.
pub(super) fn covers(ui: &Ui, rects: &[Rect]) -> Vec<Cover> {
    let ctx = ui.ctx();
    let pixels_per_point = ctx.pixels_per_point();
    let px = |points: u8| f32::from(points) * pixels_per_point;
    let bars = rects.iter().map(|rect| (*rect, px(radius::CARD)));
    let floating = floating(ctx).into_iter().filter(|rect| !rects.contains(rect));
    let all = bars.chain(floating.map(|rect| (rect, px(radius::CONTROL))));
    let mut covers: Vec<Cover> =
        all.filter_map(|(rect, radius)| cover(rect, radius, pixels_per_point)).collect();
    // In an order of its own, so that equal frames are equal.
    covers.sort_by_key(|cover| (cover.rect.y, cover.rect.x, cover.rect.width, cover.rect.height));
    covers.dedup();
    covers
}

/// Where there is a layer above the panel that has painted something.
pub(super) fn floating(ctx: &Context) -> Vec<Rect> {
    let layers: Vec<LayerId> = ctx.memory(|memory| memory.layer_ids().collect());
    let is_painted =
        |layer: LayerId| ctx.graphics(|layers| layers.get(layer).is_some_and(|list| !list.is_empty()));
    let above = layers.into_iter().filter(|layer| layer.order != Order::Background && is_painted(*layer));
    above.filter_map(|layer| ctx.memory(|memory| memory.area_rect(layer.id))).collect()
}

fn cover(rect: Rect, radius: f32, pixels_per_point: f32) -> Option<Cover> {
    let px = |points: f32| (points * pixels_per_point).round().max(0.0) as u32;
    let (x, y, right, bottom) = (px(rect.min.x), px(rect.min.y), px(rect.max.x), px(rect.max.y));
    let rect = PixelRect::new(x, y, right.saturating_sub(x), bottom.saturating_sub(y));
    let radius = (radius.round() as u32).min(rect.width / 2).min(rect.height / 2);
    (!rect.is_empty()).then_some(Cover { rect, radius })
}
