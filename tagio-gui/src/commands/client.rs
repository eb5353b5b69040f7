//! `client`: a viewer's window, or a screenshot without one.

use std::{
    io::BufRead as _,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tagio_process::spawn_named;
use tagio_session::Secret;
use tagio_wire::session::{Permission, Quality, ViewWish};
use tokio::{
    sync::{mpsc, watch},
    time::MissedTickBehavior,
};
use zeroize::Zeroizing;

use super::{Base, failed, say, screenshot, stats, stdout::word, stop::Stop};
use crate::{
    app::{self, SessionParts, ViewerHandle, Wake},
    cli::ClientArgs,
    engine::{
        self,
        status::{Ending, ViewerCommand, ViewerPhase, ViewerStatus},
        viewer::{self, RecordTo, ViewerConfig, ViewerEvent},
    },
    viewer::{canvas::Canvas, surface::Surface},
};

/// Events that wait to be printed.
pub(super) const EVENTS_QUEUE: usize = 256;
/// Commands that wait for the engine: a burst of key presses; the window keeps what does not fit.
pub(super) const COMMANDS_QUEUE: usize = 256;
/// Between two frames of a window that is asked to show its first picture.
const FRAME: Duration = Duration::from_millis(4);
/// How long the engine may take to say goodbye once the window is closed.
const GOODBYE: Duration = Duration::from_secs(3);

pub(super) fn run(base: Base, args: ClientArgs) -> anyhow::Result<()> {
    let start = Instant::now();
    let secret = read_secret(args.password.as_deref(), args.password_stdin)?;
    let wish = args.picture.wish(&base.settings);
    // Settings and links must not make a screenshot less than exact.
    let exact_wish = ViewWish { area: wish.area, quality: Quality::Sharp, ..ViewWish::default() };
    let config = ViewerConfig {
        relay: base.registration()?,
        lan: base.settings.lan,
        name: base.settings.name.clone(),
        target: args.target.clone(),
        secret: secret.map(|text| Secret::from_typed(&text)),
        wants: if args.view_only || args.screenshot.is_some() {
            Permission::View
        } else {
            Permission::Control
        },
        forwards: Vec::new(),
        wish: if args.screenshot.is_some() { exact_wish } else { wish },
        record: args.record.map(|file| file.map_or(RecordTo::NewFile, RecordTo::File)),
        interactive: args.screenshot.is_none(),
        identity: base.identity,
        data_dir: base.data_dir,
    };
    if let Some(file) = args.screenshot {
        return screenshot::run(config, &file);
    }
    let canvas = Arc::new(Canvas::default());
    let wake = Wake::default();
    let surface = Surface::new(Arc::clone(&canvas), wake.clone());
    let (status_tx, status) = watch::channel(viewer::initial_status());
    let (commands, commands_rx) = mpsc::channel(COMMANDS_QUEUE);
    let title = args.target.spaced();
    let said = Said { start, has_stats: args.stats };
    let outlets = EngineOutlets { status: status_tx, canvas: Arc::clone(&canvas), surface: surface.clone() };
    let engine = Engine::spawn(config, commands_rx, outlets, wake.clone(), said)?;
    let parts = SessionParts {
        viewer: ViewerHandle { status, commands, picture: canvas, wake },
        title,
        full_screen: args.fullscreen,
        theme: base.settings.theme,
        scale_percent: base.settings.scale_percent,
        painter: Box::new(move |creation, input| surface.painter(creation, input)),
    };
    app::run_session(parts).map_err(|error| anyhow::anyhow!("no window: {error}"))?;
    engine.join()
}

/// The secret of the flags, or of the first line of stdin.
pub(super) fn read_secret(
    password: Option<&str>,
    from_stdin: bool,
) -> anyhow::Result<Option<Zeroizing<String>>> {
    if !from_stdin {
        return Ok(password.map(|password| Zeroizing::new(password.to_owned())));
    }
    let mut line = Zeroizing::new(String::new());
    std::io::stdin().lock().read_line(&mut line).context("cannot read the password from standard input")?;
    Ok(Some(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned())))
}

