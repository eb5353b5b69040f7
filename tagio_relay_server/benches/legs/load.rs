//! A closed loop: so much is under way at most, for so long, and what arrives is counted.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::Builder;

use crate::process::Process;

/// Before anything is counted.
const WARM_UP: Duration = Duration::from_millis(500);
const MEASURED: Duration = Duration::from_secs(4);
/// When nothing arrives for so long, what is under way is lost.
const LOST_AFTER: Duration = Duration::from_millis(50);

/// What was measured.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) gigabits_per_second: f64,
    pub(crate) cpu_seconds_per_gigabit: f64,
}

/// Bytes that have arrived, and whether that is enough.
#[derive(Default)]
pub(crate) struct Arrivals {
    bytes: AtomicU64,
    is_enough: AtomicBool,
}

impl Arrivals {
    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Sends by `send`, which says how many bytes it has sent, as long as less than `window` bytes are under way, while
/// `receive` counts; what `product` needs for it.
pub(crate) fn closed_loop<R: Future<Output = ()>>(
    product: &Process,
    window: u64,
    mut send: impl FnMut() -> usize + Send,
    receive: impl FnOnce(&'static Arrivals) -> R + Send,
) -> Figure {
    // For as long as the program runs: a few bytes a run.
    let arrivals: &'static Arrivals = Box::leak(Box::default());
    thread::scope(|threads| {
        threads.spawn(|| {
            let mut under_way = UnderWay { sent: 0, lost: 0, progress: (0, Instant::now()) };
            while !arrivals.is_enough.load(Ordering::Relaxed) {
                if under_way.bytes(arrivals.bytes()) < window {
                    under_way.sent += send() as u64;
                } else {
                    thread::yield_now();
                }
            }
        });
        threads.spawn(|| {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = receive(arrivals) => unreachable!("receivers go on"),
                    () = enough(arrivals) => {}
                }
            });
        });
        thread::sleep(WARM_UP);
        let before = (Instant::now(), arrivals.bytes(), product.cpu_seconds());
        thread::sleep(MEASURED);
        let (bytes, cpu) = (arrivals.bytes() - before.1, product.cpu_seconds() - before.2);
        let gigabits = bytes as f64 * 8.0 / 1e9;
        arrivals.is_enough.store(true, Ordering::Relaxed);
        Figure {
            gigabits_per_second: gigabits / before.0.elapsed().as_secs_f64(),
            cpu_seconds_per_gigabit: cpu / gigabits,
        }
    })
}

async fn enough(arrivals: &Arrivals) {
    while !arrivals.is_enough.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

struct UnderWay {
    sent: u64,
    lost: u64,
    /// What had arrived at the last look that saw something new, and when that was.
    progress: (u64, Instant),
}

impl UnderWay {
    fn bytes(&mut self, arrived: u64) -> u64 {
        if arrived != self.progress.0 {
            self.progress = (arrived, Instant::now());
        } else if self.progress.1.elapsed() > LOST_AFTER {
            self.lost = self.sent.saturating_sub(arrived);
            self.progress.1 = Instant::now();
        }
        self.sent.saturating_sub(arrived + self.lost)
    }
}
