//! Where the displays of the desktop stand, by the window manager's word.
#![expect(unsafe_code, reason = "the window manager is foreign functions")]

use std::mem;

use tagio_wire::session::Monitor;
use windows::{
    Win32::{
        Foundation::{LPARAM, RECT},
        Graphics::Gdi::{EnumDisplayMonitors, GetMonitorInfoW, HDC, HMONITOR, MONITORINFO, MONITORINFOEXW},
        UI::WindowsAndMessaging::{
            GetSystemMetrics, MONITORINFOF_PRIMARY, SM_CXVIRTUALSCREEN, SM_CYVIRTUALSCREEN,
            SM_XVIRTUALSCREEN, SM_YVIRTUALSCREEN,
        },
    },
    core::BOOL,
};

use super::super::desktop::{Area, Placed, display_name, monitors_on};

/// The desktop as it was when somebody looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Desktop {
    /// All that is shown anywhere: the picture's place. Parts of it may be on no display.
    pub(super) screen: Area,
    displays: Vec<Placed>,
}

impl Desktop {
    /// Looks.
    pub(super) fn now() -> Self {
        Self { screen: virtual_screen(), displays: displays() }
    }

    /// Its displays within the picture.
    pub(super) fn monitors(&self) -> Vec<Monitor> {
        monitors_on(self.screen, &self.displays)
    }
}

/// The smallest rectangle around all displays in their own pixels, because the manifest says that we know about
/// scaling. The picture's origin is its corner.
pub(in crate::host) fn virtual_screen() -> Area {
    let indices = [SM_XVIRTUALSCREEN, SM_YVIRTUALSCREEN, SM_CXVIRTUALSCREEN, SM_CYVIRTUALSCREEN];
    // SAFETY: asks for a number.
    let [x, y, width, height] = indices.map(|index| unsafe { GetSystemMetrics(index) });
    Area::new(x, y, width.max(0) as u32, height.max(0) as u32).cut()
}

fn displays() -> Vec<Placed> {
    let mut found: Vec<HMONITOR> = Vec::new();
    let list = LPARAM((&raw mut found) as isize);
    // SAFETY: the list lives through the call, which is the only one to use it meanwhile.
    let listed = unsafe { EnumDisplayMonitors(None, None, Some(note_display), list) };
    if !listed.as_bool() {
        tracing::debug!("Windows does not list its displays");
    }
    found.into_iter().filter_map(placed).collect()
}

/// Adds a display to the list whose address came with the call.
unsafe extern "system" fn note_display(display: HMONITOR, _: HDC, _: *mut RECT, list: LPARAM) -> BOOL {
    let list = list.0 as *mut Vec<HMONITOR>;
    // SAFETY: `displays` gave the address of its list, and waits.
    unsafe { (*list).push(display) };
    true.into()
}

/// `None` when the display went away meanwhile.
fn placed(display: HMONITOR) -> Option<Placed> {
    let mut info = MONITORINFOEXW::default();
    info.monitorInfo.cbSize = mem::size_of::<MONITORINFOEXW>() as u32;
    // SAFETY: the structure begins with the smaller one, says its size and lives through the call.
    let told = unsafe { GetMonitorInfoW(display, (&raw mut info).cast::<MONITORINFO>()) };
    told.as_bool().then(|| {
        let device = String::from_utf16_lossy(&info.szDevice);
        Placed {
            name: display_name(device.trim_end_matches('\0')),
            area: area_from_win(info.monitorInfo.rcMonitor),
            is_primary: info.monitorInfo.dwFlags & MONITORINFOF_PRIMARY != 0,
        }
    })
}

/// A rectangle of the desktop.
pub(super) fn area_from_win(rect: RECT) -> Area {
    let RECT { left, top, right, bottom } = rect;
    let length = |from: i32, until: i32| u32::try_from(i64::from(until) - i64::from(from)).unwrap_or(0);
    Area::new(left, top, length(left, right), length(top, bottom))
}
