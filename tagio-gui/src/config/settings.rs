//! The settings on disk. Reading is tolerant: a bad value is a warning and keeps its default.

use std::{fs, io, ops::RangeInclusive, path::Path};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use tagio_process::write_private;
use tagio_session::ports::PortPolicy;
use tagio_transport::{CarrierChoice, FixedProxy, ProxySetting, ReachSettings};
use tagio_wire::{
    limits::PEER_NAME_BYTES_MAX,
    session::{Quality, VideoWish, ViewWish},
};

use super::{DEFAULT_RELAY, RelayAddress};

const FILE_NAME: &str = "settings.json";

/// Where a file goes that is no settings file at all, before a new one takes its place.
const BAD_FILE_NAME: &str = "settings.bad.json";

/// Sizes of the window's contents that can be chosen, in per cent.
pub const SCALE_PERCENT: RangeInclusive<u16> = 75..=300;

/// Most pictures a second that can be chosen; more is no limit.
pub const FPS_MAX: RangeInclusive<u8> = 1..=60;

/// What a new session's picture may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum QualityChoice {
    /// Exact text, video where much moves.
    #[default]
    Auto,
    /// Everything exact as soon as possible.
    Sharp,
    /// As many pictures a second as possible.
    Smooth,
    /// As few bytes as possible.
    Saver,
}

impl QualityChoice {
    /// As the wire has it: in colour and at full resolution.
    pub fn quality(self) -> Quality {
        match self {
            Self::Auto => Quality::Auto,
            Self::Sharp => Quality::Sharp,
            Self::Smooth => Quality::Smooth,
            Self::Saver => Quality::Saver { grey: false, half: false },
        }
    }
}

/// How a new session's video comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum VideoChoice {
    /// By H.264.
    #[default]
    H264,
    /// By JPEG only.
    Jpeg,
}

impl VideoChoice {
    /// As the wire has it.
    pub fn wish(self) -> VideoWish {
        match self {
            Self::H264 => VideoWish::H264,
            Self::Jpeg => VideoWish::Jpeg,
        }
    }
}

/// How to reach the relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReachChoice {
    /// By whatever answers first.
    #[default]
    Automatic,
    /// By TLS only.
    Tls,
    /// By WebSocket only.
    WebSocket,
    /// By HTTP requests only.
    Http,
}

impl ReachChoice {
    fn carriers(self) -> CarrierChoice {
        match self {
            Self::Automatic => CarrierChoice::Automatic,
            Self::Tls => CarrierChoice::Tls,
            Self::WebSocket => CarrierChoice::WebSocket,
            Self::Http => CarrierChoice::Http,
        }
    }
}

/// Which ports of this computer viewers may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PortChoice {
    /// None
    Off,
    /// Those that the user allows when asked
    #[default]
    Ask,
    /// This computer's own (localhost)
    Own,
    /// Everything that this computer reaches, other computers too
    Any,
}

impl PortChoice {
    /// As the host's rules have it.
    pub fn policy(self) -> PortPolicy {
        match self {
            Self::Off => PortPolicy::Off,
            Self::Ask => PortPolicy::Ask,
            Self::Own => PortPolicy::Own,
            Self::Any => PortPolicy::Any,
        }
    }
}

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThemeChoice {
    /// As the desktop is.
    #[default]
    System,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

/// Everything that the user can set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `HOST:PORT` with an optional `#KEY`; a valid [`RelayAddress`].
    pub relay: String,
    /// What the relay wants to be shown; empty when it wants nothing.
    pub relay_auth: String,
    /// How to reach the relay.
    pub reach: ReachChoice,
    /// The HTTP proxy before the relay, `HOST:PORT`; empty for what environment and system say.
    pub proxy: String,
    /// The proxy's name for the user; empty when it asks for none.
    pub proxy_user: String,
    /// The password that goes with it.
    pub proxy_password: String,
    /// What this computer calls itself.
    pub name: String,
    /// The unattended password as the engine stores it: never the password itself.
    pub password: Option<Vec<u8>>,
    /// Whether the user is asked before a viewer is let in.
    pub ask: bool,
    /// Whether a viewer that is let in without asking may control, or look only.
    pub control: bool,
    /// Which ports viewers may use; never [`PortChoice::Any`], which only a flag of `server` gives.
    pub ports: PortChoice,
    /// Whether this computer answers on its own network who knows its ID or key, and looks for others there, when the
    /// relay is out of reach.
    pub lan: bool,
    /// What a new session's picture may cost.
    pub quality: QualityChoice,
    /// Most pictures a second of a new session, within [`FPS_MAX`]; `None` is no limit.
    pub fps_max: Option<u8>,
    /// How a new session's video comes.
    pub video: VideoChoice,
    /// Light or dark.
    pub theme: ThemeChoice,
    /// Within [`SCALE_PERCENT`].
    pub scale_percent: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            relay: DEFAULT_RELAY.to_owned(),
            relay_auth: String::new(),
            reach: ReachChoice::Automatic,
            proxy: String::new(),
            proxy_user: String::new(),
            proxy_password: String::new(),
            name: default_own_name(),
            password: None,
            ask: true,
            control: true,
            ports: PortChoice::Ask,
            lan: true,
            quality: QualityChoice::Auto,
            fps_max: None,
            video: VideoChoice::H264,
            theme: ThemeChoice::System,
            scale_percent: 100,
        }
    }
}

