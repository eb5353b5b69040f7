//! The encrypted frames of the control connection (see `tagio_wire::control`).

use std::{io, time::Duration};

use snow::{Builder, HandshakeState, TransportState};
use tagio_wire::{
    PublicKey,
    control::{
        CONTROL_MESSAGE_BYTES_MAX, CONTROL_PROLOGUE, Hello, HelloReply, NOISE_IK, NOISE_XX, Preface, Refusal,
        Welcome,
    },
    decode, encode,
};
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long the whole opening may take.
const OPENING_DEADLINE: Duration = Duration::from_secs(8);
/// Longest frame: a message and Noise's 16-byte tag.
const FRAME_BYTES_MAX: usize = CONTROL_MESSAGE_BYTES_MAX + 16;

/// Why a relay could not be used.
#[derive(Debug, Error)]
pub enum RelayError {
    /// The name is unknown.
    #[error("the relay’s name {0} is not known; check the address and the network")]
    Name(String),
    /// No connection.
    #[error("the relay {addr} cannot be reached ({reason}); check the address, the network and the firewall")]
    Unreachable {
        /// As configured.
        addr: String,
        /// The system's word.
        reason: String,
    },
    /// It answers, but not as a TagIO relay, or with another key than the pinned one.
    #[error(
        "the relay {0} did not prove the expected key, or is no TagIO relay; if it was set up anew, \
         ask its admin for the new key and put it behind the address: HOST:PORT#KEY"
    )]
    NotTheRelay(String),
    /// It refused.
    #[error("{}", refusal_sentence(*.0))]
    Refused(Refusal),
    /// The connection broke.
    #[error("the connection to the relay broke: {0}")]
    Broken(#[from] io::Error),
    /// The relay broke the protocol.
    #[error("the relay sent something that is not understood; update TagIO or the relay")]
    Protocol,
    /// A newer program of the same key took over.
    #[error("TagIO runs a second time with this identity; this one steps back")]
    Replaced,
}

fn refusal_sentence(refusal: Refusal) -> String {
    match refusal {
        Refusal::WrongSecret => {
            "the relay asks for a secret and got none or a wrong one; set the auth secret".to_owned()
        }
        Refusal::WrongVersion(theirs) => {
            format!("the relay speaks version {theirs} of the protocol; update the older of the two")
        }
        Refusal::Full => "the relay is full; try again later or use another one".to_owned(),
        Refusal::TooMany => "too many attempts from this network; wait a minute".to_owned(),
        Refusal::Draining => "the relay is about to restart; the next attempt follows shortly".to_owned(),
    }
}

/// An open control connection, not yet split.
pub(super) struct Opened {
    pub(super) stream: TcpStream,
    pub(super) noise: TransportState,
    pub(super) relay_key: PublicKey,
    pub(super) welcome: Welcome,
}

/// Runs the handshake: IK where the relay's key is known, else XX.
pub(super) async fn open(
    stream: TcpStream,
    addr: &str,
    identity: &[u8; 32],
    relay_key: Option<PublicKey>,
    hello: &Hello,
) -> Result<Opened, RelayError> {
    let opening = handshake(stream, addr, identity, relay_key, hello);
    timeout(OPENING_DEADLINE, opening).await.unwrap_or_else(|_| {
        Err(RelayError::Unreachable { addr: addr.to_owned(), reason: "no answer".to_owned() })
    })
}

async fn handshake(
    mut stream: TcpStream,
    addr: &str,
    identity: &[u8; 32],
    relay_key: Option<PublicKey>,
    hello: &Hello,
) -> Result<Opened, RelayError> {
    let wrong = |_| RelayError::NotTheRelay(addr.to_owned());
    let hello = encode(hello);
    let (preface, pattern) = match relay_key {
        Some(_) => (Preface::ControlIk, NOISE_IK),
        None => (Preface::ControlXx, NOISE_XX),
    };
    let mut noise = initiator(pattern, identity, relay_key.as_ref());
    let mut buf = vec![0; FRAME_BYTES_MAX];
    let mut first = preface.bytes().to_vec();
    let payload: &[u8] = if relay_key.is_some() { &hello } else { &[] };
    let len = noise.write_message(payload, &mut buf).expect("a hello fits a Noise message");
    push_frame(&mut first, &buf[..len]);
    stream.write_all(&first).await?;

    let reply = read_frame(&mut stream).await.map_err(|_| RelayError::NotTheRelay(addr.to_owned()))?;
    let len = noise.read_message(&reply, &mut buf).map_err(wrong)?;
    let (noise, reply) = if relay_key.is_some() {
        let reply = buf[..len].to_vec();
        (noise.into_transport_mode().map_err(wrong)?, reply)
    } else {
        let mut third = Vec::new();
        let len = noise.write_message(&hello, &mut buf).expect("a hello fits a Noise message");
        push_frame(&mut third, &buf[..len]);
        stream.write_all(&third).await?;
        let mut noise = noise.into_transport_mode().map_err(wrong)?;
        let frame = read_frame(&mut stream).await?;
        let len = noise.read_message(&frame, &mut buf).map_err(wrong)?;
        (noise, buf[..len].to_vec())
    };
    let key = noise.get_remote_static().and_then(|key| <[u8; 32]>::try_from(key).ok());
    let relay_key = PublicKey(key.ok_or(RelayError::Protocol)?);
    match decode(&reply).map_err(|_| RelayError::Protocol)? {
        HelloReply::Welcome(welcome) => Ok(Opened { stream, noise, relay_key, welcome }),
        HelloReply::Refused(refusal) => Err(RelayError::Refused(refusal)),
    }
}

fn initiator(pattern: &str, identity: &[u8; 32], relay_key: Option<&PublicKey>) -> HandshakeState {
    const FIXED: &str = "the pattern is a constant and the keys have the right length";
    let builder = Builder::new(pattern.parse().expect(FIXED))
        .local_private_key(identity)
        .expect(FIXED)
        .prologue(CONTROL_PROLOGUE)
        .expect(FIXED);
    let builder = match relay_key {
        Some(key) => builder.remote_public_key(&key.0).expect(FIXED),
        None => builder,
    };
    builder.build_initiator().expect(FIXED)
}

pub(super) fn push_frame(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u16::try_from(bytes.len()).expect("control frames are shorter than 64 KiB");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
}

pub(super) async fn read_frame(stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<Vec<u8>> {
    let len = usize::from(stream.read_u16().await?);
    if len > FRAME_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "oversized frame"));
    }
    let mut frame = vec![0; len];
    stream.read_exact(&mut frame).await?;
    Ok(frame)
}
