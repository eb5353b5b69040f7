//! The one injector that all visits of a host share.

use std::sync::{Arc, Mutex};

use tagio_wire::input::InputEvent;

use super::inject::{InjectError, InjectorHandle, Rejected, spawn_injector};

const LOCK: &str = "no task panics while it holds the hands";

/// Opened when a viewer that may control is let in; opened again when the screen comes back. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hands(Arc<Mutex<Option<InjectorHandle>>>);

impl Hands {
    /// Hands that have touched nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the screen for input, and tells whether that worked. On a thread of its own: a system may ask its
    /// user, and take its time.
    pub async fn open(&self) -> bool {
        let hands = self.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let mut injector = hands.0.lock().expect(LOCK);
            if injector.is_none() {
                *injector = Some(spawn_injector()?);
            }
            Ok::<(), InjectError>(())
        });
        match opened.await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "viewers can only look");
                false
            }
            Err(_) => false,
        }
    }

    /// Does what a viewer did. Blocks for no longer than opening the screen again takes.
    ///
    /// # Errors
    /// There is no screen to control.
    pub fn inject(&self, event: InputEvent) -> Result<(), InjectError> {
        let mut injector = self.0.lock().expect(LOCK);
        if injector.is_none() {
            *injector = Some(spawn_injector()?);
        }
        match injector.as_ref().map_or(Ok(()), |injector| injector.try_send(event)) {
            Ok(()) => Ok(()),
            Err(rejected) => {
                // Its thread still does what waits, and so lets go of what is held.
                *injector = None;
                Err(match rejected {
                    Rejected::Overrun => InjectError::Lost("it does not take input fast enough".to_owned()),
                    Rejected::Ended => InjectError::Lost("it takes no more input".to_owned()),
                })
            }
        }
    }

    /// Waits until everything is done. For the end of the program: keys must not stay down.
    pub fn finish(&self) {
        if let Some(injector) = self.0.lock().expect(LOCK).take() {
            injector.finish();
        }
    }
}
