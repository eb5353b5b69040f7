//! One desktop duplication from its beginning to its end: what changed since the last look, and those pixels.
//! Runs on the picture thread.
#![expect(unsafe_code, reason = "Direct3D and DXGI are foreign functions")]

use std::{
    mem, slice,
    time::{Duration, Instant},
};

use tagio_media::{BYTES_PER_PIXEL, Framebuffer, Region};
use tagio_wire::{Rect, Size};
use thiserror::Error;
use windows::{
    Win32::{
        Foundation::{E_ACCESSDENIED, E_NOTIMPL, HMODULE, POINT, RECT},
        Graphics::{
            Direct3D::D3D_DRIVER_TYPE_UNKNOWN,
            Direct3D11::{
                D3D11_BOX, D3D11_CPU_ACCESS_READ, D3D11_CREATE_DEVICE_FLAG, D3D11_MAP_READ,
                D3D11_MAPPED_SUBRESOURCE, D3D11_SDK_VERSION, D3D11_TEXTURE2D_DESC, D3D11_USAGE_STAGING,
                D3D11CreateDevice, ID3D11Device, ID3D11DeviceContext, ID3D11Texture2D,
            },
            Dxgi::{
                Common::{
                    DXGI_FORMAT_B8G8R8A8_UNORM, DXGI_MODE_ROTATION_IDENTITY, DXGI_MODE_ROTATION_UNSPECIFIED,
                    DXGI_SAMPLE_DESC,
                },
                CreateDXGIFactory1, DXGI_ERROR_UNSUPPORTED, DXGI_ERROR_WAIT_TIMEOUT, DXGI_OUTDUPL_FRAME_INFO,
                DXGI_OUTDUPL_MOVE_RECT, IDXGIAdapter1, IDXGIFactory1, IDXGIOutput, IDXGIOutput1,
                IDXGIOutputDuplication,
            },
            Gdi::{HMONITOR, MONITOR_DEFAULTTOPRIMARY, MonitorFromPoint},
        },
    },
    core::Interface as _,
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

/// A running duplication of the primary monitor.
pub(super) struct Duplication {
    duplication: IDXGIOutputDuplication,
    context: ID3D11DeviceContext,
    /// What was seen of the screen, where the processor can read it.
    staging: ID3D11Texture2D,
    /// The staging texture holds all of the screen.
    is_filled: bool,
    size: Size,
}

impl Duplication {
    /// Begins to duplicate the primary monitor, by the graphics adapter that drives it.
    pub(super) fn open() -> Result<Self, DuplicationError> {
        let (adapter, output) = primary_output()?;
        let (device, context) = create_device(&adapter)?;
        let output: IDXGIOutput1 = output.cast()?;
        // SAFETY: the output belongs to the adapter on which the device was made.
        let duplication = unsafe { output.DuplicateOutput(&device) }?;
        // SAFETY: a getter that fills a structure of its own.
        let desc = unsafe { duplication.GetDesc() };
        if ![DXGI_MODE_ROTATION_IDENTITY, DXGI_MODE_ROTATION_UNSPECIFIED].contains(&desc.Rotation) {
            return Err(DuplicationError::Unfit("the screen is rotated".to_owned()));
        }
        let size = Size::new(desc.ModeDesc.Width, desc.ModeDesc.Height);
        let staging = create_staging(&device, size)?;
        Ok(Self { duplication, context, staging, is_filled: false, size })
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Copies what changed, or with `whole` everything, into `frame`, which has the size of the screen.
    pub(super) fn update(
        &mut self,
        frame: &mut Framebuffer,
        whole: bool,
    ) -> Result<Region, DuplicationError> {
        let changed = if self.is_filled {
            self.acquire(0)?.map_or_else(|| Ok(Region::new()), |picture| self.stage(&picture))?
        } else {
            let picture = self.first_picture()?;
            self.stage(&picture)?
        };
        self.is_filled = true;
        let region = if whole { Region::whole(self.size) } else { changed };
        if !region.is_empty() {
            self.read(&region, frame)?;
        }
        Ok(region)
    }

    /// What may come first is only the pointer's shape, with a picture that is black.
    fn first_picture(&self) -> Result<Acquired<'_>, DuplicationError> {
        let end = Instant::now() + FIRST_PICTURE_LIMIT;
        loop {
            if let Some(picture) = self.acquire(FIRST_PICTURE_WAIT_MS)?
                && picture.has_pixels()
            {
                return Ok(picture);
            }
            if Instant::now() >= end {
                return Err(DuplicationError::Lost("it gives no first picture".to_owned()));
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
        let changed = match self.is_filled {
            true => picture.changed(self.size)?,
            false => Region::whole(self.size),
        };
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

    /// Copies pixels of the staging texture to `frame`.
    fn read(&self, region: &Region, frame: &mut Framebuffer) -> Result<(), DuplicationError> {
        let mapped = Mapped::new(&self.context, &self.staging, self.size)?;
        for rect in region.rects() {
            let (from, until) = (rect.x as usize * BYTES_PER_PIXEL, rect.right() as usize * BYTES_PER_PIXEL);
            let rows = mapped.bytes().chunks(mapped.stride).skip(rect.y as usize);
            for (to, row) in frame.rows_mut(*rect).zip(rows) {
                to.copy_from_slice(&row[from..until]);
            }
        }
        Ok(())
    }
}

/// What the screen shows, until it is dropped: only then can it be asked for again.
struct Acquired<'a> {
    texture: ID3D11Texture2D,
    info: DXGI_OUTDUPL_FRAME_INFO,
    release: Release<'a>,
}

impl Acquired<'_> {
    /// Whether the screen's pixels changed, and not just its pointer.
    fn has_pixels(&self) -> bool {
        self.info.LastPresentTime != 0
    }

    /// The changed and moved rectangles, the latter where they went.
    fn changed(&self, size: Size) -> Result<Region, DuplicationError> {
        if !self.has_pixels() {
            return Ok(Region::new());
        }
        let mut region = Region::new();
        for rect in self.dirty_rects()? {
            region.add(rect_from_win(rect));
        }
        for moved in self.move_rects()? {
            region.add(rect_from_win(moved.DestinationRect));
        }
        region.clip(size);
        // Drivers of virtual screens exist that know only that something changed.
        Ok(if region.is_empty() { Region::whole(size) } else { region })
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

/// The staging texture's memory, while the processor looks at it.
struct Mapped<'a> {
    context: &'a ID3D11DeviceContext,
    texture: &'a ID3D11Texture2D,
    at: *const u8,
    len: usize,
    /// Bytes from row to row.
    stride: usize,
}

impl<'a> Mapped<'a> {
    fn new(
        context: &'a ID3D11DeviceContext,
        texture: &'a ID3D11Texture2D,
        size: Size,
    ) -> Result<Self, DuplicationError> {
        let mut map = D3D11_MAPPED_SUBRESOURCE::default();
        // SAFETY: a staging texture may be mapped for reading; this waits for the copies into it.
        unsafe { context.Map(texture, 0, D3D11_MAP_READ, 0, Some(&raw mut map)) }?;
        let stride = map.RowPitch as usize;
        let row_bytes = size.width as usize * BYTES_PER_PIXEL;
        // The last row need not be padded.
        let len = stride * (size.height as usize).saturating_sub(1) + row_bytes;
        Ok(Self { context, texture, at: map.pData.cast_const().cast(), len, stride })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the driver mapped rows of this stride for the texture's size, until `drop`.
        unsafe { slice::from_raw_parts(self.at, self.len) }
    }
}

impl Drop for Mapped<'_> {
    fn drop(&mut self) {
        // SAFETY: it is mapped, and the slices of it have ended with the borrow of `self`.
        unsafe { self.context.Unmap(self.texture, 0) };
    }
}

/// The adapter and its output that show the primary monitor.
fn primary_output() -> Result<(IDXGIAdapter1, IDXGIOutput), DuplicationError> {
    // SAFETY: takes a position by value.
    let primary = unsafe { MonitorFromPoint(POINT::default(), MONITOR_DEFAULTTOPRIMARY) };
    // SAFETY: a constructor without arguments.
    let factory: IDXGIFactory1 = unsafe { CreateDXGIFactory1() }?;
    // SAFETY: any index may be asked for; beyond the last one it is an error, which ends the list.
    let adapters = (0..).map_while(|index| unsafe { factory.EnumAdapters1(index) }.ok());
    adapters
        .flat_map(|adapter| outputs(&adapter).map(|output| (adapter.clone(), output)).collect::<Vec<_>>())
        .find(|(_, output)| monitor_of(output) == Some(primary))
        .ok_or_else(|| DuplicationError::Unfit("no graphics adapter shows the primary monitor".to_owned()))
}

fn outputs(adapter: &IDXGIAdapter1) -> impl Iterator<Item = IDXGIOutput> + '_ {
    // SAFETY: as for the adapters.
    (0..).map_while(|index| unsafe { adapter.EnumOutputs(index) }.ok())
}

fn monitor_of(output: &IDXGIOutput) -> Option<HMONITOR> {
    // SAFETY: a getter that fills a structure of its own.
    unsafe { output.GetDesc() }.ok().map(|desc| desc.Monitor)
}

fn create_device(adapter: &IDXGIAdapter1) -> Result<(ID3D11Device, ID3D11DeviceContext), DuplicationError> {
    let (mut device, mut context) = (None, None);
    // SAFETY: the places for the results live through the call. With an adapter, the kind is "unknown".
    unsafe {
        D3D11CreateDevice(
            adapter,
            D3D_DRIVER_TYPE_UNKNOWN,
            HMODULE::default(),
            D3D11_CREATE_DEVICE_FLAG(0),
            None,
            D3D11_SDK_VERSION,
            Some(&raw mut device),
            None,
            Some(&raw mut context),
        )
    }?;
    device.zip(context).ok_or_else(|| DuplicationError::Unfit("Direct3D gives no device".to_owned()))
}

fn create_staging(device: &ID3D11Device, size: Size) -> Result<ID3D11Texture2D, DuplicationError> {
    let desc = D3D11_TEXTURE2D_DESC {
        Width: size.width,
        Height: size.height,
        MipLevels: 1,
        ArraySize: 1,
        // Whatever the screen's own format is, duplication converts to this one.
        Format: DXGI_FORMAT_B8G8R8A8_UNORM,
        SampleDesc: DXGI_SAMPLE_DESC { Count: 1, Quality: 0 },
        Usage: D3D11_USAGE_STAGING,
        BindFlags: 0,
        CPUAccessFlags: D3D11_CPU_ACCESS_READ.0 as u32,
        MiscFlags: 0,
    };
    let mut texture = None;
    // SAFETY: the description and the place for the result live through the call.
    unsafe { device.CreateTexture2D(&raw const desc, None, Some(&raw mut texture)) }?;
    texture.ok_or_else(|| DuplicationError::Unfit("Direct3D gives no texture".to_owned()))
}

fn rect_from_win(rect: RECT) -> Rect {
    let [left, top, right, bottom] =
        [rect.left, rect.top, rect.right, rect.bottom].map(|side| u32::try_from(side).unwrap_or(0));
    Rect::new(left, top, right.saturating_sub(left), bottom.saturating_sub(top))
}
