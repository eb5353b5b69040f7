//! Entry point of the desktop client: only reads the command line.
#![cfg_attr(windows, windows_subsystem = "windows")]

use std::process::ExitCode;

use tagio_gui::{cli::Cli, commands};

fn main() -> ExitCode {
    #[cfg(windows)]
    tagio_gui::windows_console::attach();
    commands::run(Cli::read())
}
