//! Keys of relays that were used before: the first key seen is the one that counts from then on.

use std::{collections::BTreeMap, fs, io, path::Path};

use anyhow::{Context as _, Result};
use tagio_process::write_private;
use tagio_wire::PublicKey;

use super::HostPort;

const FILE_NAME: &str = "known_relays.json";

/// The key that the relay at `at` must show, if it was used before.
///
/// # Errors
/// The file cannot be read. It is not guessed at: without its pins a false relay would pass for the true one.
pub fn pinned_relay_key(data_dir: &Path, at: &HostPort) -> Result<Option<PublicKey>> {
    let relays = load(data_dir)?;
    let Some(key) = relays.get(&at.to_string()) else { return Ok(None) };
    Ok(Some(key.parse().with_context(|| damaged(data_dir))?))
}

/// Pins the key that the relay at `at` has just proved.
pub fn pin_relay_key(data_dir: &Path, at: &HostPort, key: PublicKey) -> Result<()> {
    let mut relays = load(data_dir)?;
    if relays.insert(at.to_string(), key.to_string()).as_deref() == Some(&key.to_string()) {
        return Ok(());
    }
    let text = serde_json::to_vec_pretty(&relays).context("cannot encode the known relays")?;
    let path = data_dir.join(FILE_NAME);
    write_private(&path, &text).with_context(|| format!("cannot write {}", path.display()))
}

fn load(data_dir: &Path) -> Result<BTreeMap<String, String>> {
    match fs::read_to_string(data_dir.join(FILE_NAME)) {
        Ok(text) => serde_json::from_str(&text).with_context(|| damaged(data_dir)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error).with_context(|| damaged(data_dir)),
    }
}

fn damaged(data_dir: &Path) -> String {
    format!(
        "{} cannot be read; restore it, or delete it to trust the relays anew",
        data_dir.join(FILE_NAME).display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_key_is_found_again_and_only_for_its_relay() {
        let dir = tempfile::tempdir().unwrap();
        let (here, there): (HostPort, HostPort) = ("r:1".parse().unwrap(), "r:2".parse().unwrap());
        assert_eq!(pinned_relay_key(dir.path(), &here).unwrap(), None);
        pin_relay_key(dir.path(), &here, PublicKey([5; 32])).unwrap();
        assert_eq!(pinned_relay_key(dir.path(), &here).unwrap(), Some(PublicKey([5; 32])));
        assert_eq!(pinned_relay_key(dir.path(), &there).unwrap(), None);
        fs::write(dir.path().join(FILE_NAME), "{").unwrap();
        assert!(pinned_relay_key(dir.path(), &here).is_err(), "a damaged file is no reason to trust anybody");
    }
}
