//! Not a test: which pairs of NATs meet directly, and how soon. `scripts/nat-matrix.sh` runs it.
//!
//! `TRIALS` for each pair (1), `PAIRS="port:sym linux:symseq"` (all 105), `LIMIT` in seconds for each trial (15),
//! `JOBS` side by side (2), each with displays of its own and a new laboratory, relay, host and viewer for each trial.
#![cfg(target_os = "linux")]

use std::{
    collections::BTreeMap,
    env, fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    str::FromStr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use tagio_testkit::{
    Lab, NatLab,
    nat_lab::{Kind, Meeting, Trial},
};

/// Nine of ten are what counts as "meets directly".
const OFTEN: (usize, usize) = (9, 10);

type Pair = (Kind, Kind);

/// All trials of all pairs; `None` is a trial that broke down.
type Results = BTreeMap<Pair, Vec<Option<Trial>>>;

/// A setting, or what holds without it.
fn setting<T: FromStr<Err: fmt::Debug>>(name: &str, otherwise: T) -> T {
    env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e:?}")))
}

fn chosen_pairs() -> Vec<Pair> {
    let Ok(text) = env::var("PAIRS") else { return Kind::pairs().collect() };
    let kind = |name: &str| name.parse().unwrap_or_else(|error| panic!("PAIRS: {error}"));
    let pair = |text: &str| {
        let (a, b) = text.split_once(':').unwrap_or_else(|| panic!("PAIRS: `{text}` is no pair, as a:b is"));
        (kind(a), kind(b))
    };
    text.split_whitespace().map(pair).collect()
}

/// The middle one, and the one that 19 of 20 do not exceed; milliseconds.
fn quantiles(times: impl Iterator<Item = Duration>) -> Option<(u128, u128)> {
    let mut ms: Vec<u128> = times.map(|time| time.as_millis()).collect();
    ms.sort_unstable();
    let last = ms.len().checked_sub(1)?;
    Some((ms[last / 2], ms[last * 19 / 20]))
}

/// `9/10 612 · 305`: direct in nine of ten trials; medians until then, and until the first picture.
fn cell(trials: &[Option<Trial>]) -> String {
    let times =
        |of: fn(&Trial) -> Option<Duration>| trials.iter().flatten().filter_map(of).collect::<Vec<_>>();
    let (direct, pictures) = (times(|trial| trial.direct), times(|trial| trial.first_frame));
    let median = |times: &[Duration]| {
        quantiles(times.iter().copied()).map_or_else(|| "-".into(), |(ms, _)| ms.to_string())
    };
    let mut cell = format!("{}/{} {} · {}", direct.len(), trials.len(), median(&direct), median(&pictures));
    if pictures.len() < trials.len() {
        cell += &format!(" ({} without a picture)", trials.len() - pictures.len());
    }
    cell
}

/// All kinds against all, the viewer's in rows.
fn print_matrix(results: &Results) {
    let row = |cells: Vec<String>| println!("| {} |", cells.join(" | "));
    row(["".to_owned()].into_iter().chain(Kind::ALL.map(|kind| kind.to_string())).collect());
    println!("|{}", "---|".repeat(Kind::ALL.len() + 1));
    for a in Kind::ALL {
        let cells = Kind::ALL.map(|b| results.get(&(a, b)).map_or_else(String::new, |trials| cell(trials)));
        row([a.to_string()].into_iter().chain(cells).collect());
    }
}

fn print_list(results: &Results) {
    println!("| viewer | host | direct, until then · until the first picture (ms) |\n|---|---|---|");
    for ((a, b), trials) in results {
        println!("| {a} | {b} | {} |", cell(trials));
    }
}

fn print_summary(results: &Results) {
    let trials = || results.values().flatten();
    let connected = trials().flatten().filter(|trial| trial.first_frame.is_some()).count();
    let is_often = |trials: &&Vec<Option<Trial>>| {
        let direct = trials.iter().flatten().filter(|trial| trial.direct.is_some()).count();
        direct * OFTEN.1 >= trials.len() * OFTEN.0
    };
    println!("\nWith a picture: {connected} of {} trials.", trials().count());
    let often = results.values().filter(is_often).count();
    println!("Direct in at least nine of ten trials: {often} of {} pairs.", results.len());
    let first_frames = trials().flatten().filter_map(|trial| trial.first_frame);
    if let Some((median, p95)) = quantiles(first_frames) {
        println!("Until the first picture: median {median} ms, 95 % within {p95} ms.");
    }
    let upgrades =
        trials().flatten().filter_map(|trial| Some(trial.direct?.saturating_sub(trial.first_frame?)));
    if let Some((median, p95)) = quantiles(upgrades) {
        println!("From the first picture to the direct path: median {median} ms, 95 % within {p95} ms.");
    }
}

/// One trial in a laboratory of its own; `None`, with the reason on stderr, where it breaks down.
fn trial(lab: &Lab, (a, b): Pair, limit: Duration) -> Option<Trial> {
    let attempt = || {
        let nets = NatLab::new(a, b)?.with_distances();
        Some(Meeting::start(lab, &nets).trial(limit))
    };
    catch_unwind(AssertUnwindSafe(attempt)).ok().flatten()
}

#[test]
#[ignore = "a measurement that takes long: scripts/nat-matrix.sh"]
fn matrix() {
    let pairs = chosen_pairs();
    let limit = Duration::from_secs(setting("LIMIT", 15));
    let count = pairs.len() * setting("TRIALS", 1);
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Results::new()));
    let work = || {
        let Some(lab) = Lab::new() else { return };
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return;
            }
            let (a, b) = pairs[number % pairs.len()];
            let trial = trial(&lab, (a, b), limit);
            eprintln!("{}/{count} {a}:{b} {}", number + 1, cell(&[trial]));
            results.lock().unwrap_or_else(PoisonError::into_inner).entry((a, b)).or_default().push(trial);
        }
    };
    thread::scope(|scope| {
        for _ in 0..setting("JOBS", 2) {
            scope.spawn(work);
        }
    });
    let results = results.into_inner().expect("no worker panics while it counts");
    if env::var_os("PAIRS").is_some() {
        print_list(&results);
    } else {
        print_matrix(&results);
    }
    print_summary(&results);
}