impl Settings {
    /// Reads them. Each warning is a sentence; a missing file is no warning.
    pub fn load(data_dir: &Path) -> (Self, Vec<String>) {
        let path = data_dir.join(FILE_NAME);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (Self::default(), Vec::new()),
            Err(error) => return (Self::default(), vec![format!("cannot read {}: {error}", path.display())]),
        };
        match serde_json::from_str(&text) {
            Ok(Value::Object(values)) => Self::from_values(values),
            _ => {
                // Kept for whoever edited it by hand; failing to keep it is no reason not to start.
                let _ = fs::rename(&path, data_dir.join(BAD_FILE_NAME));
                (Self::default(), vec![format!("{FILE_NAME} is not JSON; it is kept as {BAD_FILE_NAME}")])
            }
        }
    }

    /// Replaces the file.
    pub fn save(&self, data_dir: &Path) -> Result<()> {
        let path = data_dir.join(FILE_NAME);
        let values = serde_json::json!({
            "relay": self.relay,
            "relay_auth": self.relay_auth,
            "reach": self.reach,
            "proxy": self.proxy,
            "proxy_user": self.proxy_user,
            "proxy_password": self.proxy_password,
            "name": self.name,
            "password": self.password.as_deref().map(|blob| BASE64.encode(blob)),
            "ask": self.ask,
            "control": self.control,
            "ports": self.ports,
            "lan": self.lan,
            "quality": self.quality,
            "fps_max": self.fps_max,
            "video": self.video,
            "theme": self.theme,
            "scale_percent": self.scale_percent,
        });
        let text = serde_json::to_vec_pretty(&values).context("cannot encode the settings")?;
        write_private(&path, &text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// By what a relay may be reached.
    pub fn reach(&self) -> ReachSettings {
        let proxy = match self.proxy.as_str() {
            "" => ProxySetting::System,
            address => ProxySetting::Fixed(FixedProxy {
                address: address.to_owned(),
                user: self.proxy_user.clone(),
                password: self.proxy_password.clone(),
            }),
        };
        ReachSettings { carriers: self.reach.carriers(), proxy }
    }

    /// The scale as a factor.
    pub fn zoom(&self) -> f32 {
        f32::from(self.scale_percent) / 100.0
    }

    /// What a new session asks of the picture.
    pub fn wish(&self) -> ViewWish {
        ViewWish {
            quality: self.quality.quality(),
            fps_max: self.fps_max,
            video: self.video.wish(),
            ..ViewWish::default()
        }
    }

    fn from_values(values: Map<String, Value>) -> (Self, Vec<String>) {
        let mut settings = Self::default();
        let mut values = Values { values, warnings: Vec::new() };
        values.take("relay", &mut settings.relay, |text: String| {
            text.parse::<RelayAddress>().is_ok().then_some(text)
        });
        values.take("relay_auth", &mut settings.relay_auth, Some);
        values.take("reach", &mut settings.reach, Some);
        values.take("proxy", &mut settings.proxy, |text: String| is_proxy(&text).then_some(text));
        values.take("proxy_user", &mut settings.proxy_user, Some);
        values.take("proxy_password", &mut settings.proxy_password, Some);
        values.take("name", &mut settings.name, |name: String| is_name(&name).then_some(name));
        values.take("password", &mut settings.password, |text: Option<String>| match text {
            Some(text) => BASE64.decode(text.as_bytes()).ok().map(Some),
            None => Some(None),
        });
        values.take("ask", &mut settings.ask, Some);
        values.take("control", &mut settings.control, Some);
        values.take("ports", &mut settings.ports, |ports| (ports != PortChoice::Any).then_some(ports));
        values.take("lan", &mut settings.lan, Some);
        values.take("quality", &mut settings.quality, Some);
        values.take("fps_max", &mut settings.fps_max, |fps: Option<u8>| {
            fps.is_none_or(|fps| FPS_MAX.contains(&fps)).then_some(fps)
        });
        values.take("video", &mut settings.video, Some);
        values.take("theme", &mut settings.theme, Some);
        values.take("scale_percent", &mut settings.scale_percent, |percent: u16| {
            SCALE_PERCENT.contains(&percent).then_some(percent)
        });
        (settings, values.into_warnings())
    }
}

/// Whether this is the address of a proxy, or none at all.
pub fn is_proxy(text: &str) -> bool {
    text.is_empty() || FixedProxy::is_address(text)
}

/// Whether a computer may call itself so.
fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= PEER_NAME_BYTES_MAX
}

