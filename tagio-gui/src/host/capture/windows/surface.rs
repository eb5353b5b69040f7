//! A picture in memory that GDI can draw to. Runs on the picture thread.
#![expect(unsafe_code, reason = "GDI is foreign functions")]

use std::{mem, ptr, slice};

use tagio_media::BYTES_PER_PIXEL;
use tagio_wire::{Point, Size};
use windows::{
    Win32::Graphics::Gdi::{
        BI_RGB, BITMAPINFO, BITMAPINFOHEADER, BitBlt, CAPTUREBLT, CreateCompatibleDC, CreateDIBSection,
        DIB_RGB_COLORS, DeleteDC, GdiFlush, GetDC, HBITMAP, HDC, HGDIOBJ, ReleaseDC, SRCCOPY, SelectObject,
    },
    core::{Error, Owned},
};

/// A picture of a part of the desktop, BGRX in rows without padding.
pub(super) struct Surface {
    context: MemoryContext,
    /// What the context draws on; `pixels` points into it.
    _bitmap: Owned<HBITMAP>,
    pixels: *mut u8,
    size: Size,
}

// SAFETY: GDI objects belong to the process and may be used by any thread, one at a time; `&mut self` and the
// lack of `Sync` see to that.
unsafe impl Send for Surface {}

impl Surface {
    /// A black picture.
    pub(super) fn new(size: Size) -> Result<Self, Error> {
        let screen = ScreenContext::new()?;
        let context = MemoryContext::new(&screen)?;
        let info = bitmap_info(size);
        let mut pixels = ptr::null_mut();
        // SAFETY: the description and the place for the address live through the call.
        let bitmap = unsafe {
            CreateDIBSection(Some(context.dc), &raw const info, DIB_RGB_COLORS, &raw mut pixels, None, 0)
        }?;
        // SAFETY: nobody else knows the new bitmap.
        let bitmap = unsafe { Owned::new(bitmap) };
        // SAFETY: both are alive; `MemoryContext` is declared before the bitmap and so is dropped first.
        let before = unsafe { SelectObject(context.dc, HGDIOBJ((*bitmap).0)) };
        if before.is_invalid() {
            return Err(Error::from_win32());
        }
        Ok(Self { context, _bitmap: bitmap, pixels: pixels.cast(), size })
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Makes it a picture of what the desktop shows from `origin` on.
    pub(super) fn copy_screen(&mut self, origin: Point) -> Result<(), Error> {
        // Anew each time: one context does not outlive a change of resolution.
        let screen = ScreenContext::new()?;
        let (width, height) = (self.size.width as i32, self.size.height as i32);
        // CAPTUREBLT: with windows that have transparency.
        let operation = SRCCOPY | CAPTUREBLT;
        let (to, from) = (self.context.dc, Some(screen.dc));
        // SAFETY: both contexts are alive.
        unsafe { BitBlt(to, 0, 0, width, height, from, origin.x, origin.y, operation) }?;
        // GDI may gather calls; the pixels are read behind its back.
        // SAFETY: takes nothing.
        unsafe { GdiFlush() }.ok()
    }

    /// All bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the section has 32 bits for each pixel, lives as long as `self`, and is written only by
        // `copy_screen`, which needs `&mut self` and flushes.
        unsafe { slice::from_raw_parts(self.pixels, self.size.area() as usize * BYTES_PER_PIXEL) }
    }
}

/// Describes 32-bit rows from the top, without padding.
pub(super) fn bitmap_info(size: Size) -> BITMAPINFO {
    let header = BITMAPINFOHEADER {
        biSize: mem::size_of::<BITMAPINFOHEADER>() as u32,
        biWidth: size.width as i32,
        // Negative: the top row comes first.
        biHeight: -(size.height as i32),
        biPlanes: 1,
        biBitCount: 8 * BYTES_PER_PIXEL as u16,
        biCompression: BI_RGB.0,
        ..Default::default()
    };
    BITMAPINFO { bmiHeader: header, ..Default::default() }
}

/// The way to the screen.
pub(super) struct ScreenContext {
    pub(super) dc: HDC,
}

impl ScreenContext {
    pub(super) fn new() -> Result<Self, Error> {
        // SAFETY: no window means the whole screen.
        let dc = unsafe { GetDC(None) };
        if dc.is_invalid() { Err(Error::from_win32()) } else { Ok(Self { dc }) }
    }
}

impl Drop for ScreenContext {
    fn drop(&mut self) {
        // SAFETY: it came from `GetDC` and is given back once, by the thread that got it.
        unsafe { ReleaseDC(None, self.dc) };
    }
}

/// The way to a picture in memory.
struct MemoryContext {
    dc: HDC,
}

impl MemoryContext {
    fn new(like: &ScreenContext) -> Result<Self, Error> {
        // SAFETY: `like` is alive.
        let dc = unsafe { CreateCompatibleDC(Some(like.dc)) };
        if dc.is_invalid() { Err(Error::from_win32()) } else { Ok(Self { dc }) }
    }
}

impl Drop for MemoryContext {
    fn drop(&mut self) {
        // SAFETY: it came from `CreateCompatibleDC` and is deleted once.
        let deleted = unsafe { DeleteDC(self.dc) };
        debug_assert!(deleted.as_bool(), "nobody else deletes it");
    }
}
