//! How good a film looks while it moves: the host's and the viewer's display, compared frame by frame.
//!
//! `cargo bench -p tagio-testkit --bench motion -- :HOST :VIEWER`, while deskbench's scene `video` plays; `scripts/bench.sh`
//! does that. The number that deskbench draws beside each frame says which ones belong together. Prints one JSON object.

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::run()
}

#[cfg(not(target_os = "linux"))]
const fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        collections::BTreeMap,
        env, thread,
        time::{Duration, Instant},
    };

    use anyhow::{Context as _, Result, ensure};
    use tagio_testkit::{Picture, Screen, picture::Area};

    /// How long it looks.
    const TIME: Duration = Duration::from_secs(4);
    /// Short against a frame at 60 a second.
    const INTERVAL: Duration = Duration::from_millis(2);
    /// A frame's number may be on the screen before the frame is, or the other way round.
    const COMPLETE_AFTER: Duration = Duration::from_millis(6);
    /// What two frames that are the same count as: a difference of one in one of a thousand values has less.
    const SAME_DB: f64 = 78.0;

    /// deskbench's number: as many bits, black or white blocks of this side, at the top left corner.
    const BITS: usize = 32;
    const BLOCK: usize = 16;

    pub(super) fn run() -> Result<()> {
        let displays: Vec<String> = env::args().skip(1).filter(|arg| arg.starts_with(':')).collect();
        let [host, viewer] = displays.as_slice() else {
            // `cargo test --all-targets` runs this too.
            return Ok(());
        };
        let (host, viewer) = (Screen::open(host)?, Screen::open(viewer)?);
        // Where deskbench's film is.
        let film = Area { x: usize::from(host.size().0) / 2 + 20, y: 80, width: 640, height: 360 };
        let until = Instant::now() + TIME;
        let drawn = thread::spawn(move || watch(&host, film, until));
        let seen = watch(&viewer, film, until);
        let drawn = drawn.join().ok().context("the host's display is gone")?;
        let pairs = seen.iter().filter_map(|(number, picture)| Some((picture, drawn.get(number)?)));
        let mut figures: Vec<f64> = pairs.map(|(picture, original)| psnr(picture, original)).collect();
        ensure!(
            !figures.is_empty(),
            "no frame was seen on both displays: {} and {}",
            drawn.len(),
            seen.len()
        );
        figures.sort_by(f64::total_cmp);
        let mean = figures.iter().sum::<f64>() / figures.len() as f64;
        let (median, worst) = (figures[figures.len() / 2], figures[0]);
        println!(
            "{{\"psnr_db\":{{\"mean\":{mean:.2},\"p50\":{median:.2},\"min\":{worst:.2}}},\"frames\":{}}}",
            figures.len()
        );
        Ok(())
    }

    /// What is in this place, by the number of the frame.
    fn watch(screen: &Screen, area: Area, until: Instant) -> BTreeMap<u32, Picture> {
        let mut seen = BTreeMap::new();
        while Instant::now() < until {
            if let Some(number) = frame_number(screen).filter(|number| !seen.contains_key(number)) {
                thread::sleep(COMPLETE_AFTER);
                let picture = screen.grab_area(area);
                if frame_number(screen) == Some(number) {
                    seen.insert(number, picture);
                }
            }
            thread::sleep(INTERVAL);
        }
        seen
    }

    /// The number on the screen; `None` where it is torn.
    fn frame_number(screen: &Screen) -> Option<u32> {
        let row = screen.grab_area(Area { x: 0, y: BLOCK / 2, width: BITS * BLOCK, height: 1 });
        let is_white = |block: &[[u8; 3]]| block[BLOCK / 2][1] >= 128;
        let code =
            row.pixels.chunks_exact(BLOCK).fold(0, |code, block| code << 1 | u32::from(is_white(block)));
        let (number, check) = (code >> 8, code as u8);
        ((number ^ number >> 8 ^ number >> 16) as u8 ^ 0x5a == check).then_some(number)
    }

    /// Peak signal-to-noise ratio in dB, over all three colours.
    fn psnr(picture: &Picture, original: &Picture) -> f64 {
        let values = picture.pixels.as_flattened().iter().zip(original.pixels.as_flattened());
        let squares: u64 = values.map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
        let mean = squares as f64 / (picture.pixels.len() * 3) as f64;
        if squares == 0 { SAME_DB } else { 10.0 * (255.0 * 255.0 / mean).log10() }
    }
}
