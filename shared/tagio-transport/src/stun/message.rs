//! Binding requests and the answers to them (RFC 8489, RFC 5780), as a client writes and reads them.

use std::net::SocketAddr;

use stun_rs::{
    MessageClass, MessageDecoder, MessageEncoder, StunMessageBuilder, TransactionId,
    attributes::{
        discovery::OtherAddress,
        stun::{Software, XorMappedAddress},
    },
    methods::BINDING,
};

/// Names a question; its answer repeats it. Random, so that nobody off the path can answer.
pub(crate) type QuestionId = [u8; 12];

/// Where the ID stands in every STUN message.
const ID_AT: std::ops::Range<usize> = 8..20;
/// Bytes of our SOFTWARE attribute. With its header and the message's a question then has 72 bytes and an answer at
/// most 68: a relay that is asked with somebody else's address sends that one no more than it was sent.
const SOFTWARE_LEN: usize = 48;
/// Bytes of a question.
const REQUEST_LEN: usize = 20 + 4 + SOFTWARE_LEN;

/// What a server told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Where it saw the question come from.
    pub(crate) mapped: SocketAddr,
    /// Another address of the server, most often with another port and on another IP.
    pub(crate) other: Option<SocketAddr>,
}

/// The ID in a message, which may be anything; `None` if it is too short to have one.
pub(crate) fn id_of(message: &[u8]) -> Option<QuestionId> {
    message.get(ID_AT)?.try_into().ok()
}

/// A Binding request.
pub(crate) fn request(id: QuestionId) -> Vec<u8> {
    let software = Software::new(format!("{:<SOFTWARE_LEN$}", "TagIO")).expect("48 bytes are fewer than 509");
    let message = StunMessageBuilder::new(BINDING, MessageClass::Request)
        .with_transaction_id(TransactionId::from(id))
        .with_attribute(software)
        .build();
    let mut bytes = vec![0; REQUEST_LEN];
    let len =
        MessageEncoder::default().encode(&mut bytes, &message).expect("the buffer has the message's length");
    bytes.truncate(len);
    bytes
}

/// What `bytes` answer to the question `id`; `None` if they are no success.
pub(crate) fn read_reply(bytes: &[u8], id: QuestionId) -> Option<Reply> {
    let (message, _) = MessageDecoder::default().decode(bytes).ok()?;
    let is_ours = message.method() == BINDING
        && message.class() == MessageClass::SuccessResponse
        && *message.transaction_id().as_bytes() == id;
    let mapped = message.get::<XorMappedAddress>()?.as_xor_mapped_address().ok()?;
    let other = message.get::<OtherAddress>().and_then(|attribute| attribute.as_other_address().ok());
    is_ours.then(|| Reply {
        mapped: *mapped.socket_address(),
        other: other.map(|attribute| *attribute.socket_address()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: QuestionId = [7; 12];

    fn answer(class: MessageClass) -> Vec<u8> {
        let message = StunMessageBuilder::new(BINDING, class)
            .with_transaction_id(TransactionId::from(ID))
            .with_attribute(XorMappedAddress::from(addr("198.51.100.1:4000")))
            .with_attribute(OtherAddress::from(addr("203.0.113.11:444")))
            .build();
        let mut bytes = vec![0; 100];
        let len = MessageEncoder::default().encode(&mut bytes, &message).unwrap();
        bytes.truncate(len);
        bytes
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_question_is_longer_than_the_longest_answer_and_known_by_its_id() {
        let request = request(ID);
        assert_eq!(request.len(), REQUEST_LEN);
        assert_eq!(request[..8], [0, 1, 0, 52, 0x21, 0x12, 0xa4, 0x42]);
        assert_eq!(id_of(&request), Some(ID));
        assert_eq!(id_of(&request[..19]), None);
    }

    #[test]
    fn an_answer_tells_both_addresses() {
        let reply = read_reply(&answer(MessageClass::SuccessResponse), ID);
        let expected = Reply { mapped: addr("198.51.100.1:4000"), other: Some(addr("203.0.113.11:444")) };
        assert_eq!(reply, Some(expected));
    }

    #[test]
    fn errors_answers_to_others_and_noise_are_no_answer() {
        assert_eq!(read_reply(&answer(MessageClass::ErrorResponse), ID), None);
        assert_eq!(read_reply(&answer(MessageClass::SuccessResponse), [8; 12]), None);
        assert_eq!(read_reply(&request(ID), ID), None);
        let whole = answer(MessageClass::SuccessResponse);
        for end in 0..whole.len() {
            assert_eq!(read_reply(&whole[..end], ID), None, "cut at {end}");
        }
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 0xff;
            // Whatever it says now, it is read without a panic.
            let _ = read_reply(&bent, ID);
        }
    }
}
