//! Threads that can be told apart in `top -H`, in a debugger and in the log.

use std::{io, thread};

/// Starts a thread with a name. Linux shows the first 15 bytes of it.
pub fn spawn_named<T, F>(name: &str, run: F) -> io::Result<thread::JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    thread::Builder::new().name(name.to_owned()).spawn(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_knows_its_name() {
        let handle = spawn_named("net-v4", || thread::current().name().map(str::to_owned)).expect("a thread");
        assert_eq!(handle.join().expect("no panic").as_deref(), Some("net-v4"));
    }
}
