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
    time::{Instant, timeout},
};

use super::standing_call::StandingCall;
use crate::carrier::{BoxedStream, CarrierError};

/// How long the opening may take once the relay has proven its key.
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
    /// A proxy asks for a name and a password.
    #[error(
        "the proxy {proxy} {}; set them in the settings below the relay, \
         or in the environment: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT",
        if *.was_given { "refuses the name and the password" } else { "asks for a name and a password" }
    )]
    ProxyLogin {
        /// `HOST:PORT`.
        proxy: String,
        /// Whether it was given some.
        was_given: bool,
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

impl RelayError {
    /// What of all that went wrong with the relay at `addr` says most.
    pub(super) fn from_carriers(addr: &str, errors: Vec<CarrierError>) -> Self {
        let addr = || addr.to_owned();
        let mut unreachable = None;
        let mut is_stranger = false;
        for error in errors {
            match error {
                CarrierError::ProxyLogin { proxy, was_given } => {
                    return Self::ProxyLogin { proxy, was_given };
                }
                CarrierError::NotTheRelay => is_stranger = true,
                CarrierError::Name(name) => unreachable = unreachable.or(Some(Self::Name(name))),
                other => {
                    let reason = other.to_string();
                    let is_proxy = matches!(
                        other,
                        CarrierError::ProxyConnect { .. } | CarrierError::ProxyRefused { .. }
                    );
                    if is_proxy || !matches!(unreachable, Some(Self::Unreachable { .. })) {
                        unreachable = Some(Self::Unreachable { addr: addr(), reason });
                    }
                }
            }
        }
        match unreachable {
            _ if is_stranger => Self::NotTheRelay(addr()),
            Some(error) => error,
            None => Self::Unreachable { addr: addr(), reason: "no answer".to_owned() },
        }
    }
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
    pub(super) stream: BoxedStream,
    pub(super) noise: TransportState,
    pub(super) relay_key: PublicKey,
    pub(super) welcome: Welcome,
}

/// A relay that has proven its key. Of several that are raced only one is finished: the relay takes the others for
/// nobody.
pub(super) struct Greeted {
    stream: BoxedStream,
    state: State,
    rtt: Duration,
}

enum State {
    /// IK: the relay's answer is here.
    Answered { noise: TransportState, reply: Vec<u8> },
    /// XX: the relay does not know yet who asks.
    Unnamed(Box<HandshakeState>),
}

/// The first round trip: IK where the relay's key is known, else XX.
///
/// # Errors
/// What answers is not the relay.
pub(super) async fn greet(
    mut stream: BoxedStream,
    identity: &[u8; 32],
    relay_key: Option<PublicKey>,
    hello: &Hello,
) -> Result<Greeted, CarrierError> {
    let wrong = |_| CarrierError::NotTheRelay;
    let (preface, pattern) = match relay_key {
        Some(_) => (Preface::ControlIk, NOISE_IK),
        None => (Preface::ControlXx, NOISE_XX),
    };
    let mut noise = initiator(pattern, identity, relay_key.as_ref());
    let mut buf = vec![0; FRAME_BYTES_MAX];
    let mut first = preface.bytes().to_vec();
    let payload = if relay_key.is_some() { encode(hello) } else { Vec::new() };
    let len = noise.write_message(&payload, &mut buf).expect("a hello fits a Noise message");
    push_frame(&mut first, &buf[..len]);
    let asked = Instant::now();
    stream.write_all(&first).await?;
    stream.flush().await?;
    let reply = read_frame(&mut stream).await.map_err(CarrierError::instead_of_answer)?;
    let rtt = asked.elapsed();
    let len = noise.read_message(&reply, &mut buf).map_err(|_| CarrierError::NotTheRelay)?;
    let state = if relay_key.is_some() {
        State::Answered { noise: noise.into_transport_mode().map_err(wrong)?, reply: buf[..len].to_vec() }
    } else {
        State::Unnamed(Box::new(noise))
    };
    Ok(Greeted { stream, state, rtt })
}

impl Greeted {
    /// What the relay's answer took.
    pub(super) fn rtt(&self) -> Duration {
        self.rtt
    }

    /// The rest of the handshake, until the relay has let this client in. On a first contact a call goes with the last
    /// message of it: the relay reads on as soon as it has let the client in.
    pub(super) async fn finish(
        self,
        addr: &str,
        hello: &Hello,
        standing: &StandingCall,
    ) -> Result<Opened, RelayError> {
        let finished = timeout(OPENING_DEADLINE, self.rest(addr, hello, standing));
        finished.await.unwrap_or_else(|_| {
            Err(RelayError::Unreachable { addr: addr.to_owned(), reason: "no answer".to_owned() })
        })
    }

    async fn rest(self, addr: &str, hello: &Hello, standing: &StandingCall) -> Result<Opened, RelayError> {
        let Self { mut stream, state, rtt: _ } = self;
        let (noise, reply) = match state {
            State::Answered { noise, reply } => (noise, reply),
            State::Unnamed(mut noise) => {
                let wrong = |_| RelayError::NotTheRelay(addr.to_owned());
                let mut buf = vec![0; FRAME_BYTES_MAX];
                let len =
                    noise.write_message(&encode(hello), &mut buf).expect("a hello fits a Noise message");
                let mut third = Vec::new();
                push_frame(&mut third, &buf[..len]);
                let mut noise = noise.into_transport_mode().map_err(wrong)?;
                if let Some(call) = standing.take() {
                    let len = noise.write_message(&encode(&call), &mut buf).map_err(wrong)?;
                    push_frame(&mut third, &buf[..len]);
                }
                stream.write_all(&third).await?;
                stream.flush().await?;
                let frame = read_frame(&mut stream).await?;
                let len = noise.read_message(&frame, &mut buf).map_err(wrong)?;
                (noise, buf[..len].to_vec())
            }
        };
        let key = noise.get_remote_static().and_then(|key| <[u8; 32]>::try_from(key).ok());
        let relay_key = PublicKey(key.ok_or(RelayError::Protocol)?);
        match decode(&reply).map_err(|_| RelayError::Protocol)? {
            HelloReply::Welcome(welcome) => Ok(Opened { stream, noise, relay_key, welcome }),
            HelloReply::Refused(refusal) => Err(RelayError::Refused(refusal)),
        }
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
