//! The window's reverse tunnels on disk, with their tokens: a file that only its owner can read.

use std::{fs, io, path::Path};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use tagio_process::write_private;
use tagio_wire::tunnel::HOST_NAME_BYTES_MAX;
use zeroize::Zeroizing;

use super::RelayAddress;

const FILE_NAME: &str = "tunnels.json";

/// Where a file goes that cannot be read, before a new one takes its place.
const BAD_FILE_NAME: &str = "tunnels.bad.json";

/// More than anybody looks after in one window.
pub const TUNNELS_MAX: usize = 32;

/// Longest name that a person may give a tunnel, in bytes: one line of the page.
pub const TUNNEL_NAME_BYTES_MAX: usize = 64;

/// One tunnel as a person has set it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedTunnel {
    /// What it is called here.
    pub name: String,
    /// Name or address of the local service.
    pub local_host: String,
    /// Its port; never 0.
    pub local_port: u16,
    /// The relay's tunnel port, `HOST:PORT` with an optional `#KEY`; a valid [`RelayAddress`].
    pub server: String,
    /// What the relay asks for; empty when it asks for nothing.
    pub token: Token,
    /// The name by which visitors come; empty for what the relay gives.
    pub hostname: String,
    /// Whether it starts with TagIO.
    pub starts_itself: bool,
}

/// A token, which no log shows.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Token {
    /// To be shown to a relay; `None` where there is none.
    pub fn secret(&self) -> Option<Zeroizing<String>> {
        (!self.0.is_empty()).then(|| Zeroizing::new(self.0.clone()))
    }
}

impl SavedTunnel {
    /// Whether it can be what it says.
    pub fn is_sound(&self) -> bool {
        let name = self.name.trim();
        !name.is_empty()
            && name.len() <= TUNNEL_NAME_BYTES_MAX
            && !self.local_host.is_empty()
            && self.local_port != 0
            && self.hostname.len() <= HOST_NAME_BYTES_MAX
            && self.server.parse::<RelayAddress>().is_ok()
    }

    /// Reads all of them. Each warning is a sentence; a missing file is no warning.
    pub fn load(data_dir: &Path) -> (Vec<Self>, Vec<String>) {
        let path = data_dir.join(FILE_NAME);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (Vec::new(), Vec::new()),
            Err(error) => return (Vec::new(), vec![format!("cannot read {}: {error}", path.display())]),
        };
        let Ok(mut tunnels) = serde_json::from_slice::<Vec<Self>>(&text) else {
            // Kept for whoever edited it by hand; failing to keep it is no reason not to start.
            let _ = fs::rename(&path, data_dir.join(BAD_FILE_NAME));
            return (
                Vec::new(),
                vec![format!("{FILE_NAME} is not understood; it is kept as {BAD_FILE_NAME}")],
            );
        };
        let found = tunnels.len();
        tunnels.retain(Self::is_sound);
        tunnels.truncate(TUNNELS_MAX);
        let left_out = found - tunnels.len();
        let warning =
            (left_out > 0).then(|| format!("{FILE_NAME}: {left_out} tunnels make no sense; ignored"));
        (tunnels, warning.into_iter().collect())
    }

    /// Replaces the file.
    pub fn save(tunnels: &[Self], data_dir: &Path) -> Result<()> {
        let path = data_dir.join(FILE_NAME);
        let text = serde_json::to_vec_pretty(tunnels).context("cannot encode the tunnels")?;
        write_private(&path, &text).with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tunnel() -> SavedTunnel {
        SavedTunnel {
            name: "Shop".to_owned(),
            local_host: "127.0.0.1".to_owned(),
            local_port: 3000,
            server: "relay.example:8089".to_owned(),
            token: Token("open sesame".to_owned()),
            hostname: String::new(),
            starts_itself: true,
        }
    }

    #[test]
    fn what_is_saved_is_loaded_and_no_log_shows_its_token() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(SavedTunnel::load(dir.path()), (Vec::new(), Vec::new()));
        SavedTunnel::save(&[tunnel()], dir.path()).unwrap();
        assert_eq!(SavedTunnel::load(dir.path()), (vec![tunnel()], Vec::new()));
        assert!(!format!("{:?}", tunnel()).contains("sesame"));
    }

    #[test]
    fn nonsense_is_left_out_with_a_word() {
        let dir = tempfile::tempdir().unwrap();
        let nowhere = SavedTunnel { server: "nowhere".to_owned(), ..tunnel() };
        SavedTunnel::save(&[nowhere, tunnel()], dir.path()).unwrap();
        let (tunnels, warnings) = SavedTunnel::load(dir.path());
        assert_eq!((tunnels.len(), warnings.len()), (1, 1));
        fs::write(dir.path().join(FILE_NAME), "{oops").unwrap();
        assert_eq!(SavedTunnel::load(dir.path()).1.len(), 1);
        assert!(dir.path().join(BAD_FILE_NAME).exists());
    }
}
