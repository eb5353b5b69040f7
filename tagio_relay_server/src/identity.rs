//! The relay's own key pair: made once, kept in the data directory.

use std::{fs, io, path::Path};

use anyhow::{Context, Result, anyhow};
use snow::{
    params::DHChoice,
    resolvers::{CryptoResolver, DefaultResolver},
};
use tagio_wire::PublicKey;
use zeroize::Zeroizing;

/// Its name in the data directory: 32 bytes, the private half.
const FILE: &str = "relay.key";

/// Both halves.
pub(crate) struct RelayKey {
    private: Zeroizing<[u8; 32]>,
    public: PublicKey,
}

impl RelayKey {
    /// The key in `dir`; a new one if there is none.
    pub(crate) fn load(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let shown = path.display();
        let private = match fs::read(&path).map(Zeroizing::new) {
            Ok(bytes) => {
                let bytes = <[u8; 32]>::try_from(bytes.as_slice());
                let hint = format!("{shown} is no key; restore it, or remove it to get a new identity");
                Zeroizing::new(bytes.map_err(|_| anyhow!(hint))?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let private = Zeroizing::new(rand::random::<[u8; 32]>());
                tagio_process::write_private(&path, private.as_slice())
                    .with_context(|| format!("cannot write {shown}"))?;
                private
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
        };
        let public = public_half(&private)?;
        Ok(Self { private, public })
    }

    pub(crate) fn private(&self) -> &[u8; 32] {
        &self.private
    }

    pub(crate) fn public(&self) -> PublicKey {
        self.public
    }
}

fn public_half(private: &[u8; 32]) -> Result<PublicKey> {
    let mut dh = DefaultResolver.resolve_dh(&DHChoice::Curve25519).context("snow lacks X25519")?;
    dh.set(private);
    Ok(PublicKey(dh.pubkey().try_into().context("an X25519 key has 32 bytes")?))
}
