//! The Noise handshake of a control connection, as responder.
//!
//! The mathematics runs on threads of its own, so that strangers who knock do not delay packets of those inside.
//! Newcomers wait for it for half of their time at most: what is left is for the rest of their handshake.

use std::sync::Arc;

use snow::{Builder, HandshakeState, StatelessTransportState};
use tagio_relay_core::Denial;
use tagio_wire::{
    PublicKey,
    control::{CONTROL_MESSAGE_BYTES_MAX, CONTROL_PROLOGUE, Hello, HelloReply, NOISE_IK, NOISE_XX},
    decode, encode,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout},
};

use super::mathematics::Turn;
use crate::shared::Shared;

/// What ChaChaPoly adds to a message.
pub(super) const TAG_LEN: usize = 16;
/// What the longest Noise message of the two patterns adds to its payload: ephemeral and encrypted static key.
const HANDSHAKE_EXTRA_LEN: usize = 32 + 32 + TAG_LEN + TAG_LEN;
/// Longest handshake frame.
const HANDSHAKE_FRAME_MAX: usize = CONTROL_MESSAGE_BYTES_MAX + HANDSHAKE_EXTRA_LEN;

/// Whether the client knew the relay's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// It did.
    Ik,
    /// First contact.
    Xx,
}

/// A handshake that has told who the client is and waits for the relay's answer.
pub(super) enum Handshake {
    /// The answer is its second message.
    Ik(Box<HandshakeState>),
    /// It is complete; the answer is the first frame after it.
    Xx(StatelessTransportState),
}

/// A handshake that is over.
pub(super) struct Answered {
    pub(super) transport: StatelessTransportState,
    /// Of the relay's next frame.
    pub(super) nonce: u64,
}

impl Handshake {
    /// Reads who the client is and its first words.
    pub(super) async fn receive(
        shared: &Arc<Shared>,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        pattern: Pattern,
        deadline: Instant,
    ) -> Result<(Self, PublicKey, Hello), Denial> {
        let first = read_frame(stream).await?;
        let server = Arc::clone(shared);
        let patience = deadline.saturating_duration_since(Instant::now()) / 2;
        let opened = work(shared, Turn::Newcomer, move || open(&server, pattern, &first));
        let (state, answer, payload) =
            timeout(patience, opened).await.map_err(|_| Denial::OpeningDeadline)??;
        let (state, payload) = match answer {
            None => (state, payload),
            Some(answer) => {
                write_frame(stream, &answer).await?;
                let third = read_frame(stream).await?;
                work(shared, Turn::HalfDone, move || {
                    let mut state = state;
                    let payload = read_message(&mut state, &third)?;
                    Ok((state, payload))
                })
                .await?
            }
        };
        let key = state.get_remote_static().and_then(|key| key.try_into().ok());
        let key = PublicKey(key.ok_or(Denial::BadHandshake)?);
        let hello = decode(&payload).map_err(|_| Denial::BadHandshake)?;
        let handshake = match pattern {
            Pattern::Ik => Self::Ik(state),
            Pattern::Xx => Self::Xx(into_transport(*state)?),
        };
        Ok((handshake, key, hello))
    }

    /// Tells the client whether it may come in.
    pub(super) async fn answer(
        self,
        shared: &Shared,
        stream: &mut (impl AsyncWrite + Unpin),
        reply: &HelloReply,
    ) -> Result<Answered, Denial> {
        let reply = encode(reply);
        match self {
            Self::Ik(state) => {
                let (message, transport) = work(shared, Turn::HalfDone, move || {
                    let mut state = state;
                    let message = write_message(&mut state, &reply)?;
                    Ok((message, into_transport(*state)?))
                })
                .await?;
                write_frame(stream, &message).await?;
                Ok(Answered { transport, nonce: 0 })
            }
            Self::Xx(transport) => {
                let frame = seal(&transport, 0, &reply);
                write_out(stream, &frame).await?;
                Ok(Answered { transport, nonce: 1 })
            }
        }
    }
}

type Opened = (Box<HandshakeState>, Option<Vec<u8>>, Vec<u8>);

/// Reads the first message; for XX also makes the second.
fn open(shared: &Shared, pattern: Pattern, first: &[u8]) -> Result<Opened, Denial> {
    let name = match pattern {
        Pattern::Ik => NOISE_IK,
        Pattern::Xx => NOISE_XX,
    };
    let params = name.parse().map_err(|_| Denial::BadHandshake)?;
    let state = Builder::new(params)
        .local_private_key(shared.key.private())
        .and_then(|builder| builder.prologue(CONTROL_PROLOGUE))
        .and_then(Builder::build_responder);
    let mut state = Box::new(state.map_err(|_| Denial::BadHandshake)?);
    let payload = read_message(&mut state, first)?;
    let answer = match pattern {
        Pattern::Ik => None,
        Pattern::Xx => Some(write_message(&mut state, &[])?),
    };
    Ok((state, answer, payload))
}

fn read_message(state: &mut HandshakeState, message: &[u8]) -> Result<Vec<u8>, Denial> {
    let mut payload = vec![0; message.len()];
    let len = state.read_message(message, &mut payload).map_err(|_| Denial::BadHandshake)?;
    payload.truncate(len);
    Ok(payload)
}

fn write_message(state: &mut HandshakeState, payload: &[u8]) -> Result<Vec<u8>, Denial> {
    let mut message = vec![0; payload.len() + HANDSHAKE_EXTRA_LEN];
    let len = state.write_message(payload, &mut message).map_err(|_| Denial::BadHandshake)?;
    message.truncate(len);
    Ok(message)
}

fn into_transport(state: HandshakeState) -> Result<StatelessTransportState, Denial> {
    state.into_stateless_transport_mode().map_err(|_| Denial::BadHandshake)
}

/// A frame, length included, that only the client can read.
pub(super) fn seal(transport: &StatelessTransportState, nonce: u64, plain: &[u8]) -> Vec<u8> {
    let len = plain.len() + TAG_LEN;
    let prefix = u16::try_from(len).expect("a control message is shorter than a Noise message may be");
    let mut frame = vec![0; 2 + len];
    frame[..2].copy_from_slice(&prefix.to_be_bytes());
    transport.write_message(nonce, plain, &mut frame[2..]).expect("the buffer has room for the tag");
    frame
}

async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, Denial> {
    let len = stream.read_u16().await.map_err(|_| Denial::OpeningAborted)?.into();
    if len > HANDSHAKE_FRAME_MAX {
        return Err(Denial::FrameLength);
    }
    let mut frame = vec![0; len];
    stream.read_exact(&mut frame).await.map_err(|_| Denial::OpeningAborted)?;
    Ok(frame)
}

async fn write_frame(stream: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> Result<(), Denial> {
    let len = u16::try_from(message.len()).map_err(|_| Denial::BadHandshake)?;
    let frame = [&len.to_be_bytes()[..], message].concat();
    write_out(stream, &frame).await
}

async fn write_out(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), Denial> {
    stream.write_all(bytes).await.map_err(|_| Denial::OpeningAborted)?;
    stream.flush().await.map_err(|_| Denial::OpeningAborted)
}

/// Has a piece of mathematics done where it delays nobody.
async fn work<T: Send + 'static>(
    shared: &Shared,
    turn: Turn,
    piece: impl FnOnce() -> Result<T, Denial> + Send + 'static,
) -> Result<T, Denial> {
    shared.mathematics.run(turn, piece).await.unwrap_or(Err(Denial::BadHandshake))
}
