//! Opens the windows.

use std::sync::Arc;

use eframe::{
    NativeOptions, Renderer,
    egui::{IconData, ViewportBuilder, vec2},
};

use super::{HomeApp, HomeParts, PlayerApp, PlayerParts, SessionApp, SessionParts};
use crate::{config::Settings, views::words};

const APP_ID: &str = "tagio";

/// Shows the main window until it is closed. Must be called on the main thread.
pub fn run_home(parts: HomeParts) -> eframe::Result {
    // Contents that are twice as large need a window that is.
    let size = vec2(900.0, 620.0) * Settings::load(&parts.data_dir).0.zoom();
    let viewport = viewport(words::APP).with_inner_size(size).with_min_inner_size(vec2(380.0, 420.0));
    let app: eframe::AppCreator<'_> =
        Box::new(|creation| Ok(Box::new(HomeApp::new(&creation.egui_ctx, parts))));
    eframe::run_native(APP_ID, options(viewport), app)
}

/// Shows a session until its window is closed. Must be called on the main thread.
pub fn run_session(parts: SessionParts) -> eframe::Result {
    let title = format!("{} – TagIO", parts.title);
    let viewport = viewport(&title)
        .with_inner_size(vec2(1100.0, 720.0))
        .with_min_inner_size(vec2(420.0, 300.0))
        .with_fullscreen(parts.full_screen)
        .with_decorations(!parts.full_screen);
    let app: eframe::AppCreator<'_> = Box::new(|creation| Ok(Box::new(SessionApp::new(creation, parts))));
    eframe::run_native(APP_ID, options(viewport), app)
}

/// Plays a recording until its window is closed. Must be called on the main thread.
pub fn run_player(parts: PlayerParts) -> eframe::Result {
    let title = format!("{} – TagIO", parts.title);
    let viewport =
        viewport(&title).with_inner_size(vec2(1100.0, 720.0)).with_min_inner_size(vec2(480.0, 320.0));
    let app: eframe::AppCreator<'_> =
        Box::new(|creation| Ok(Box::new(PlayerApp::new(&creation.egui_ctx, parts)?)));
    eframe::run_native(APP_ID, options(viewport), app)
}

fn viewport(title: &str) -> ViewportBuilder {
    let builder = ViewportBuilder::default().with_title(title).with_app_id(APP_ID);
    match icon() {
        Some(icon) => builder.with_icon(Arc::new(icon)),
        None => builder,
    }
}

fn options(viewport: ViewportBuilder) -> NativeOptions {
    let mut options = NativeOptions {
        viewport,
        renderer: Renderer::Glow,
        // Its noise would change the remote picture's pixels.
        dithering: false,
        // In a session they are the host's; elsewhere `clipboard` handles them.
        clipboard_shortcuts: false,
        ..NativeOptions::default()
    };
    // A frame must not wait for the monitor: the newest picture goes out at once.
    options.glow_options.vsync = false;
    options
}

/// The picture in title bars and task lists.
fn icon() -> Option<IconData> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(ICON_PNG)).read_info().ok()?;
    let mut rgba = vec![0; reader.output_buffer_size()?];
    let info = reader.next_frame(&mut rgba).ok()?;
    let is_rgba = info.color_type == png::ColorType::Rgba && info.bit_depth == png::BitDepth::Eight;
    is_rgba.then_some(IconData { rgba, width: info.width, height: info.height })
}

const ICON_PNG: &[u8] = include_bytes!("../../../assets/icon-256.png");
