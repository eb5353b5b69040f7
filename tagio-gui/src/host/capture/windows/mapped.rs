//! A texture of Direct3D in memory that the processor can read. Runs on the picture thread.
#![expect(unsafe_code, reason = "Direct3D is foreign functions")]

use std::slice;

use tagio_media::BYTES_PER_PIXEL;
use tagio_wire::Size;
use windows::{
    Win32::Graphics::{
        Direct3D11::{
            D3D11_CPU_ACCESS_READ, D3D11_MAP_READ, D3D11_MAPPED_SUBRESOURCE, D3D11_TEXTURE2D_DESC,
            D3D11_USAGE_STAGING, ID3D11Device, ID3D11DeviceContext, ID3D11Texture2D,
        },
        Dxgi::Common::{DXGI_FORMAT_B8G8R8A8_UNORM, DXGI_SAMPLE_DESC},
    },
    core::Error,
};

use super::super::rotation::Panel;

/// A texture that can be mapped for reading. `None` would break the promise of Direct3D.
pub(super) fn create_staging(device: &ID3D11Device, size: Size) -> Result<Option<ID3D11Texture2D>, Error> {
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
    Ok(texture)
}

/// The staging texture's memory, while the processor looks at it.
pub(super) struct Mapped<'a> {
    context: &'a ID3D11DeviceContext,
    texture: &'a ID3D11Texture2D,
    at: *const u8,
    len: usize,
    stride: usize,
}

impl<'a> Mapped<'a> {
    pub(super) fn new(
        context: &'a ID3D11DeviceContext,
        texture: &'a ID3D11Texture2D,
        size: Size,
    ) -> Result<Self, Error> {
        let mut map = D3D11_MAPPED_SUBRESOURCE::default();
        // SAFETY: a staging texture may be mapped for reading; this waits for the copies into it.
        unsafe { context.Map(texture, 0, D3D11_MAP_READ, 0, Some(&raw mut map)) }?;
        let stride = map.RowPitch as usize;
        let row_bytes = size.width as usize * BYTES_PER_PIXEL;
        // The last row need not be padded.
        let len = stride * (size.height as usize).saturating_sub(1) + row_bytes;
        Ok(Self { context, texture, at: map.pData.cast_const().cast(), len, stride })
    }

    pub(super) fn panel(&self) -> Panel<'_> {
        // SAFETY: the driver mapped rows of this stride for the texture's size, until `drop`.
        let bytes = unsafe { slice::from_raw_parts(self.at, self.len) };
        Panel { bytes, stride: self.stride }
    }
}

impl Drop for Mapped<'_> {
    fn drop(&mut self) {
        // SAFETY: it is mapped, and the slices of it have ended with the borrow of `self`.
        unsafe { self.context.Unmap(self.texture, 0) };
    }
}
