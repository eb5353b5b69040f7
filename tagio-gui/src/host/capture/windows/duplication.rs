//! One display's duplication from its beginning to its end: what changed since the last look, and those pixels.
//! Runs on the picture thread.
#![expect(unsafe_code, reason = "Direct3D and DXGI are foreign functions")]

use std::{
    mem,
    time::{Duration, Instant},
};

use tagio_media::{Framebuffer, Region};
use tagio_wire::{Rect, Size};
use thiserror::Error;
use windows::{
    Win32::{
        Foundation::{E_ACCESSDENIED, E_NOTIMPL, RECT},
        Graphics::{
            Direct3D11::{
                D3D11_BOX, D3D11_TEXTURE2D_DESC, ID3D11Device, ID3D11DeviceContext, ID3D11Texture2D,
            },
            Dxgi::{
                DXGI_ERROR_UNSUPPORTED, DXGI_ERROR_WAIT_TIMEOUT, DXGI_OUTDUPL_FRAME_INFO,
                DXGI_OUTDUPL_MOVE_RECT, IDXGIOutput1, IDXGIOutputDuplication,
            },
        },
    },
    core::Interface as _,
};

use super::{
    super::{
        changed::{Edges, damage},
        rotation::Turned,
    },
    mapped::{Mapped, create_staging},
};

/// How long the first picture may take. A screen that shows nothing new hands one out within a refresh; one
/// that is asleep never does.
const FIRST_PICTURE_LIMIT: Duration = Duration::from_millis(500);

/// How long one wait for the first picture lasts.
const FIRST_PICTURE_WAIT_MS: u32 = 50;

/// Why the screen is not duplicated.
#[derive(Debug, Error)]
pub(super) enum DuplicationError {
    /// Windows shows its secure desktop, which belongs to nobody; goes by itself.
    #[error("Windows shows a prompt or its lock screen")]
    Denied,
    /// It ended or cannot begin now; begin anew.
    #[error("{0}")]
    Lost(String),
    /// It will not begin on this machine, or with this arrangement of screens.
    #[error("{0}")]
    Unfit(String),
}

impl From<windows::core::Error> for DuplicationError {
    fn from(error: windows::core::Error) -> Self {
        match error.code() {
            E_ACCESSDENIED => Self::Denied,
            DXGI_ERROR_UNSUPPORTED | E_NOTIMPL => {
                Self::Unfit(format!("the graphics driver does not offer it ({error})"))
            }
            _ => Self::Lost(error.to_string()),
        }
    }
}

/// A running duplication of one display.
pub(super) struct Duplication {
    duplication: IDXGIOutputDuplication,
    context: ID3D11DeviceContext,
    /// What was seen of the display, as its panel has it, where the processor can read it.
    staging: ID3D11Texture2D,
    /// The staging texture holds all of the display.
    is_filled: bool,
    /// The first picture was waited for.
    is_awaited: bool,
    turned: Turned,
}

impl Duplication {
    /// Begins to duplicate `output`, by a device of the adapter that drives it.
    pub(super) fn open(
        device: &ID3D11Device,
        context: &ID3D11DeviceContext,
        output: &IDXGIOutput1,
        turned: Turned,
    ) -> Result<Self, DuplicationError> {
        // SAFETY: the output belongs to the adapter on which the device was made.
        let duplication = unsafe { output.DuplicateOutput(device) }?;
        let staging = create_staging(device, turned.panel_size())?
            .ok_or_else(|| DuplicationError::Unfit("Direct3D gives no texture".to_owned()))?;
        let context = context.clone();
        Ok(Self { duplication, context, staging, is_filled: false, is_awaited: false, turned })
    }

    /// Where the display is in a frame.
    pub(super) fn place(&self) -> Rect {
        self.turned.place
    }

    /// Whether the display has ever shown anything.
    pub(super) fn is_filled(&self) -> bool {
        self.is_filled
    }

    /// Copies what changed, or with `whole` everything, to its place in `frame`, and tells where that is. Nothing
    /// as long as the display has no picture yet; only the first call waits for one.
    pub(super) fn update(
        &mut self,
        frame: &mut Framebuffer,
        whole: bool,
    ) -> Result<Region, DuplicationError> {
        let panel = self.turned.panel_size();
        let wait =
            if mem::replace(&mut self.is_awaited, true) { Duration::ZERO } else { FIRST_PICTURE_LIMIT };
        let changed = if self.is_filled {
            self.acquire(0)?.map_or_else(|| Ok(Region::new()), |picture| self.stage(&picture))?
        } else {
            let Some(picture) = self.first_picture(wait)? else { return Ok(Region::new()) };
            self.stage(&picture)?
        };
        self.is_filled = true;
        let region = if whole { Region::whole(panel) } else { changed };
        let mut shown = Region::new();
        if !region.is_empty() {
            let mapped = Mapped::new(&self.context, &self.staging, panel)?;
            for rect in region.rects() {
                self.turned.copy(&mapped.panel(), *rect, frame);
                shown.add(self.turned.in_frame(*rect));
            }
        }
        Ok(shown)
    }

