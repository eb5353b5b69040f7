//! Every display that a graphics adapter drives, and the duplication of each. Runs on the picture thread.
#![expect(unsafe_code, reason = "Direct3D and DXGI are foreign functions")]

use tagio_wire::Rect;
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
                CreateDXGIFactory1, DXGI_OUTPUT_DESC, IDXGIAdapter1, IDXGIFactory1, IDXGIOutput1,
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
    displays::{Desktop, area_from_win},
    duplication::{Duplication, DuplicationError},
};

/// Begins to duplicate every display of `desktop`, each by the graphics adapter that drives it. Fails if that
/// leaves a part of the desktop out.
pub(super) fn duplicate_all(desktop: &Desktop) -> Result<Vec<Duplication>, DuplicationError> {
    // Anew each time: a factory does not hear of adapters that come and go.
    // SAFETY: a constructor without arguments.
    let factory: IDXGIFactory1 = unsafe { CreateDXGIFactory1() }?;
    let mut duplications = Vec::new();
    // SAFETY: any index may be asked for; beyond the last one it is an error, which ends the list.
    for adapter in (0..).map_while(|index| unsafe { factory.EnumAdapters1(index) }.ok()) {
        let attached = attached_outputs(&adapter, desktop.screen)?;
        if attached.is_empty() {
            continue;
        }
        let (device, context) = create_device(&adapter)?;
        for (output, turned) in attached {
            duplications.push(Duplication::open(&device, &context, &output, turned)?);
        }
    }
    let is_seen = |rect| duplications.iter().any(|duplication| duplication.place() == rect);
    match desktop.monitors().into_iter().find(|monitor| !is_seen(monitor.rect)) {
        // Some displays on USB are like that; or the displays change right now.
        Some(unseen) => Err(DuplicationError::Lost(format!("no graphics adapter shows {}", unseen.name))),
        None if duplications.is_empty() => Err(DuplicationError::Lost("there is no display".to_owned())),
        None => Ok(duplications),
    }
}

/// The adapter's outputs that show a part of the desktop, and how they lie on its `screen`.
fn attached_outputs(
    adapter: &IDXGIAdapter1,
    screen: Area,
) -> Result<Vec<(IDXGIOutput1, Turned)>, DuplicationError> {
    let mut attached = Vec::new();
    // SAFETY: as for the adapters.
    for output in (0..).map_while(|index| unsafe { adapter.EnumOutputs(index) }.ok()) {
        // SAFETY: a getter that fills a structure of its own.
        let desc: DXGI_OUTPUT_DESC = unsafe { output.GetDesc() }?;
        if desc.AttachedToDesktop.as_bool() {
            attached.push((output.cast()?, turned(&desc, screen)?));
        }
    }
    Ok(attached)
}

/// How an output lies on the screen. An error if that is not all of it: then the displays change right now, or the
/// screen is larger than one may be.
fn turned(desc: &DXGI_OUTPUT_DESC, screen: Area) -> Result<Turned, DuplicationError> {
    let area = area_from_win(desc.DesktopCoordinates);
    let is_whole = |place: &Rect| (place.width, place.height) == (area.size.width, area.size.height);
    match area.on(screen).filter(is_whole) {
        Some(place) => Ok(Turned { rotation: rotation_from_win(desc.Rotation), place }),
        None => Err(DuplicationError::Lost("a display lies outside of the screen".to_owned())),
    }
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