/// `user@computer`, as far as the system knows them.
pub fn default_own_name() -> String {
    let user = ["USER", "USERNAME", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let computer = ["COMPUTERNAME", "HOSTNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok())
        .or_else(|| fs::read_to_string("/etc/hostname").ok())
        .map(|name| name.trim().to_owned());
    let parts: Vec<_> = [user, computer].into_iter().flatten().filter(|part| !part.is_empty()).collect();
    let name = parts.join("@");
    if is_name(&name) { name } else { "TagIO".to_owned() }
}

/// The keys of a file that are not read yet.
struct Values {
    values: Map<String, Value>,
    warnings: Vec<String>,
}

impl Values {
    /// Reads one key into `field` if it is there and `accept` likes it.
    fn take<T: DeserializeOwned, U>(
        &mut self,
        key: &str,
        field: &mut U,
        accept: impl FnOnce(T) -> Option<U>,
    ) {
        let Some(value) = self.values.remove(key) else { return };
        match serde_json::from_value(value).ok().and_then(accept) {
            Some(value) => *field = value,
            None => {
                self.warnings.push(format!("{FILE_NAME}: the value of \"{key}\" makes no sense; ignored"));
            }
        }
    }

    fn into_warnings(mut self) -> Vec<String> {
        let unknown = self.values.keys().map(|key| format!("{FILE_NAME}: \"{key}\" is not known; ignored"));
        self.warnings.extend(unknown);
        self.warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let saved = Settings {
            relay: "relay.example:443".to_owned(),
            relay_auth: "hush".to_owned(),
            reach: ReachChoice::WebSocket,
            proxy: "http://proxy.example:3128".to_owned(),
            proxy_user: "zoë".to_owned(),
            proxy_password: "open sesame".to_owned(),
            name: "Zoë's PC".to_owned(),
            password: Some(vec![0, 1, 255]),
            ask: false,
            control: false,
            ports: PortChoice::Own,
            lan: false,
            quality: QualityChoice::Saver,
            fps_max: Some(15),
            video: VideoChoice::Jpeg,
            theme: ThemeChoice::Dark,
            scale_percent: 150,
        };
        saved.save(dir.path()).unwrap();
        assert_eq!(Settings::load(dir.path()), (saved, Vec::new()));
    }

    #[test]
    fn a_bad_key_warns_and_keeps_its_default() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"relay": "nonsense", "scale_percent": 9, "ask": "yes", "theme": "dark", "sound": 1,
            "quality": "best", "fps_max": 61, "video": "Jpeg", "reach": "pigeon", "proxy": "socks5://proxy:1080", "ports": "any"}"#;
        fs::write(dir.path().join(FILE_NAME), text).unwrap();
        let (settings, warnings) = Settings::load(dir.path());
        assert_eq!(settings, Settings { theme: ThemeChoice::Dark, ..Settings::default() });
        assert_eq!(warnings.len(), 10, "{warnings:?}");
    }

    #[test]
    fn a_file_that_is_no_settings_file_is_kept_aside() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE_NAME), "{oops").unwrap();
        let (settings, warnings) = Settings::load(dir.path());
        assert_eq!(settings, Settings::default());
        assert_eq!(warnings.len(), 1);
        assert_eq!(fs::read_to_string(dir.path().join(BAD_FILE_NAME)).unwrap(), "{oops");
    }

    #[test]
    fn the_default_name_is_a_name() {
        assert!(is_name(&default_own_name()));
    }
}