    /// What may come first is only the pointer's shape, with a picture that is black.
    fn first_picture(&self, patience: Duration) -> Result<Option<Acquired<'_>>, DuplicationError> {
        let end = Instant::now() + patience;
        let wait_ms = if patience.is_zero() { 0 } else { FIRST_PICTURE_WAIT_MS };
        loop {
            if let Some(picture) = self.acquire(wait_ms)?
                && picture.has_pixels()
            {
                return Ok(Some(picture));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
        }
    }

    /// The news of the screen, if there are any.
    fn acquire(&self, wait_ms: u32) -> Result<Option<Acquired<'_>>, DuplicationError> {
        let mut info = DXGI_OUTDUPL_FRAME_INFO::default();
        let mut resource = None;
        // SAFETY: both places live through the call, and the picture before was released by `Acquired`.
        match unsafe { self.duplication.AcquireNextFrame(wait_ms, &raw mut info, &raw mut resource) } {
            Err(error) if error.code() == DXGI_ERROR_WAIT_TIMEOUT => return Ok(None),
            outcome => outcome?,
        }
        let release = Release(&self.duplication);
        let Some(resource) = resource else { return Ok(None) };
        Ok(Some(Acquired { texture: resource.cast()?, info, release }))
    }

    /// Copies the changed pixels of `picture` into the staging texture.
    fn stage(&self, picture: &Acquired<'_>) -> Result<Region, DuplicationError> {
        let panel = self.turned.panel_size();
        if picture.size() != panel {
            // Direct3D would copy nothing, and say nothing.
            return Err(DuplicationError::Lost("the resolution changes".to_owned()));
        }
        let changed = if self.is_filled { picture.changed(panel)? } else { Region::whole(panel) };
        for rect in changed.rects() {
            let (left, top, right, bottom) = (rect.x, rect.y, rect.right(), rect.bottom());
            let part = D3D11_BOX { left, top, front: 0, right, bottom, back: 1 };
            // SAFETY: both textures are of this device, have one size and format, and the part lies in them.
            unsafe {
                self.context.CopySubresourceRegion(
                    &self.staging,
                    0,
                    left,
                    top,
                    0,
                    &picture.texture,
                    0,
                    Some(&raw const part),
                );
            }
        }
        Ok(changed)
    }
}

/// What the screen shows, until it is dropped: only then can it be asked for again.
struct Acquired<'a> {
    texture: ID3D11Texture2D,
    info: DXGI_OUTDUPL_FRAME_INFO,
    release: Release<'a>,
}

impl Acquired<'_> {
    fn size(&self) -> Size {
        let mut desc = D3D11_TEXTURE2D_DESC::default();
        // SAFETY: a getter; the structure lives through the call.
        unsafe { self.texture.GetDesc(&raw mut desc) };
        Size::new(desc.Width, desc.Height)
    }

    /// Whether the screen's pixels changed, and not just its pointer.
    fn has_pixels(&self) -> bool {
        self.info.LastPresentTime != 0
    }

    /// The changed and moved rectangles, the latter where they went.
    fn changed(&self, size: Size) -> Result<Region, DuplicationError> {
        if !self.has_pixels() {
            return Ok(Region::new());
        }
        let moved = self.move_rects()?.into_iter().map(|moved| moved.DestinationRect);
        Ok(damage(moved.chain(self.dirty_rects()?).map(edges_from_win), size))
    }

    fn dirty_rects(&self) -> Result<Vec<RECT>, DuplicationError> {
        let mut rects = self.metadata_buffer::<RECT>();
        let mut bytes = mem::size_of_val(rects.as_slice()) as u32;
        // SAFETY: the buffer has the size that is told, and any bytes are valid numbers.
        unsafe { self.release.0.GetFrameDirtyRects(bytes, rects.as_mut_ptr(), &raw mut bytes) }?;
        rects.truncate(bytes as usize / size_of::<RECT>());
        Ok(rects)
    }

    fn move_rects(&self) -> Result<Vec<DXGI_OUTDUPL_MOVE_RECT>, DuplicationError> {
        let mut rects = self.metadata_buffer::<DXGI_OUTDUPL_MOVE_RECT>();
        let mut bytes = mem::size_of_val(rects.as_slice()) as u32;
        // SAFETY: the buffer has the size that is told, and any bytes are valid numbers.
        unsafe { self.release.0.GetFrameMoveRects(bytes, rects.as_mut_ptr(), &raw mut bytes) }?;
        rects.truncate(bytes as usize / size_of::<DXGI_OUTDUPL_MOVE_RECT>());
        Ok(rects)
    }

    /// Room for all the rectangles that there are, of both kinds; never none, so that it has an address.
    fn metadata_buffer<T: Clone + Default>(&self) -> Vec<T> {
        vec![T::default(); self.info.TotalMetadataBufferSize as usize / size_of::<T>() + 1]
    }
}

/// Gives an acquired picture back.
struct Release<'a>(&'a IDXGIOutputDuplication);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        // SAFETY: made once per acquired picture, so there is one to release.
        let released = unsafe { self.0.ReleaseFrame() };
        if let Err(error) = released {
            // The next acquisition fails with the same and is handled there.
            tracing::debug!("a picture of the screen was not released: {error}");
        }
    }
}

fn edges_from_win(rect: RECT) -> Edges {
    let RECT { left, top, right, bottom } = rect;
    Edges { left, top, right, bottom }
}
