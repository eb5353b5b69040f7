//! What the client keeps in its data folder: settings, known peers and its own key.

mod device_key;
mod known_peers;
mod known_relays;
mod settings;
mod target;
mod tunnels;

pub use device_key::{DEVICE_KEY_BYTES, DeviceKey};
pub use known_peers::{KnownHost, KnownPeers, KnownViewer};
pub use known_relays::{pin_relay_key, pinned_relay_key};
pub use settings::{
    FPS_MAX, PortChoice, QualityChoice, ReachChoice, SCALE_PERCENT, Settings, ThemeChoice, VideoChoice,
    default_own_name, is_proxy,
};
pub use target::{HostPort, RelayAddress, Target, TargetError};
pub use tunnels::{SavedTunnel, TUNNEL_NAME_BYTES_MAX, TUNNELS_MAX, Token};

/// The relay that serves everybody who did not choose another one.
pub const DEFAULT_RELAY: &str = "tagio-server.onrender.com:443";
