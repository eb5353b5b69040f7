//! The bytes of the forward tunnel, see docs/PROTOCOL.md.

use bytes::{BufMut, Bytes, BytesMut};
use tagio_proxy::{BadTarget, DialError, Target};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use zeroize::Zeroizing;

/// By it servers and clients find each other in TLS.
pub const ALPN: &[u8] = b"mytunnel";
/// Longest token.
pub const TOKEN_BYTES_MAX: usize = 255;

const OPEN_TCP: u8 = 1;
const TOKEN: u8 = 2;
const OK: u8 = 0;
const FAILED: u8 = 0xff;

/// What a client's stream asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A connection.
    Tcp(Result<Target, BadTarget>),
    /// To be let in.
    Token(Zeroizing<Vec<u8>>),
}

/// How a stream answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The target is connected, or the token was right.
    Done,
    /// It is not; servers of others may give no reason.
    Failed(Option<Reason>),
}

/// Why a target was not connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Reason {
    Refused = 1,
    Unreachable = 2,
    TimedOut = 3,
    NotAllowed = 4,
    BadRequest = 5,
    UnknownName = 6,
}

/// Those bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the other end does not speak this protocol")]
pub struct Malformed;

/// `01`, port, length and host.
pub fn tcp_request(target: &Target) -> Vec<u8> {
    let mut bytes = vec![OPEN_TCP];
    put_target(&mut bytes, target);
    bytes
}

/// `02`, length and token.
///
/// # Panics
/// If the token is longer than [`TOKEN_BYTES_MAX`].
pub fn token_request(token: &[u8]) -> Zeroizing<Vec<u8>> {
    let len = u8::try_from(token.len()).expect("a token is at most 255 bytes long");
    Zeroizing::new([&[TOKEN, len], token].concat())
}

/// Reads a request, and nothing behind it.
///
/// # Errors
/// [`Malformed`], also for a stream that ended.
pub async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Result<Request, Malformed> {
    match stream.read_u8().await.map_err(|_| Malformed)? {
        OPEN_TCP => {
            let port = stream.read_u16().await.map_err(|_| Malformed)?;
            let host = read_short(stream).await?;
            Ok(Request::Tcp(parse_target(&host, port)))
        }
        TOKEN => Ok(Request::Token(read_short(stream).await?)),
        _ => Err(Malformed),
    }
}

/// Reads an answer, and nothing behind it.
///
/// # Errors
/// [`Malformed`], also for a stream that ended.
pub async fn read_answer(stream: &mut (impl AsyncRead + Unpin)) -> Result<Answer, Malformed> {
    match stream.read_u8().await.map_err(|_| Malformed)? {
        OK => Ok(Answer::Done),
        FAILED => Ok(Answer::Failed(stream.read_u8().await.ok().and_then(Reason::from_code))),
        _ => Err(Malformed),
    }
}

impl Answer {
    /// Its bytes.
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Self::Done => vec![OK],
            Self::Failed(None) => vec![FAILED],
            Self::Failed(Some(reason)) => vec![FAILED, reason as u8],
        }
    }
}

impl Reason {
    fn from_code(code: u8) -> Option<Self> {
        let all = [
            Self::Refused,
            Self::Unreachable,
            Self::TimedOut,
            Self::NotAllowed,
            Self::BadRequest,
            Self::UnknownName,
        ];
        all.into_iter().find(|reason| *reason as u8 == code)
    }
}

impl From<DialError> for Reason {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Refused => Self::Refused,
            DialError::Unreachable | DialError::Unavailable => Self::Unreachable,
            DialError::TimedOut => Self::TimedOut,
            DialError::NotAllowed => Self::NotAllowed,
            DialError::BadTarget => Self::BadRequest,
            DialError::UnknownName => Self::UnknownName,
        }
    }
}

impl From<Reason> for DialError {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Refused => Self::Refused,
            Reason::Unreachable => Self::Unreachable,
            Reason::TimedOut => Self::TimedOut,
            Reason::NotAllowed => Self::NotAllowed,
            Reason::BadRequest => Self::BadTarget,
            Reason::UnknownName => Self::UnknownName,
        }
    }
}

