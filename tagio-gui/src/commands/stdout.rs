//! Lines for scripts, each written and flushed at once, by a thread of their own: who stops reading a pipe must
//! not stop a session.

use std::{
    io::Write as _,
    sync::{
        OnceLock,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use tagio_process::spawn_named;
use tagio_transport::PathKind;

/// Lines that wait. A reader that is further behind loses lines, and the log says so.
const LINES_MAX: usize = 512;
/// How long the last lines may take when the program ends.
const FLUSH_DEADLINE: Duration = Duration::from_secs(1);

enum Line {
    Text(String),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

static LINES: OnceLock<Option<SyncSender<Line>>> = OnceLock::new();

/// Writes a line.
pub(super) fn say(line: &str) {
    let lines = LINES.get_or_init(spawn);
    let sent = lines.as_ref().is_some_and(|lines| lines.try_send(Line::Text(line.to_owned())).is_ok());
    if !sent {
        tracing::warn!("a line for stdout was lost");
    }
}

/// Waits until all lines are written, but not for a reader that does not read.
pub(super) fn flush() {
    let Some(Some(lines)) = LINES.get() else { return };
    let (done, flushed) = sync_channel(1);
    if lines.try_send(Line::Flush(done)).is_ok() {
        // Time over: nobody reads.
        flushed.recv_timeout(FLUSH_DEADLINE).ok();
    }
}

/// The word of the contract for a path.
pub(super) fn word(path: PathKind) -> &'static str {
    match path {
        PathKind::Direct => "direct",
        PathKind::Relay => "relay",
    }
}

fn spawn() -> Option<SyncSender<Line>> {
    let (lines, queue) = sync_channel(LINES_MAX);
    match spawn_named("stdout", move || write(&queue)) {
        Ok(_) => Some(lines),
        Err(error) => {
            tracing::error!(%error, "no thread for stdout");
            None
        }
    }
}

fn write(queue: &Receiver<Line>) {
    for line in queue {
        match line {
            Line::Text(text) => {
                let mut out = std::io::stdout().lock();
                if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
                    tracing::debug!("nobody reads stdout");
                }
            }
            // Nobody waits for it any more when time was over.
            Line::Flush(done) => drop(done.send(())),
        }
    }
}
