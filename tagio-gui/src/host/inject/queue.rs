//! The thread `inject` and the handle in front of it, which is used from the engine and never blocks.

use std::{
    sync::{Arc, mpsc::sync_channel},
    thread::JoinHandle,
};

use tagio_process::spawn_named;
use tagio_wire::input::InputEvent;

use super::{InjectError, Injector, waiting::Waiting};

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
    waiting: Arc<Waiting>,
    thread: Option<JoinHandle<()>>,
}

impl InjectorHandle {
    /// Hands an event over. Pointer moves in a row that wait become one, the newest.
    pub fn try_send(&self, event: InputEvent) -> Result<(), Rejected> {
        self.waiting.push(event)
    }

    /// Waits until everything that waits is injected, and the thread has ended.
    pub fn finish(mut self) {
        self.waiting.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread inject panicked");
        }
    }
}

impl Drop for InjectorHandle {
    fn drop(&mut self) {
        self.waiting.close();
    }
}

/// Opens the screen of this session for input and starts the thread. Waits for the former, so that a screen
/// that cannot be controlled is known before a viewer is let in.
pub fn spawn_injector() -> Result<InjectorHandle, InjectError> {
    spawn_injector_on(None)
}

/// Like [`spawn_injector`], for the X11 display `name`.
pub fn spawn_injector_on(name: Option<&str>) -> Result<InjectorHandle, InjectError> {
    let waiting = Arc::new(Waiting::default());
    let queue = Abandoning(Arc::clone(&waiting));
    let (opened, outcome) = sync_channel(1);
    let name = name.map(str::to_owned);
    // Opened there: on some systems an injector belongs to the thread that made it.
    let thread = spawn_named("inject", move || match Injector::open_display(name.as_deref()) {
        Ok(injector) => {
            // The receiver waits below.
            let _ = opened.send(Ok(()));
            run(injector, &queue.0);
        }
        Err(error) => drop(opened.send(Err(error))),
    })
    .map_err(|error| InjectError::Unavailable(error.to_string()))?;
    let gone = |_| InjectError::Unavailable("the thread inject ended while it started".to_owned());
    outcome.recv().map_err(gone)??;
    Ok(InjectorHandle { waiting, thread: Some(thread) })
}

/// Tells the handle that the thread has ended, however it did.
struct Abandoning(Arc<Waiting>);

impl Drop for Abandoning {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// The thread's life: until the handle is dropped and the queue is empty, or the screen is gone.
fn run(mut injector: Injector, queue: &Waiting) {
    while let Some(event) = queue.pop() {
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
