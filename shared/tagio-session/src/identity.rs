//! The private key that *is* a device's identity, and the facts that tie a handshake to one session.

use std::fmt;

use snow::{
    params::DHChoice,
    resolvers::{CryptoResolver, DefaultResolver},
};
use tagio_wire::PublicKey;
use zeroize::Zeroizing;

/// Length of an X25519 key in bytes.
pub(crate) const KEY_LEN: usize = 32;

/// An X25519 private key.
#[derive(Clone)]
pub struct IdentityKey {
    private: Zeroizing<[u8; KEY_LEN]>,
    public: PublicKey,
}

impl IdentityKey {
    /// A new key from the randomness of the operating system.
    pub fn generate() -> Self {
        let mut dh = x25519();
        let mut rng = DefaultResolver.resolve_rng().expect("snow is built with its default resolver");
        dh.generate(rng.as_mut()).expect("the operating system hands out random bytes");
        let mut private = Zeroizing::new([0; KEY_LEN]);
        private.copy_from_slice(dh.privkey());
        Self::from_bytes(private)
    }

    /// The key with these bytes.
    pub fn from_bytes(private: Zeroizing<[u8; KEY_LEN]>) -> Self {
        let mut dh = x25519();
        dh.set(private.as_slice());
        let mut public = [0; KEY_LEN];
        public.copy_from_slice(dh.pubkey());
        Self { private, public: PublicKey(public) }
    }

    /// Its bytes, to be kept where only this user can read them.
    pub fn to_bytes(&self) -> Zeroizing<[u8; KEY_LEN]> {
        self.private.clone()
    }

    /// The public half.
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    pub(crate) fn private(&self) -> &[u8] {
        self.private.as_slice()
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityKey({:?})", self.public)
    }
}

fn x25519() -> Box<dyn snow::types::Dh> {
    DefaultResolver.resolve_dh(&DHChoice::Curve25519).expect("snow is built with its default resolver")
}

/// The TLS exporter of a session's connection: equal on both ends only if nobody sits between them.
pub type Exporter = [u8; 32];
