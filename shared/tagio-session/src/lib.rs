//! What host and viewer of one session decide: who may come in, what is held down, when to send.
//!
//! Pure: no socket, no thread, no clock. Time comes in as an argument; randomness too, but for the key
//! material inside of Noise and OPAQUE. The engine of `tagio-gui` joins these parts to a connection.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod guard;
pub mod handshake;
mod identity;
pub mod input;
mod name;
mod opaque;
mod opaque_rng;
pub mod pacer;
mod phrase;
pub mod ports;
pub mod resume;
mod secret;

pub use identity::{Exporter, IdentityKey};
pub use name::sanitised;
pub use opaque::{SecretTooLong, StoredSecret, StoredSecretError};
pub use phrase::SafetyPhrase;
pub use secret::{OneTimeCode, PASSWORD_BYTES_MAX, PasswordError, Secret, check_password, classify};
