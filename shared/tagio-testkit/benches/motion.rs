//! How good a film looks while it moves: looks at a host's and a viewer's display and compares.
//!
//! Run by `scripts/bench.sh`: `cargo bench -p tagio-testkit --bench motion -- :HOST :VIEWER`, while deskbench's scene
//! `video` plays. A viewer shows a film some time later, so each picture seen there is held against all that the host
//! showed in the second before; the best fit counts. Prints one JSON object.

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::run()
}

#[cfg(not(target_os = "linux"))]
const fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        env, thread,
        time::{Duration, Instant},
    };

    use anyhow::{Context as _, Result};
    use tagio_testkit::{Picture, Screen, picture::Area};

    /// How long it looks.
    const TIME: Duration = Duration::from_secs(3);
    /// Often enough to see every picture of the host's at 60 a second.
    const HOST_INTERVAL: Duration = Duration::from_millis(6);
    const VIEWER_INTERVAL: Duration = Duration::from_millis(230);
    /// How far the viewer may be behind.
    const DELAY_MAX: Duration = Duration::from_secs(1);

    type Seen = Vec<(Instant, Picture)>;

    pub(super) fn run() -> Result<()> {
        let displays: Vec<String> = env::args().skip(1).filter(|arg| arg.starts_with(':')).collect();
        let [host, viewer] = displays.as_slice() else {
            // `cargo test --all-targets` runs this too.
            return Ok(());
        };
        let (host, viewer) = (Screen::open(host)?, Screen::open(viewer)?);
        // Where deskbench's film is.
        let film = Area { x: usize::from(host.size().0) / 2 + 20, y: 80, width: 640, height: 360 };
        let start = Instant::now();
        let shown = thread::spawn(move || watch(&host, film, start + DELAY_MAX + TIME, HOST_INTERVAL));
        thread::sleep(DELAY_MAX);
        let seen = watch(&viewer, film, start + DELAY_MAX + TIME, VIEWER_INTERVAL);
        let shown = shown.join().ok().context("the host's display is gone")?;
        let mut best: Vec<f64> =
            seen.iter().filter_map(|(at, picture)| best_fit(picture, *at, &shown)).collect();
        best.sort_by(f64::total_cmp);
        let median = best.get(best.len() / 2).context("the film does not move")?;
        println!(
            "{{\"psnr_db\":{{\"p50\":{median:.2},\"min\":{:.2}}},\"pictures\":{}}}",
            best[0],
            best.len()
        );
        Ok(())
    }

    /// Every new picture in this place until then.
    fn watch(screen: &Screen, area: Area, until: Instant, interval: Duration) -> Seen {
        let mut seen: Seen = Vec::new();
        while Instant::now() < until {
            let picture = screen.grab_area(area);
            if seen.last().is_none_or(|(_, last)| *last != picture) {
                seen.push((Instant::now(), picture));
            }
            thread::sleep(interval);
        }
        seen
    }

    /// The highest peak signal-to-noise ratio in dB to anything shown in the second before; 99 where one is the same.
    fn best_fit(picture: &Picture, at: Instant, shown: &Seen) -> Option<f64> {
        let recent = shown.iter().filter(|(time, _)| *time <= at && at.duration_since(*time) <= DELAY_MAX);
        recent.map(|(_, original)| psnr(picture, original)).max_by(f64::total_cmp)
    }

    fn psnr(picture: &Picture, original: &Picture) -> f64 {
        let values = picture.pixels.as_flattened().iter().zip(original.pixels.as_flattened());
        let squares: u64 = values.map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
        let mean = squares as f64 / (picture.pixels.len() * 3) as f64;
        if squares == 0 { 99.0 } else { 10.0 * (255.0 * 255.0 / mean).log10() }
    }
}
