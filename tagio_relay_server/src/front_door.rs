//! Tells by the first bytes of a TCP connection who is there.
//!
//! Everything shares one port, so this is the only place that knows all protocols. A new one is a variant of
//! [`Opening`], its mark in [`sniff`] and its arm in `connection`.

use std::io;

use tagio_wire::control::Preface;
use tokio::io::{AsyncRead, AsyncReadExt};

/// So many bytes tell everything.
pub const SNIFF_LEN: usize = Preface::LEN;

/// A TLS record that begins a handshake (RFC 8446, 5.1), and the major version that all of them have.
const TLS: &[&[u8]] = &[&[0x16, 0x03]];

/// How the two versions of the PROXY protocol begin, as far as the head goes.
const PROXY_HEADERS: &[&[u8]] = &[b"PROXY ", b"\r\n\r\n\0\r\nQ"];

/// HTTP methods with the space after them. No other text opens a page.
const HTTP_METHODS: &[&[u8]] =
    &[b"GET ", b"HEAD ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"OPTIONS ", b"TRACE "];

/// Who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// TagIO's own protocol.
    Tagio(Preface),
    /// A browser, a probe, and everything that travels inside HTTP.
    Http,
    /// Any of the others, inside TLS.
    Tls,
    /// A proxy that first says for whom it comes.
    Proxied,
}

/// What some first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniff {
    /// Enough.
    Known(Opening),
    /// More must come.
    Undecided,
    /// Nobody of ours, whatever comes.
    Stranger,
}

/// Judges the first bytes of a connection, however few.
pub fn sniff(bytes: &[u8]) -> Sniff {
    if let Some(head) = bytes.first_chunk::<{ Preface::LEN }>()
        && let Some(preface) = Preface::parse(*head)
    {
        return Sniff::Known(Opening::Tagio(preface));
    }
    let marks = [(Opening::Http, HTTP_METHODS), (Opening::Tls, TLS), (Opening::Proxied, PROXY_HEADERS)];
    if let Some((opening, _)) =
        marks.iter().find(|(_, marks)| marks.iter().any(|mark| bytes.starts_with(mark)))
    {
        return Sniff::Known(*opening);
    }
    let magic = Preface::MAGIC.starts_with(bytes) || bytes == Preface::MAGIC;
    if magic || marks.iter().any(|(_, marks)| marks.iter().any(|mark| mark.starts_with(bytes))) {
        return Sniff::Undecided;
    }
    Sniff::Stranger
}

/// The first bytes as they were read, for those who need them again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head {
    bytes: [u8; SNIFF_LEN],
    start: usize,
    end: usize,
}

impl Head {
    /// What was read and not consumed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Forgets the first `len` of them.
    pub(crate) fn consume(&mut self, len: usize) {
        self.start = (self.start + len).min(self.end);
    }
}

/// Reads until it is clear who is there; `None` for a stranger. Never reads past the head.
pub async fn read_opening(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(Opening, Head)>> {
    let mut head = Head::default();
    loop {
        match sniff(head.bytes()) {
            Sniff::Known(opening) => return Ok(Some((opening, head))),
            Sniff::Stranger => return Ok(None),
            Sniff::Undecided => {}
        }
        match stream.read(&mut head.bytes[head.end..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => head.end += read,
        }
    }
}
