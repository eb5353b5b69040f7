//! Memory shared with the X server (MIT-SHM), so that pixels do not travel through the socket.
//! Belongs to whichever thread uses the connection it was made on.

use std::fs::File;

use memmap2::MmapMut;
use thiserror::Error;
use x11rb::{
    connection::{Connection as _, RequestConnection as _},
    errors::{ConnectionError, ReplyError, ReplyOrIdError},
    protocol::shm::{self, ConnectionExt as _},
    rust_connection::RustConnection,
};

/// Why no memory is shared. Pixels then go through the socket.
#[derive(Debug, Error)]
pub(crate) enum ShmError {
    /// The server has no MIT-SHM, or one that cannot pass file descriptors (before 1.2, or over TCP).
    #[error("the X server does not share memory")]
    Unsupported,
    /// The server refused or went away.
    #[error("the X server refused to share memory: {0}")]
    Server(String),
    /// The system did not map it.
    #[error("cannot map shared memory: {0}")]
    Map(#[from] std::io::Error),
}

/// A piece of memory that this process and the X server see.
///
/// INVARIANT: its bytes are only touched while no request that names it is under way in the server; whoever
/// sends such requests waits for their replies or completion events first.
pub(crate) struct Segment {
    id: shm::Seg,
    memory: MmapMut,
}

impl Segment {
    /// Lets the server make the memory and maps it here too. The server frees it when the connection ends.
    pub(crate) fn create(conn: &RustConnection, bytes: usize) -> Result<Self, ShmError> {
        if conn.extension_information(shm::X11_EXTENSION_NAME)?.is_none() {
            return Err(ShmError::Unsupported);
        }
        let version = conn.shm_query_version()?.reply()?;
        if (version.major_version, version.minor_version) < (1, 2) {
            return Err(ShmError::Unsupported);
        }
        let id = conn.generate_id()?;
        let size = u32::try_from(bytes.max(1)).map_err(|_| ShmError::Unsupported)?;
        let reply = conn.shm_create_segment(id, size, false)?.reply()?;
        let memory = map(&File::from(reply.shm_fd))?;
        Ok(Self { id, memory })
    }

    /// What requests call it.
    pub(crate) fn id(&self) -> shm::Seg {
        self.id
    }

    /// Number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.memory.len()
    }

    /// What the server wrote.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory
    }

    /// What the server will read.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory
    }

    /// Frees the server's half; this one goes with the value.
    pub(crate) fn detach(self, conn: &RustConnection) -> Result<(), ConnectionError> {
        conn.shm_detach(self.id).map(drop)
    }
}

#[expect(unsafe_code, reason = "mapping memory that another process writes is unsafe by nature")]
fn map(file: &File) -> std::io::Result<MmapMut> {
    // SAFETY: the X server made this file for us alone, keeps its length, and by the invariant of `Segment`
    // writes it only while no reference to its bytes exists here.
    unsafe { MmapMut::map_mut(file) }
}

impl From<ConnectionError> for ShmError {
    fn from(error: ConnectionError) -> Self {
        Self::Server(error.to_string())
    }
}

impl From<ReplyError> for ShmError {
    fn from(error: ReplyError) -> Self {
        Self::Server(error.to_string())
    }
}

impl From<ReplyOrIdError> for ShmError {
    fn from(error: ReplyOrIdError) -> Self {
        Self::Server(error.to_string())
    }
}
