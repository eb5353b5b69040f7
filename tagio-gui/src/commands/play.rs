//! `play`: a window that plays a recording, or what is in the file without one.

use std::{fs::File, io::BufReader, path::Path};

use anyhow::Context as _;

use super::{Base, say};
use crate::{
    app::{self, PlayerParts},
    cli::PlayArgs,
    recording::mp4::{Index, Reader},
};

pub(super) fn run(base: &Base, args: &PlayArgs) -> anyhow::Result<()> {
    let reader = open(&args.file)?;
    if args.info {
        describe(reader.index());
        return Ok(());
    }
    let name = args.file.file_name().unwrap_or(args.file.as_os_str());
    let parts = PlayerParts {
        reader,
        title: name.to_string_lossy().into_owned(),
        theme: base.settings.theme,
        scale_percent: base.settings.scale_percent,
    };
    app::run_player(parts).map_err(|error| anyhow::anyhow!("no window: {error}"))
}

fn open(path: &Path) -> anyhow::Result<Reader<BufReader<File>>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    Reader::open(BufReader::new(file)).with_context(|| format!("cannot play {}", path.display()))
}

/// Lines for scripts.
fn describe(index: &Index) {
    let keys = index.samples.iter().filter(|sample| sample.is_key).count();
    say(&format!("size {} {}", index.size.width, index.size.height));
    say(&format!("duration {:.3}", index.duration().as_secs_f64()));
    say(&format!("frames {}", index.samples.len()));
    say(&format!("keyframes {keys}"));
    say(&format!("complete {}", if index.is_cut { "no" } else { "yes" }));
}