/// A datagram to or from `target`.
pub fn datagram(target: &Target, payload: &[u8]) -> Bytes {
    let mut bytes = BytesMut::new();
    put_target(&mut bytes, target);
    with_head(&bytes, payload)
}

/// A datagram behind a head that [`split_datagram`] has cut off.
pub fn with_head(head: &[u8], payload: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(head.len() + payload.len());
    bytes.put_slice(head);
    bytes.put_slice(payload);
    bytes.freeze()
}

/// Cuts a datagram into its head, which names a target, and its payload.
///
/// # Errors
/// [`Malformed`] where it is shorter than its head says.
pub fn split_datagram(mut bytes: Bytes) -> Result<(Bytes, Bytes), Malformed> {
    let host_len = usize::from(*bytes.get(2).ok_or(Malformed)?);
    if bytes.len() < 3 + host_len {
        return Err(Malformed);
    }
    let payload = bytes.split_off(3 + host_len);
    Ok((bytes, payload))
}

/// What the head of a datagram names.
///
/// # Errors
/// It is no target.
pub fn head_target(head: &[u8]) -> Result<Target, BadTarget> {
    let [high, low, _, host @ ..] = head else { return Err(BadTarget::Host) };
    parse_target(host, u16::from_be_bytes([*high, *low]))
}

fn put_target(bytes: &mut impl BufMut, target: &Target) {
    let host = target.host.to_string();
    bytes.put_u16(target.port);
    bytes.put_u8(u8::try_from(host.len()).expect("names are at most 254 bytes long"));
    bytes.put_slice(host.as_bytes());
}

fn parse_target(host: &[u8], port: u16) -> Result<Target, BadTarget> {
    Target::new(std::str::from_utf8(host).map_err(|_| BadTarget::Host)?, port)
}

async fn read_short(stream: &mut (impl AsyncRead + Unpin)) -> Result<Zeroizing<Vec<u8>>, Malformed> {
    let len = stream.read_u8().await.map_err(|_| Malformed)?;
    let mut bytes = Zeroizing::new(vec![0; usize::from(len)]);
    stream.read_exact(&mut bytes).await.map_err(|_| Malformed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

    use super::*;

    #[tokio::test]
    async fn requests_are_the_bytes_of_the_page() {
        let target = Target::new("example.org", 443).unwrap();
        let bytes = tcp_request(&target);
        assert_eq!(bytes, b"\x01\x01\xbb\x0bexample.org");
        assert_eq!(read_request(&mut &bytes[..]).await, Ok(Request::Tcp(Ok(target))));
        let bytes = token_request(b"secret");
        assert_eq!(&bytes[..], b"\x02\x06secret");
        assert_eq!(read_request(&mut &bytes[..]).await, Ok(Request::Token(b"secret".to_vec().into())));
        for cut in 0..bytes.len() {
            assert_eq!(read_request(&mut &bytes[..cut]).await, Err(Malformed));
        }
        let nonsense = read_request(&mut &b"\x01\x00\x50\x02\xff\xfe"[..]).await;
        assert_eq!(nonsense, Ok(Request::Tcp(Err(BadTarget::Host))));
    }

    #[tokio::test]
    async fn answers_come_back_with_or_without_a_reason() {
        for code in 0..=u8::MAX {
            let expected = Answer::Failed(Reason::from_code(code));
            assert_eq!(read_answer(&mut &[FAILED, code][..]).await, Ok(expected));
        }
        for answer in [Answer::Done, Answer::Failed(None), Answer::Failed(Some(Reason::NotAllowed))] {
            assert_eq!(read_answer(&mut &answer.bytes()[..]).await, Ok(answer));
        }
    }

    #[test]
    fn datagrams_are_cut_where_their_head_ends() {
        let target = Target::new("1.2.3.4", 53).unwrap();
        let bytes = datagram(&target, b"payload");
        assert_eq!(&bytes[..], b"\x00\x35\x071.2.3.4payload");
        let (head, payload) = split_datagram(bytes.clone()).unwrap();
        assert_eq!((head_target(&head), &payload[..]), (Ok(target), &b"payload"[..]));
        assert_eq!(with_head(&head, &payload), bytes);
        for cut in 0..10 {
            assert_eq!(split_datagram(bytes.slice(..cut)), Err(Malformed));
        }
    }
}
