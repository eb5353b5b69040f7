//! One TAGIO message, from bytes and to bytes: `TAGIO`, the version, a type in ASCII, a payload.

use std::{fmt, net::IpAddr, num::NonZeroU32};

/// How every message begins.
pub const MAGIC: [u8; 5] = *b"TAGIO";
/// The only version there is.
pub const VERSION: [u8; 4] = [0, 0, 0, 1];
/// Magic and version.
pub const HEADER: [u8; HEADER_LEN] = *b"TAGIO\0\0\0\x01";
/// Bytes in front of the type.
pub const HEADER_LEN: usize = MAGIC.len() + VERSION.len();
/// Bytes of an ID: u32, little endian.
pub const ID_LEN: usize = 4;
/// Bytes of `MSG` in front of its payload, either way.
pub const MSG_HEAD_LEN: usize = HEADER_LEN + 3 + ID_LEN;
/// How far into an HTTP body the magic may stand: whatever wraps a message has room, and looking costs nothing.
pub const LEADING_BYTES_MAX: usize = 4096;

/// What `REGL` says in front of the ID.
const REGISTER: &[u8] = b"REGISTER:";

/// Names a client of this protocol while it is connected. No relation to the IDs that people dial.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(NonZeroU32);

impl ClientId {
    /// `None` for 0, which nobody has.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number on the wire.
    pub fn number(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'m> {
    /// `PING`: who am I, and I am still there.
    Ping,
    /// `MSG`: bytes for another client. A target that nobody can have is `None`.
    Message {
        /// For whom.
        to: Option<ClientId>,
        /// What.
        payload: &'m [u8],
    },
    /// `REGL`: is this my ID? Holds what [`registered_id`] reads.
    Register(&'m [u8]),
    /// `CONN`: where is another client?
    Address {
        /// Which.
        of: Option<ClientId>,
    },
}

/// What the relay says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `ACK`: your ID.
    Ack(ClientId),
    /// `REGLACK`: it is yours.
    Registered,
    /// `REGLERR`: it is not.
    NotRegistered(RegisterError),
    /// `CONN`: the IP of the client that was asked for.
    Address(IpAddr),
    /// `ERR`.
    Error(ErrorCode),
}

/// Why a message is refused; the code on the wire is [`ErrorCode::code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// No TAGIO message, or one that makes no sense.
    BadMessage,
    /// Another version.
    BadVersion,
    /// Longer than this relay allows.
    TooLarge,
    /// Nobody has that ID now.
    UnknownTarget,
    /// The target has too much waiting for it.
    QueueFull,
    /// Too many unknown targets from this address.
    RateLimited,
    /// No session has that token, or not any more.
    UnknownSession,
    /// The relay has a secret, and this client did not show it.
    WrongSecret,
    /// No room for another client.
    Full,
}

impl ErrorCode {
    /// As it stands in `ERR`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BadMessage => "BAD_MESSAGE",
            Self::BadVersion => "BAD_VERSION",
            Self::TooLarge => "TOO_LARGE",
            Self::UnknownTarget => "UNKNOWN_TARGET",
            Self::QueueFull => "QUEUE_FULL",
            Self::RateLimited => "RATE_LIMITED",
            Self::UnknownSession => "UNKNOWN_SESSION",
            Self::WrongSecret => "WRONG_SECRET",
            Self::Full => "FULL",
        }
    }
}

/// Why a `REGL` is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterError {
    /// The ID of somebody else, or of nobody.
    IdMismatch,
    /// What stands after `REGISTER:` is no ID.
    InvalidId,
    /// Nothing stands after it.
    MissingId,
    /// It does not begin with `REGISTER:`.
    MissingRegister,
    /// No ASCII.
    InvalidFormat,
}

impl RegisterError {
    /// As it stands in `REGLERR`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::IdMismatch => "ID_MISMATCH",
            Self::InvalidId => "INVALID_ID",
            Self::MissingId => "MISSING_ID",
            Self::MissingRegister => "MISSING_REGISTER",
            Self::InvalidFormat => "INVALID_FORMAT",
        }
    }
}

