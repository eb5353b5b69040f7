//! Why a router gave no mapping.

use std::io;

use thiserror::Error;

/// One question to a router was in vain. Nobody but the log reads it: without a mapping there are other ways.
#[derive(Debug, Error)]
pub(super) enum MappingError {
    /// No answer in time.
    #[error("no answer")]
    Silent,
    /// It answers, but in another version or without this service.
    #[error("not supported")]
    Unsupported,
    /// It says no: a result code of NAT-PMP or PCP.
    #[error("refused with code {0}")]
    Refused(u16),
    /// It says no, or something that is no answer, over UPnP.
    #[error("{0}")]
    Upnp(String),
    /// What it offers is an address that the Internet does not lead to, or no port at all.
    #[error("it offers an address that is not public")]
    NotPublic,
    /// It answers from outside of the local network.
    #[error("it is not in the local network")]
    Foreign,
    /// The system refused a socket.
    #[error("no socket: {0}")]
    Socket(#[from] io::Error),
}

/// Of a router's own words, more than this says nothing more.
const WORDS_MAX: usize = 120;

impl MappingError {
    /// An error of the UPnP library, which may quote a whole answer of the router.
    pub(super) fn upnp(error: impl ToString) -> Self {
        let text = error.to_string();
        Self::Upnp(text.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect())
    }
}
