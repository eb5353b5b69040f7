//! The secret key of this device: made once, kept for good, readable by its owner only.
//!
//! Only bytes here. The cryptography that uses them lives in `tagio-session`.

use std::{fs, io, path::Path};

use anyhow::{Context as _, Result, bail};
use tagio_process::write_private;
use zeroize::Zeroizing;

/// Length of the key.
pub const DEVICE_KEY_BYTES: usize = 32;

const FILE_NAME: &str = "device.key";

/// The key's bytes; wiped from memory when dropped.
#[derive(Clone)]
pub struct DeviceKey(pub Zeroizing<[u8; DEVICE_KEY_BYTES]>);

impl DeviceKey {
    /// Reads the key, or makes one if there is none yet. Never replaces a file that it cannot read: the key
    /// *is* this device's ID, and peers have pinned it.
    pub fn load_or_create(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join(FILE_NAME);
        match fs::read(&path) {
            Ok(bytes) => {
                let bytes = Zeroizing::new(bytes);
                let Ok(key) = <[u8; DEVICE_KEY_BYTES]>::try_from(bytes.as_slice()) else {
                    bail!("{} is damaged; restore it, or delete it to get a new ID", path.display());
                };
                Ok(Self(Zeroizing::new(key)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = Self(Zeroizing::new(rand::random()));
                write_private(&path, &*key.0).with_context(|| format!("cannot write {}", path.display()))?;
                Ok(key)
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let first = DeviceKey::load_or_create(dir.path()).unwrap();
        let second = DeviceKey::load_or_create(dir.path()).unwrap();
        assert_eq!(*first.0, *second.0);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(dir.path().join(FILE_NAME)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_key_is_an_error_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        fs::write(&path, b"short").unwrap();
        assert!(DeviceKey::load_or_create(dir.path()).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"short");
    }
}
