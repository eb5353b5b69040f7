//! When the system asks the server to stop or to read its configuration again.
//!
//! Both functions listen from the moment that they are called, so that a signal right after the server has
//! said that it serves is not lost.

use std::io;

/// Waits for the first Ctrl-C or, on Unix, SIGTERM.
#[cfg(unix)]
pub fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Waits for the first Ctrl-C or, on Unix, SIGTERM.
#[cfg(windows)]
pub fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    let mut close = tokio::signal::windows::ctrl_close()?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = close.recv() => {}
        }
    })
}

/// Calls `reload` at each SIGHUP, where there is such a thing. Ends never.
#[cfg(unix)]
pub fn reload_signal(mut reload: impl FnMut()) -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            reload();
        }
    })
}

/// Calls `reload` at each SIGHUP, where there is such a thing. Ends never.
#[cfg(windows)]
pub fn reload_signal(_reload: impl FnMut()) -> io::Result<impl Future<Output = ()>> {
    Ok(std::future::pending())
}
