//! The console from which a program without a console window was started. Runs on the main thread, first of
//! all.
//!
//! A program of the subsystem "windows" opens no console on a double-click, and starts without one even where
//! somebody typed its name into one. Pipes and files that it was given stay what they are.
#![expect(unsafe_code, reason = "consoles are foreign functions")]

use std::{fs::OpenOptions, os::windows::io::IntoRawHandle as _};

use windows::{
    Win32::{
        Foundation::HANDLE,
        Storage::FileSystem::{FILE_TYPE_UNKNOWN, GetFileType},
        System::Console::{
            ATTACH_PARENT_PROCESS, AttachConsole, GetStdHandle, STD_ERROR_HANDLE, STD_HANDLE,
            STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, SetStdHandle,
        },
        UI::WindowsAndMessaging::{MB_ICONERROR, MB_OK, MessageBoxW},
    },
    core::{HSTRING, w},
};

/// The standard streams, and what a console calls its side of them.
const STREAMS: [(STD_HANDLE, &str); 3] =
    [(STD_INPUT_HANDLE, "CONIN$"), (STD_OUTPUT_HANDLE, "CONOUT$"), (STD_ERROR_HANDLE, "CONOUT$")];

/// Shows why the program cannot start, in a box of the system's, until it is closed.
pub fn show_error(text: &str) {
    // SAFETY: both strings live until the call returns, and end with a zero; there is no owner window.
    unsafe { MessageBoxW(None, &HSTRING::from(text), w!("TagIO"), MB_OK | MB_ICONERROR) };
}

/// Joins the console of the parent process, if it has one, for all streams that lead nowhere. Call it before
/// anything is written.
pub fn attach() {
    let given = STREAMS.map(|(stream, _)| usable(stream));
    // SAFETY: takes a number. Joining also lets Ctrl-C reach us, so it is done for piped output as well.
    if unsafe { AttachConsole(ATTACH_PARENT_PROCESS) }.is_err() {
        return;
    }
    for ((stream, device), given) in STREAMS.into_iter().zip(given) {
        // Joining may have replaced what was given.
        if let Some(handle) = given.or_else(|| open(device)) {
            // SAFETY: the handle is open and stays so. A refusal leaves the stream as mute as it was.
            let _ = unsafe { SetStdHandle(stream, handle) };
        }
    }
}

/// The handle of a stream that leads somewhere.
fn usable(stream: STD_HANDLE) -> Option<HANDLE> {
    // SAFETY: takes a number.
    let handle = unsafe { GetStdHandle(stream) }.ok().filter(|handle| !handle.is_invalid())?;
    // SAFETY: any handle may be asked about, also one that is not open: it is of unknown type.
    let leads_somewhere = unsafe { GetFileType(handle) } != FILE_TYPE_UNKNOWN;
    leads_somewhere.then_some(handle)
}

/// One side of the console, open until the process ends.
fn open(device: &str) -> Option<HANDLE> {
    let file = OpenOptions::new().read(true).write(true).open(device).ok()?;
    Some(HANDLE(file.into_raw_handle()))
}
