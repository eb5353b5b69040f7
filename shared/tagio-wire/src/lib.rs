//! The vocabulary of TagIO: identities, messages and their bytes.
//!
//! Pure: no clock, no socket, no thread. Everything that crosses a boundary between two programs is
//! spelled here once, so that host, viewer and relay cannot disagree about it. `docs/PROTOCOL.md` is the
//! same in prose.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod carrier;
pub mod codec;
pub mod control;
pub mod geometry;
pub mod identity;
pub mod input;
pub mod leg;
pub mod limits;
pub mod nat;
pub mod picture;
pub mod port;
pub mod session;
pub mod trunk;
pub mod tunnel;

pub use codec::{DecodeError, decode, encode};
pub use geometry::{Point, Rect, Size};
pub use identity::{Fingerprint, IdError, KeyError, PeerId, PublicKey};
