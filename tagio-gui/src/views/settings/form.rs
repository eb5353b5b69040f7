//! What is typed into the settings screen, valid or not.

use tagio_wire::limits::PEER_NAME_BYTES_MAX;

use crate::{
    config::{
        PortChoice, QualityChoice, ReachChoice, RelayAddress, Settings, TargetError, ThemeChoice,
        VideoChoice, is_proxy,
    },
    views::words,
};

/// The fields of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in Settings")]
pub struct SettingsForm {
    pub relay: String,
    pub relay_auth: String,
    pub reach: ReachChoice,
    pub proxy: String,
    pub proxy_user: String,
    pub proxy_password: String,
    pub name: String,
    pub ask: bool,
    pub control: bool,
    pub ports: PortChoice,
    pub lan: bool,
    pub quality: QualityChoice,
    pub fps_max: Option<u8>,
    pub video: VideoChoice,
    pub theme: ThemeChoice,
    pub scale_percent: u16,
}

impl SettingsForm {
    /// The fields as saved.
    pub fn new(settings: &Settings) -> Self {
        Self {
            relay: settings.relay.clone(),
            relay_auth: settings.relay_auth.clone(),
            reach: settings.reach,
            proxy: settings.proxy.clone(),
            proxy_user: settings.proxy_user.clone(),
            proxy_password: settings.proxy_password.clone(),
            name: settings.name.clone(),
            ask: settings.ask,
            control: settings.control,
            ports: settings.ports,
            lan: settings.lan,
            quality: settings.quality,
            fps_max: settings.fps_max,
            video: settings.video,
            theme: settings.theme,
            scale_percent: settings.scale_percent,
        }
    }

    /// The settings that the fields describe, if all of them make sense.
    pub fn settings(&self, saved: &Settings) -> Option<Settings> {
        if self.name_problem().is_some() || self.proxy_problem().is_some() {
            return None;
        }
        let relay: RelayAddress = self.relay.parse().ok()?;
        Some(Settings {
            relay: relay.to_string(),
            relay_auth: self.relay_auth.trim().to_owned(),
            reach: self.reach,
            proxy: self.proxy.trim().to_owned(),
            proxy_user: self.proxy_user.trim().to_owned(),
            proxy_password: self.proxy_password.clone(),
            name: self.name.trim().to_owned(),
            password: saved.password.clone(),
            ask: self.ask,
            control: self.control,
            ports: self.ports,
            lan: self.lan,
            quality: self.quality,
            fps_max: self.fps_max,
            video: self.video,
            theme: self.theme,
            scale_percent: self.scale_percent,
        })
    }

    /// What is wrong with the name, as a sentence.
    pub fn name_problem(&self) -> Option<&'static str> {
        if self.name.trim().is_empty() {
            Some(words::NAME_EMPTY)
        } else if self.name.trim().len() > PEER_NAME_BYTES_MAX {
            Some(words::NAME_LONG)
        } else {
            None
        }
    }

    /// What is wrong with the proxy's address, as a sentence.
    pub fn proxy_problem(&self) -> Option<&'static str> {
        (!is_proxy(self.proxy.trim())).then_some(words::PROXY_SHAPE)
    }

    /// What is wrong with the relay's address, as a sentence.
    pub fn relay_problem(&self) -> Option<String> {
        match self.relay.parse::<RelayAddress>() {
            Ok(_) => None,
            Err(TargetError::Unknown) => Some(words::RELAY_SHAPE.to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }
}
