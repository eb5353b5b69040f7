//! `client --stats`: how the picture fares, one JSON object a line for scripts.

use std::time::Duration;

use serde::Serialize;

use super::stdout::word;
use crate::engine::status::{PathFigures, PathStats, Spread, ViewerStatus};

/// How often a line is written.
pub(super) const EVERY: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Stats {
    t: f64,
    fps: u32,
    mbit_s: f64,
    exact: f64,
    video: bool,
    path: Option<&'static str>,
    rtt_ms: Option<f64>,
    paths: Paths,
    latency_ms: Latency,
}

#[derive(Serialize)]
struct Paths {
    first_ms: Option<f64>,
    direct_ms: Option<f64>,
    switches: u32,
    all: Vec<OnePath>,
}

#[derive(Serialize)]
struct OnePath {
    path: &'static str,
    stands: bool,
    rtt_ms: f64,
    sent: u64,
    received: u64,
    lost: u64,
}

impl From<&PathStats> for Paths {
    fn from(stats: &PathStats) -> Self {
        let PathStats { first, direct, switches, paths } = stats;
        Self {
            first_ms: first.map(ms),
            direct_ms: direct.map(ms),
            switches: *switches,
            all: paths.iter().map(OnePath::from).collect(),
        }
    }
}

impl From<&PathFigures> for OnePath {
    fn from(figures: &PathFigures) -> Self {
        let PathFigures { kind, stands, rtt, sent, received, lost } = *figures;
        Self { path: word(kind), stands, rtt_ms: ms(rtt), sent, received, lost }
    }
}

#[derive(Serialize)]
struct Latency {
    capture: Ms,
    encode: Ms,
    network: Ms,
    decode: Ms,
    display: Ms,
}

#[derive(Serialize)]
struct Ms {
    p50: f64,
    p95: f64,
}

impl From<Spread> for Ms {
    fn from(spread: Spread) -> Self {
        Self { p50: ms(spread.p50), p95: ms(spread.p95) }
    }
}

/// The line, `time` after the program started.
///
/// # Errors
/// None that can happen: there are only numbers, words and nothing in it.
pub(super) fn line(time: Duration, status: &ViewerStatus) -> serde_json::Result<String> {
    let figures = &status.figures;
    serde_json::to_string(&Stats {
        t: thousandths(time.as_secs_f64()),
        fps: figures.fps,
        mbit_s: thousandths(f64::from(figures.megabits_per_second)),
        // Rounded down: 1.0 is a promise.
        exact: (f64::from(figures.exact_share) * 10_000.0).floor() / 10_000.0,
        video: figures.has_video,
        path: status.path.map(word),
        rtt_ms: status.rtt.map(ms),
        paths: Paths::from(&status.paths),
        latency_ms: Latency {
            capture: figures.capture.into(),
            encode: figures.encode.into(),
            network: figures.network.into(),
            decode: figures.decode.into(),
            display: figures.display.into(),
        },
    })
}

fn ms(duration: Duration) -> f64 {
    thousandths(duration.as_secs_f64() * 1000.0)
}

fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::{
        status::{Figures, PathKind},
        viewer::initial_status,
    };

    fn parsed(status: &ViewerStatus) -> serde_json::Value {
        serde_json::from_str(&line(Duration::from_millis(12_000), status).unwrap()).unwrap()
    }

    #[test]
    fn a_line_has_the_shape_that_is_promised() {
        let spread = |p50, p95| Spread { p50: Duration::from_micros(p50), p95: Duration::from_micros(p95) };
        let figures = Figures {
            capture: spread(300, 500),
            encode: spread(1200, 2500),
            network: spread(400, 700),
            decode: spread(150, 220),
            display: spread(90, 110),
            fps: 30,
            megabits_per_second: 1.25,
            exact_share: 1.0,
            has_video: false,
        };
        let rtt = Some(Duration::from_micros(400));
        let relay = PathFigures {
            kind: PathKind::Relay,
            stands: true,
            rtt: Duration::from_millis(61),
            sent: 90,
            received: 80,
            lost: 1,
        };
        let paths = PathStats {
            first: Some(Duration::from_millis(83)),
            direct: None,
            switches: 0,
            paths: vec![relay],
        };
        let status = ViewerStatus { figures, path: Some(PathKind::Direct), rtt, paths, ..initial_status() };
        let expected = json!({
            "t": 12.0, "fps": 30, "mbit_s": 1.25, "exact": 1.0, "video": false, "path": "direct", "rtt_ms": 0.4,
            "paths": {
                "first_ms": 83.0, "direct_ms": null, "switches": 0,
                "all": [{"path": "relay", "stands": true, "rtt_ms": 61.0, "sent": 90, "received": 80, "lost": 1}],
            },
            "latency_ms": {
                "capture": {"p50": 0.3, "p95": 0.5},
                "encode": {"p50": 1.2, "p95": 2.5},
                "network": {"p50": 0.4, "p95": 0.7},
                "decode": {"p50": 0.15, "p95": 0.22},
                "display": {"p50": 0.09, "p95": 0.11},
            },
        });
        assert_eq!(parsed(&status), expected);
    }

    #[test]
    fn nearly_exact_is_not_exact_and_no_path_is_null() {
        let figures = Figures { exact_share: 0.999_99, ..Figures::default() };
        let line = parsed(&ViewerStatus { figures, ..initial_status() });
        assert_eq!(line["exact"], json!(0.9999));
        assert_eq!((&line["path"], &line["rtt_ms"]), (&json!(null), &json!(null)));
    }
}
