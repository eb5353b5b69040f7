//! Moving the pointer over all displays of Windows. Not by enigo, which measures by the primary display, and so
//! ends at its edges and now and then meets the pixel beside.
#![expect(unsafe_code, reason = "injecting is a foreign function")]

use std::mem;

use tagio_wire::Point;
use windows::Win32::UI::Input::KeyboardAndMouse::{
    INPUT, INPUT_0, INPUT_MOUSE, MOUSEEVENTF_ABSOLUTE, MOUSEEVENTF_MOVE, MOUSEEVENTF_VIRTUALDESK, MOUSEINPUT,
    SendInput,
};

use super::{InjectError, aim::step_of};
use crate::host::capture::virtual_screen;

/// Moves it to a pixel of the picture, whose corner is that of all displays together.
pub(super) fn move_to(to: Point) -> Result<(), InjectError> {
    let size = virtual_screen().size;
    let mouse = MOUSEINPUT {
        dx: step_of(to.x, size.width),
        dy: step_of(to.y, size.height),
        dwFlags: MOUSEEVENTF_MOVE | MOUSEEVENTF_ABSOLUTE | MOUSEEVENTF_VIRTUALDESK,
        ..MOUSEINPUT::default()
    };
    let input = INPUT { r#type: INPUT_MOUSE, Anonymous: INPUT_0 { mi: mouse } };
    // SAFETY: the one input lives through the call, and its size is told.
    let taken = unsafe { SendInput(&[input], mem::size_of::<INPUT>() as i32) };
    if taken == 1 {
        return Ok(());
    }
    Err(InjectError::Refused(windows::core::Error::from_win32().to_string()))
}
