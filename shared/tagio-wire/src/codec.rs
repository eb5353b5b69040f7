//! Messages to bytes and back: bincode 2 behind one door, with a size limit on every decode.

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// Largest message that any decode accepts, in bytes: a cursor of the largest size. Pictures do not pass
/// here, only what describes them.
pub const MESSAGE_BYTES_MAX: usize = 272 * 1024;

/// Why bytes were not a message.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes do not spell a value of this type.
    #[error("malformed message")]
    Malformed,
    /// The value was read, and bytes were left over.
    #[error("{0} bytes after the end of the message")]
    Trailing(usize),
    /// More bytes than [`MESSAGE_BYTES_MAX`].
    #[error("message of {0} bytes is over the limit")]
    TooLong(usize),
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MESSAGE_BYTES_MAX>()
}

/// The bytes of `message`.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(message, bincode::config::standard())
        .expect("wire types hold nothing that bincode cannot write")
}

/// Reads exactly one message that fills `bytes`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(DecodeError::TooLong(bytes.len()));
    }
    let (message, used) =
        bincode::serde::decode_from_slice(bytes, config()).map_err(|_| DecodeError::Malformed)?;
    match bytes.len() - used {
        0 => Ok(message),
        left => Err(DecodeError::Trailing(left)),
    }
}
