//! The thread `inject` and the queue in front of it. The handle is used from the engine and never blocks.

use std::{
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::JoinHandle,
};

use tagio_process::spawn_named;
use tagio_wire::input::InputEvent;

use super::{InjectError, Injector};

/// Most events that wait. A system takes thousands a second, so only one that hangs lets so many gather, and a
/// viewer's hands make fewer in the seconds that pass before its session is given up.
const QUEUE_EVENTS_MAX: usize = 256;

/// Why an event was not taken. The session should end: what comes next would meet a wrong state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// The system does not take events as fast as they come.
    Overrun,
    /// The screen is gone.
    Ended,
}

/// Where events go. When it is dropped the thread injects what waits, so that keys are released, and ends.
pub struct InjectorHandle {
    events: Option<SyncSender<InputEvent>>,
    thread: Option<JoinHandle<()>>,
}

impl InjectorHandle {
    /// Hands an event over. A pointer move is dropped when the queue is full: a newer one follows.
    pub fn try_send(&self, event: InputEvent) -> Result<(), Rejected> {
        let Some(events) = &self.events else { return Err(Rejected::Ended) };
        match events.try_send(event) {
            Ok(()) | Err(TrySendError::Full(InputEvent::Pointer(_))) => Ok(()),
            Err(TrySendError::Full(_)) => Err(Rejected::Overrun),
            Err(TrySendError::Disconnected(_)) => Err(Rejected::Ended),
        }
    }

    /// Waits until everything that waits is injected, and the thread has ended.
    pub fn finish(mut self) {
        self.events = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread inject panicked");
        }
    }
}

/// Opens the screen of this session for input and starts the thread. Waits for the former, so that a screen
/// that cannot be controlled is known before a viewer is let in.
pub fn spawn_injector() -> Result<InjectorHandle, InjectError> {
    spawn_injector_on(None)
}

/// Like [`spawn_injector`], for the X11 display `name`.
pub fn spawn_injector_on(name: Option<&str>) -> Result<InjectorHandle, InjectError> {
    let (events, queue) = sync_channel(QUEUE_EVENTS_MAX);
    let (opened, outcome) = sync_channel(1);
    let name = name.map(str::to_owned);
    // Opened there: on some systems an injector belongs to the thread that made it.
    let thread = spawn_named("inject", move || match Injector::open_display(name.as_deref()) {
        Ok(injector) => {
            // The receiver waits below.
            let _ = opened.send(Ok(()));
            run(injector, &queue);
        }
        Err(error) => drop(opened.send(Err(error))),
    })
    .map_err(|error| InjectError::Unavailable(error.to_string()))?;
    let gone = |_| InjectError::Unavailable("the thread inject ended while it started".to_owned());
    outcome.recv().map_err(gone)??;
    Ok(InjectorHandle { events: Some(events), thread: Some(thread) })
}

/// The thread's life: until the handle is dropped and the queue is empty, or the screen is gone.
fn run(mut injector: Injector, queue: &Receiver<InputEvent>) {
    for event in queue {
        match injector.inject(&event) {
            Ok(()) => {}
            // Not the event itself: it may be a password.
            Err(error) if error.is_passing() => tracing::debug!("{error}"),
            Err(error) => {
                tracing::warn!("{error}");
                return;
            }
        }
    }
}
