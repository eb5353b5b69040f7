//! A test that cannot run here says so, loudly.

use std::{
    env,
    io::{self, Write as _},
};

/// Reports that a test is left out, past the capture of the test runner.
///
/// # Panics
/// With `TAGIO_NO_SKIP` set, as on a machine where everything is meant to be installed.
pub fn skipped(reason: &str) {
    assert!(env::var_os("TAGIO_NO_SKIP").is_none(), "would be skipped: {reason}");
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Not `eprintln`, whose output of passing tests is swallowed. A closed stderr has nobody to tell.
    let _ = writeln!(io::stderr(), "SKIPPED {test}: {reason}");
}
