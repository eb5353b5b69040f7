//! `client --screenshot`: one exact picture of the remote screen.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use tagio_media::{Framebuffer, Region};
use tokio::sync::{mpsc, watch};

use super::{
    client::{COMMANDS_QUEUE, EVENTS_QUEUE},
    failed,
};
use crate::{
    engine::{
        self,
        status::ViewerCommand,
        viewer::{self, ViewerConfig, ViewerEvent},
    },
    viewer::{canvas::Canvas, decode::Screen},
};

/// Nobody looks.
pub(super) struct NoScreen;

impl Screen for NoScreen {
    fn picture_changed(&self, _picture: &Framebuffer, _changed: &Region) {}
    fn cursor_changed(&self) {}
}

pub(super) fn run(config: ViewerConfig, file: &Path) -> anyhow::Result<()> {
    let runtime = engine::runtime().context("no runtime")?;
    runtime.block_on(take(config, file))
}

async fn take(config: ViewerConfig, file: &Path) -> anyhow::Result<()> {
    let canvas = Arc::new(Canvas::default());
    let (status, mut state) = watch::channel(viewer::initial_status());
    let (events_tx, mut events) = mpsc::channel(EVENTS_QUEUE);
    let (commands, commands_rx) = mpsc::channel(COMMANDS_QUEUE);
    let outlets = viewer::Outlets {
        status,
        events: events_tx,
        canvas: Arc::clone(&canvas),
        screen: Arc::new(NoScreen),
    };
    let session = viewer::run(config, commands_rx, outlets);
    tokio::pin!(session);
    let (mut has_picture, mut saved) = (false, false);
    loop {
        tokio::select! {
            ending = &mut session => {
                let ending = ending.context("no socket")?;
                return if saved { Ok(()) } else { Err(failed(&ending)) };
            }
            Some(event) = events.recv() => has_picture |= event == ViewerEvent::FirstFrame,
            Ok(()) = state.changed() => state.mark_unchanged(),
        }
        if has_picture && !saved && state.borrow().figures.exact_share >= 1.0 {
            let picture = canvas.lock().picture.clone();
            save(&picture, file)?;
            saved = true;
            commands.send(ViewerCommand::Leave).await.ok();
        }
    }
}

/// Writes a PNG, whole or not at all.
fn save(picture: &Framebuffer, file: &Path) -> anyhow::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    let written = encode(picture).and_then(|png| Ok(fs::write(&part, png)?));
    let written = written.and_then(|()| Ok(fs::rename(&part, file)?));
    if written.is_err() {
        fs::remove_file(&part).ok();
    }
    written.with_context(|| format!("cannot write {}; choose another place", file.display()))
}

fn encode(picture: &Framebuffer) -> anyhow::Result<Vec<u8>> {
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, picture.size().width, picture.size().height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&picture.to_rgb())?;
    writer.finish()?;
    Ok(png)
}
