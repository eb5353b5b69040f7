//! What `client --stats` tells of a session, and what `--record` leaves of it.
#![cfg(target_os = "linux")]

use std::{fs, path::Path, time::Duration};

use serde_json::Value;
use tagio_testkit::{
    Cinema, Lab, Program,
    cinema::{all_figures, figures, has_video},
    eventually, ffprobe,
    lab::LIMIT,
    program::run,
};

const STAGES: [&str; 5] = ["capture", "encode", "network", "decode", "display"];

/// How long a film plays in front of a viewer or a recorder.
const SHOW: Duration = Duration::from_secs(5);
const BECOMES_VIDEO: Duration = Duration::from_secs(10);

fn number(figures: &Value, key: &str) -> f64 {
    figures[key].as_f64().unwrap_or_else(|| panic!("no number {key} in {figures}"))
}

fn latency(figures: &Value, stage: &str) -> (f64, f64) {
    let spread = &figures["latency_ms"][stage];
    (number(spread, "p50"), number(spread, "p95"))
}

#[test]
fn each_second_has_its_figures() {
    let Some(lab) = Lab::new() else { return };
    let mut cinema = Cinema::open(&lab);
    let viewer = cinema.viewer(&[]);
    assert!(cinema.play_until(BECOMES_VIDEO, || has_video(&viewer)), "{:?}", figures(&viewer));
    let before = all_figures(&viewer).len();
    cinema.play_for(SHOW);
    let during = all_figures(&viewer).split_off(before);
    assert!((3..=7).contains(&during.len()), "{} lines in {SHOW:?}", during.len());
    for figures in &during {
        for stage in STAGES {
            let (p50, p95) = latency(figures, stage);
            assert!(0.0 <= p50 && p50 <= p95, "{stage} of {figures}");
        }
        assert!(latency(figures, "encode").1 > 0.0 && latency(figures, "decode").1 > 0.0, "{figures}");
        assert!(number(figures, "fps") >= 1.0 && number(figures, "mbit_s") > 0.0, "{figures}");
        assert!(["direct", "relay"].contains(&figures["path"].as_str().unwrap_or_default()), "{figures}");
        assert!((0.0..=1.0).contains(&number(figures, "exact")), "{figures}");
    }
    assert!(during.windows(2).all(|pair| number(&pair[0], "t") < number(&pair[1], "t")), "{during:?}");
    assert!(during.iter().any(|figures| number(figures, "exact") < 1.0), "video is not exact: {during:?}");

    cinema.is_exact_within(LIMIT);
    let is_quiet = |figures: &Value| number(figures, "fps") == 0.0 && number(figures, "mbit_s") == 0.0;
    let rests = || figures(&viewer).filter(|now| number(now, "exact") == 1.0 && is_quiet(now));
    let rest = eventually(LIMIT, rests).unwrap_or_else(|| panic!("no rest: {:?}", figures(&viewer)));
    assert_eq!(rest["video"], false, "{rest}");
}

#[test]
fn no_more_pictures_a_second_come_than_were_wanted() {
    const FPS_MAX: f64 = 5.0;
    let Some(lab) = Lab::new() else { return };
    let mut cinema = Cinema::open(&lab);
    let viewer = cinema.viewer(&["--fps", "5"]);
    // The first second may hold the first picture too.
    cinema.play_for(Duration::from_secs(2));
    let before = all_figures(&viewer).len();
    cinema.play_for(SHOW);
    let during = all_figures(&viewer).split_off(before);
    let rates: Vec<f64> = during.iter().map(|figures| number(figures, "fps")).collect();
    println!("{rates:?} pictures a second, {FPS_MAX} wanted");
    assert!(rates.iter().all(|fps| *fps <= FPS_MAX + 1.0), "{rates:?}");
    assert!(rates.iter().any(|fps| *fps >= 1.0), "{rates:?}");
    cinema.is_exact_within(LIMIT);
}

/// What `play --info` says, by its words.
fn info(file: &Path) -> Vec<(String, String)> {
    let program = tagio_testkit::binaries::gui();
    let said =
        run(&program.to_string_lossy(), &["play", "--info", &file.to_string_lossy()]).expect("a recording");
    let pair = |line: &str| line.split_once(' ').map(|(word, rest)| (word.to_owned(), rest.to_owned()));
    said.lines().filter_map(pair).collect()
}

fn value<'a>(info: &'a [(String, String)], word: &str) -> &'a str {
    info.iter()
        .find(|(key, _)| key == word)
        .map_or_else(|| panic!("no {word} in {info:?}"), |(_, value)| value)
}

#[test]
fn a_recorded_session_can_be_played_by_us_and_by_others() {
    let Some(lab) = Lab::new() else { return };
    let mut cinema = Cinema::open(&lab);
    let file = lab.file("session.mp4");
    let mut viewer: Program = cinema.viewer(&["--record", &file.to_string_lossy()]);
    cinema.play_for(SHOW);
    viewer.terminate();
    let ended = viewer.wait_exit(LIMIT);
    assert!(ended.status.success(), "{ended:?}");

    let info = info(&file);
    println!("{info:?}, {} bytes", fs::metadata(&file).expect("a file").len());
    assert_eq!((value(&info, "size"), value(&info, "complete")), ("1280 800", "yes"));
    let seconds: f64 = value(&info, "duration").parse().expect("a number");
    assert!(seconds >= SHOW.as_secs_f64() * 0.8, "{seconds} s of {SHOW:?}");
    let frames: u32 = value(&info, "frames").parse().expect("a number");
    assert!(frames > 5, "{frames} frames");

    let entries = "stream=codec_name,width,height,nb_read_frames";
    let Some(said) = ffprobe(&file, entries) else { return };
    for line in ["codec_name=h264", "width=1280", "height=800", &format!("nb_read_frames={frames}")] {
        assert!(said.lines().any(|said| said == line), "{line} is missing in:\n{said}");
    }
}
