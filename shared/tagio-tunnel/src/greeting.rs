//! How a relay proves its key to a tunnel's client: Noise NX, bound to the TLS channel that it runs in, so that nobody
//! in between can pass it on. Pure, but for the random ephemeral keys.

use snow::{Builder, Error, HandshakeState};
use tagio_wire::{
    PublicKey,
    tunnel::{GREETING_BYTES, GREETING_REPLY_BYTES, NOISE_NX, TUNNEL_PROLOGUE},
};
use thiserror::Error;

/// snow wants room for a tag also where there is none.
const ROOM_BYTES: usize = 2 * GREETING_REPLY_BYTES;

/// The value of the channel's exporter; none for bare TCP.
pub type Binding = Option<[u8; 32]>;

/// Stands for one greeting in one channel: both ends have it, nobody else can bring another one to have the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GreetingHash(pub [u8; 32]);

/// The other end has proven nothing.
#[derive(Debug, Error)]
#[error("the greeting failed: somebody stands in between, or the other end is no TagIO relay")]
pub struct GreetingError(#[from] Error);

/// A client that has asked.
#[derive(Debug)]
pub struct Greeting(Box<HandshakeState>);

impl Greeting {
    /// The client's message.
    pub fn ask(binding: Binding) -> (Self, [u8; GREETING_BYTES]) {
        let begun = builder(&prologue(binding)).and_then(Builder::build_initiator);
        let mut noise = begun.expect("snow has what the pattern names");
        let mut room = [0; ROOM_BYTES];
        let written = noise.write_message(&[], &mut room);
        debug_assert_eq!(written.ok(), Some(GREETING_BYTES));
        let message = *room.first_chunk().expect("a message is shorter than its room");
        (Self(Box::new(noise)), message)
    }

    /// The key that the relay has proven, and the hash.
    pub fn hear(
        mut self,
        reply: &[u8; GREETING_REPLY_BYTES],
    ) -> Result<(PublicKey, GreetingHash), GreetingError> {
        self.0.read_message(reply, &mut [0; ROOM_BYTES])?;
        let key = self.0.get_remote_static().and_then(|key| key.try_into().ok());
        let key = key.ok_or(GreetingError(Error::Decrypt))?;
        Ok((PublicKey(key), hash(&self.0)))
    }
}

/// The relay's answer, with its private key.
pub fn answer(
    private: &[u8; 32],
    binding: Binding,
    message: &[u8; GREETING_BYTES],
) -> Result<([u8; GREETING_REPLY_BYTES], GreetingHash), GreetingError> {
    let prologue = prologue(binding);
    let mut noise = builder(&prologue)?.local_private_key(private)?.build_responder()?;
    let mut room = [0; ROOM_BYTES];
    noise.read_message(message, &mut room)?;
    noise.write_message(&[], &mut room)?;
    let reply = *room.first_chunk().expect("a message is shorter than its room");
    Ok((reply, hash(&noise)))
}

fn prologue(binding: Binding) -> Vec<u8> {
    [TUNNEL_PROLOGUE, binding.as_ref().map_or(&[][..], |value| value)].concat()
}

fn builder(prologue: &[u8]) -> Result<Builder<'_>, Error> {
    Builder::new(NOISE_NX.parse()?).prologue(prologue)
}

fn hash(noise: &HandshakeState) -> GreetingHash {
    let hash = noise.get_handshake_hash().try_into();
    GreetingHash(hash.expect("BLAKE2s gives 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: [u8; 32] = [7; 32];

    #[test]
    fn both_ends_of_one_channel_have_the_same_hash() {
        let (asked, message) = Greeting::ask(Some([1; 32]));
        let (reply, ours) = answer(&PRIVATE, Some([1; 32]), &message).expect("an answer");
        let (key, theirs) = asked.hear(&reply).expect("a proof");
        assert!(ours == theirs);
        let (again, message) = Greeting::ask(None);
        let (reply, other) = answer(&PRIVATE, None, &message).expect("an answer");
        assert_eq!(again.hear(&reply).expect("a proof").0, key);
        assert!(other != ours);
    }

    #[test]
    fn who_passes_a_greeting_on_from_another_channel_proves_nothing() {
        let (asked, message) = Greeting::ask(Some([1; 32]));
        let (reply, _) = answer(&PRIVATE, Some([2; 32]), &message).expect("an answer");
        assert!(asked.hear(&reply).is_err());
    }
}