/// What scripts are told on stdout.
#[derive(Clone, Copy)]
struct Said {
    /// Of the program.
    start: Instant,
    /// A line a second on how the picture fares.
    has_stats: bool,
}

/// Where the engine's news go.
struct EngineOutlets {
    status: watch::Sender<ViewerStatus>,
    canvas: Arc<Canvas>,
    surface: Surface,
}

/// The thread that runs the session, while the main thread runs the window.
struct Engine {
    ending: std::sync::mpsc::Receiver<anyhow::Result<Ending>>,
}

impl Engine {
    fn spawn(
        config: ViewerConfig,
        commands: mpsc::Receiver<ViewerCommand>,
        outlets: EngineOutlets,
        wake: Wake,
        said: Said,
    ) -> anyhow::Result<Self> {
        let (ending_tx, ending) = std::sync::mpsc::sync_channel(1);
        spawn_named("engine", move || {
            let ending = engine::runtime()
                .context("no runtime")
                .and_then(|runtime| runtime.block_on(drive(config, commands, outlets, wake, said)));
            // Nobody waits for it when the window was killed.
            ending_tx.send(ending).ok();
        })?;
        Ok(Self { ending })
    }

    /// Waits for the goodbye. A session that failed is a failure of the program, also when its user saw why.
    fn join(self) -> anyhow::Result<()> {
        let ending = self.ending.recv_timeout(GOODBYE).context("the session did not end in time")??;
        if ending.is_failure() { Err(failed(&ending)) } else { Ok(()) }
    }
}

async fn drive(
    config: ViewerConfig,
    commands: mpsc::Receiver<ViewerCommand>,
    outlets: EngineOutlets,
    wake: Wake,
    said: Said,
) -> anyhow::Result<Ending> {
    let (events_tx, mut events) = mpsc::channel(EVENTS_QUEUE);
    let mut status = outlets.status.subscribe();
    let outlets = viewer::Outlets {
        status: outlets.status,
        events: events_tx,
        canvas: outlets.canvas,
        screen: Arc::new(outlets.surface),
    };
    let canvas = Arc::clone(&outlets.canvas);
    let session = viewer::run(config, commands, outlets);
    tokio::pin!(session);
    let mut stop = Stop::listen()?;
    let mut stats_due = tokio::time::interval(stats::EVERY);
    stats_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut awaits_screen, mut is_shown) = (false, false);
    let ending = loop {
        tokio::select! {
            ending = &mut session => break ending.context("no socket")?,
            Some(event) = events.recv() => match event {
                // Decoded; scripts want to know when it is on the screen.
                ViewerEvent::FirstFrame => awaits_screen = !is_shown,
                other => print(other, said.start),
            },
            () = canvas.shown() => {
                (awaits_screen, is_shown) = (false, true);
                print(ViewerEvent::FirstFrame, said.start);
            }
            () = tokio::time::sleep(FRAME), if awaits_screen => wake.wake(),
            Ok(()) = status.changed() => {
                status.mark_unchanged();
                wake.wake();
            }
            _ = stats_due.tick(), if said.has_stats => print_stats(&status.borrow(), said.start),
            () = stop.asked() => wake.close(),
        }
    };
    while let Ok(event) = events.try_recv() {
        print(event, said.start);
    }
    Ok(ending)
}

/// Prints what happens, with the time since the program started.
pub(super) fn print(event: ViewerEvent, start: Instant) {
    let ms = start.elapsed().as_millis();
    match event {
        ViewerEvent::Connected(path) => say(&format!("connected {} {ms}", word(path))),
        ViewerEvent::FirstFrame => say(&format!("first-frame {ms}")),
        ViewerEvent::Path(path) => say(&format!("path {}", word(path))),
        ViewerEvent::Closed(reason) => say(&format!("closed {reason}")),
    }
}

/// Prints how the picture fares, while there is one that is live.
fn print_stats(status: &ViewerStatus, start: Instant) {
    if !matches!(status.phase, ViewerPhase::Live) {
        return;
    }
    match stats::line(start.elapsed(), status) {
        Ok(line) => say(&line),
        Err(error) => tracing::error!(%error, "no line of figures"),
    }
}
