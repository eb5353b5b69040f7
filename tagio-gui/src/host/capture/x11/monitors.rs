//! Which monitors the screen is made of, by RANDR. Runs on the thread `x11-events`, so that the picture never
//! waits for it.

use x11rb::{
    NONE,
    errors::ReplyError,
    protocol::{
        randr::{self, ConnectionExt as _},
        xproto::ConnectionExt as _,
    },
};

use super::connect::{XScreen, has};
use crate::host::capture::desktop::{Area, Placed};

/// RANDR's first version that knows monitors, which need not be outputs.
const HAS_MONITORS: (u32, u32) = (1, 5);

/// RANDR's first version that tells of outputs without looking for new ones, which can take a second.
const HAS_CURRENT: (u32, u32) = (1, 3);

/// How this server tells of its monitors.
#[derive(Clone, Copy)]
pub(super) enum MonitorsBy {
    Monitors,
    Crtcs,
    /// It does not.
    Nothing,
}

impl MonitorsBy {
    /// Asks the server which RANDR it speaks.
    pub(super) fn negotiate(screen: &XScreen) -> Result<Self, ReplyError> {
        if !has(&screen.conn, randr::X11_EXTENSION_NAME) {
            return Ok(Self::Nothing);
        }
        let (major, minor) = HAS_MONITORS;
        let spoken = screen.conn.randr_query_version(major, minor)?.reply()?;
        Ok(match (spoken.major_version, spoken.minor_version) {
            version if version >= HAS_MONITORS => Self::Monitors,
            version if version >= HAS_CURRENT => Self::Crtcs,
            _ => Self::Nothing,
        })
    }

    /// The monitors of now; none where the server does not tell them apart.
    pub(super) fn ask(self, screen: &XScreen) -> Result<Vec<Placed>, ReplyError> {
        match self {
            Self::Monitors => by_monitors(screen),
            Self::Crtcs => by_crtcs(screen),
            Self::Nothing => Ok(Vec::new()),
        }
    }
}

fn by_monitors(screen: &XScreen) -> Result<Vec<Placed>, ReplyError> {
    let monitors = screen.conn.randr_get_monitors(screen.root, true)?.reply()?.monitors;
    let placed = monitors.iter().map(|monitor| {
        let name = screen.conn.get_atom_name(monitor.name)?.reply()?.name;
        Ok(Placed {
            name: String::from_utf8_lossy(&name).into_owned(),
            area: area((monitor.x, monitor.y), (monitor.width, monitor.height)),
            is_primary: monitor.primary,
        })
    });
    placed.collect()
}

fn by_crtcs(screen: &XScreen) -> Result<Vec<Placed>, ReplyError> {
    let resources = screen.conn.randr_get_screen_resources_current(screen.root)?.reply()?;
    let primary = screen.conn.randr_get_output_primary(screen.root)?.reply()?.output;
    let mut placed = Vec::new();
    for output in resources.outputs {
        let info = screen.conn.randr_get_output_info(output, resources.config_timestamp)?.reply()?;
        if info.crtc == NONE {
            continue;
        }
        let crtc = screen.conn.randr_get_crtc_info(info.crtc, resources.config_timestamp)?.reply()?;
        placed.push(Placed {
            name: String::from_utf8_lossy(&info.name).into_owned(),
            area: area((crtc.x, crtc.y), (crtc.width, crtc.height)),
            is_primary: output == primary,
        });
    }
    Ok(placed)
}

fn area((x, y): (i16, i16), (width, height): (u16, u16)) -> Area {
    Area::new(x.into(), y.into(), width.into(), height.into())
}
