//! Logs on stderr: readable or JSON, one line each, panics included.

use std::{fmt, io, panic, str::FromStr, thread};

use tracing_subscriber::EnvFilter;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// For machines: one object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "pretty" => Ok(Self::Pretty),
            "json" => Ok(Self::Json),
            _ => Err("the log format is pretty or json"),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pretty => "pretty",
            Self::Json => "json",
        })
    }
}

/// Sends logs and panics to stderr. `RUST_LOG` wins over `verbose`. Only the first call in a process counts.
///
/// A program that people run and read passes `quiet`: its own words on stderr are enough until `verbose`
/// asks for more.
pub fn init_logging(format: LogFormat, verbose: u8, quiet: bool) {
    let directives = if quiet && verbose == 0 { "error" } else { directives(verbose) };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(directives));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let installed = match format {
        LogFormat::Pretty => {
            builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).with_target(verbose > 0).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if installed.is_ok() {
        log_panics();
    }
}

/// Our own crates share the prefix; the libraries below them speak up two levels later.
fn directives(verbose: u8) -> &'static str {
    match verbose {
        0 => "warn,tagio=info",
        1 => "warn,tagio=debug",
        2 => "info,tagio=trace",
        _ => "trace",
    }
}

/// A panic becomes an error line like any other; unwinding and exit status stay as they are.
fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let thread = thread::current();
        tracing::error!(
            thread = thread.name().unwrap_or("unnamed"),
            location = info.location().map(tracing::field::display),
            backtrace = backtrace().map(tracing::field::display),
            "panicked: {}; this is a bug in TagIO, please report it",
            info.payload_as_str().unwrap_or("no message")
        );
    }));
}

/// Only when `RUST_BACKTRACE` asks for it.
fn backtrace() -> Option<std::backtrace::Backtrace> {
    let trace = std::backtrace::Backtrace::capture();
    (trace.status() == std::backtrace::BacktraceStatus::Captured).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_written_as_they_are_read() {
        for format in [LogFormat::Pretty, LogFormat::Json] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("xml".parse::<LogFormat>().is_err());
    }

    #[test]
    fn every_level_of_verbosity_is_a_valid_filter() {
        for verbose in 0..5 {
            EnvFilter::try_new(directives(verbose)).expect("valid directives");
        }
    }

    /// Runs itself again as a child, because a panic hook and a log belong to a whole process.
    #[test]
    fn a_panic_is_one_json_line_and_the_exit_status_stays() {
        const NAME: &str = "logging::tests::a_panic_is_one_json_line_and_the_exit_status_stays";
        if std::env::var_os("TAGIO_PANIC_NOW").is_some() {
            init_logging(LogFormat::Json, 0, true);
            panic!("on purpose");
        }
        let me = std::env::current_exe().expect("this test's path");
        let child = std::process::Command::new(me)
            .args(["--exact", NAME, "--nocapture"])
            .env("TAGIO_PANIC_NOW", "1")
            .env_remove("RUST_LOG")
            .output()
            .expect("the child runs");
        let log = String::from_utf8_lossy(&child.stderr);
        let line = log
            .lines()
            .find(|line| line.contains("on purpose"))
            .unwrap_or_else(|| panic!("no line in {log}"));
        assert!(line.starts_with('{') && line.contains("\"ERROR\"") && line.contains("logging.rs"), "{line}");
        assert_eq!(child.status.code(), Some(101));
    }
}