/// Reads a message from a client.
pub fn parse(bytes: &[u8]) -> Result<Request<'_>, ErrorCode> {
    let bytes = bytes.strip_prefix(&MAGIC).ok_or(ErrorCode::BadMessage)?;
    let (version, bytes) = bytes.split_first_chunk::<4>().ok_or(ErrorCode::BadMessage)?;
    if *version != VERSION {
        return Err(ErrorCode::BadVersion);
    }
    // Bytes behind a PING are some client's time stamp: nobody needs them here.
    if bytes.starts_with(b"PING") {
        return Ok(Request::Ping);
    }
    if let Some(payload) = bytes.strip_prefix(b"REGL") {
        return Ok(Request::Register(payload));
    }
    if let Some(target) = bytes.strip_prefix(b"CONN") {
        let id = target.try_into().map_err(|_| ErrorCode::BadMessage)?;
        return Ok(Request::Address { of: ClientId::new(u32::from_le_bytes(id)) });
    }
    let rest = bytes.strip_prefix(b"MSG").ok_or(ErrorCode::BadMessage)?;
    let (id, payload) = rest.split_first_chunk().ok_or(ErrorCode::BadMessage)?;
    Ok(Request::Message { to: ClientId::new(u32::from_le_bytes(*id)), payload })
}

/// The message in an HTTP body, which may begin with other bytes; `None` where there is none within
/// [`LEADING_BYTES_MAX`].
pub fn find(body: &[u8]) -> Option<&[u8]> {
    let searched = &body[..body.len().min(LEADING_BYTES_MAX + MAGIC.len())];
    let at = searched.windows(MAGIC.len()).position(|window| window == MAGIC)?;
    Some(&body[at..])
}

/// The ID in the payload of a `REGL`: `REGISTER:` and a decimal number.
pub fn registered_id(payload: &[u8]) -> Result<ClientId, RegisterError> {
    if !payload.is_ascii() {
        return Err(RegisterError::InvalidFormat);
    }
    let digits = payload.strip_prefix(REGISTER).ok_or(RegisterError::MissingRegister)?.trim_ascii();
    if digits.is_empty() {
        return Err(RegisterError::MissingId);
    }
    let all_digits = digits.iter().all(u8::is_ascii_digit);
    let number = str::from_utf8(digits).ok().filter(|_| all_digits).and_then(|text| text.parse().ok());
    number.and_then(ClientId::new).ok_or(RegisterError::InvalidId)
}

impl Reply {
    /// The message.
    pub fn bytes(self) -> Vec<u8> {
        let mut out = HEADER.to_vec();
        match self {
            Self::Ack(id) => {
                out.extend_from_slice(b"ACK");
                out.extend_from_slice(&id.number().to_le_bytes());
            }
            Self::Registered => out.extend_from_slice(b"REGLACK"),
            Self::NotRegistered(error) => {
                out.extend_from_slice(b"REGLERR");
                out.extend_from_slice(error.code().as_bytes());
            }
            Self::Address(ip) => {
                let text = ip.to_string();
                let len = u16::try_from(text.len()).expect("an address in text has fewer than 64 bytes");
                out.extend_from_slice(b"CONN");
                out.extend_from_slice(&len.to_be_bytes());
                out.extend_from_slice(text.as_bytes());
            }
            Self::Error(code) => {
                out.extend_from_slice(b"ERR");
                out.extend_from_slice(code.code().as_bytes());
            }
        }
        out
    }
}

/// What stands in front of the payload of a `MSG` that is delivered: the ID is the sender's, so that a reply is
/// possible.
pub fn msg_head(from: ClientId) -> [u8; MSG_HEAD_LEN] {
    let mut head = *b"TAGIO\0\0\0\x01MSG\0\0\0\0";
    head[MSG_HEAD_LEN - ID_LEN..].copy_from_slice(&from.number().to_le_bytes());
    head
}
