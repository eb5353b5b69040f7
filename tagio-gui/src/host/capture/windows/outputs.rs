//! Every display that a graphics adapter drives, and the duplication of each. Runs on the picture thread.
#![expect(unsafe_code, reason = "Direct3D and DXGI are foreign functions")]

use windows::{
    Win32::{
        Foundation::HMODULE,
        Graphics::{
            Direct3D::D3D_DRIVER_TYPE_UNKNOWN,
            Direct3D11::{
                D3D11_CREATE_DEVICE_FLAG, D3D11_SDK_VERSION, D3D11CreateDevice, ID3D11Device,
                ID3D11DeviceContext,
            },
            Dxgi::{
                Common::{
                    DXGI_MODE_ROTATION, DXGI_MODE_ROTATION_ROTATE90, DXGI_MODE_ROTATION_ROTATE180,
                    DXGI_MODE_ROTATION_ROTATE270,
                },
                CreateDXGIFactory1, DXGI_OUTPUT_DESC, IDXGIAdapter1, IDXGIFactory1, IDXGIOutput,
            },
        },
    },
    core::Interface as _,
};

use super::{
    super::{
        desktop::Area,
        rotation::{Rotation, Turned},
    },
    displays::area_from_win,
    duplication::{Duplication, DuplicationError},
};

/// Begins to duplicate every display of `screen`, each by the graphics adapter that drives it.
pub(super) fn duplicate_all(screen: Area) -> Result<Vec<Duplication>, DuplicationError> {
    // SAFETY: a constructor without arguments.
    let factory: IDXGIFactory1 = unsafe { CreateDXGIFactory1() }?;
    let mut duplications = Vec::new();
    // SAFETY: any index may be asked for; beyond the last one it is an error, which ends the list.
    for adapter in (0..).map_while(|index| unsafe { factory.EnumAdapters1(index) }.ok()) {
        let shown: Vec<_> =
            outputs(&adapter).filter_map(|output| Some((turned(&output, screen)?, output))).collect();
        if shown.is_empty() {
            continue;
        }
        let (device, context) = create_device(&adapter)?;
        for (turned, output) in shown {
            duplications.push(Duplication::open(&device, &context, &output.cast()?, turned)?);
        }
    }
    if duplications.is_empty() {
        return Err(DuplicationError::Unfit("no graphics adapter shows the desktop".to_owned()));
    }
    Ok(duplications)
}

fn outputs(adapter: &IDXGIAdapter1) -> impl Iterator<Item = IDXGIOutput> + '_ {
    // SAFETY: as for the adapters.
    (0..).map_while(|index| unsafe { adapter.EnumOutputs(index) }.ok())
}

/// How an output lies on the screen. `None` if it does not, or only in part: then the screen changes right now.
fn turned(output: &IDXGIOutput, screen: Area) -> Option<Turned> {
    // SAFETY: a getter that fills a structure of its own.
    let desc: DXGI_OUTPUT_DESC = unsafe { output.GetDesc() }.ok()?;
    let area = area_from_win(desc.DesktopCoordinates);
    let place = area.on(screen).filter(|_| desc.AttachedToDesktop.as_bool())?;
    let is_whole = (place.width, place.height) == (area.size.width, area.size.height);
    is_whole.then(|| Turned { rotation: rotation_from_win(desc.Rotation), place })
}

fn rotation_from_win(rotation: DXGI_MODE_ROTATION) -> Rotation {
    match rotation {
        DXGI_MODE_ROTATION_ROTATE90 => Rotation::Quarter,
        DXGI_MODE_ROTATION_ROTATE180 => Rotation::Half,
        DXGI_MODE_ROTATION_ROTATE270 => Rotation::ThreeQuarters,
        _ => Rotation::None,
    }
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
