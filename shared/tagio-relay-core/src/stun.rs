//! STUN: tells whoever asks where its question came from (RFC 8489), and where else to ask (RFC 5780).
//!
//! Anybody may ask, and a sender's address can be forged. So an answer that is longer than its question is rarer than
//! one that is not: each kind has a limit of its own, by the address that asks.

use std::{
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use stun_rs::{
    ErrorCode, MessageClass, MessageDecoder, MessageEncoder, StunAttribute, StunMessage, StunMessageBuilder,
    attributes::{
        discovery::OtherAddress,
        stun::{ErrorCode as ErrorCodeAttribute, UnknownAttributes, XorMappedAddress},
    },
    methods::BINDING,
};
use tagio_wire::nat::Reach;

use crate::{
    admission::SourceNet,
    denial::Denial,
    limits::Limits,
    rate::{Rate, RateTable},
};

/// Attributes that an error names: one would do for whoever reads it.
const UNKNOWN_NAMED_MAX: usize = 8;
/// Longest answer: a header, an error code with an empty reason, and the attributes that it names.
const ANSWER_BYTES_MAX: usize = 128;
/// "Unknown Attribute".
const UNKNOWN_ATTRIBUTE: u16 = 420;

/// Answers Binding requests, and counts who asks.
#[derive(Debug)]
pub struct StunServer {
    limits: Limits,
    even: RateTable<SourceNet>,
    short: RateTable<SourceNet>,
}

impl StunServer {
    /// Nobody has asked yet.
    pub fn new(limits: Limits) -> Self {
        let entries = limits.rate_entries_max;
        Self { limits, even: RateTable::new(entries), short: RateTable::new(entries) }
    }

    /// Takes over other limits.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The answer to a question from `from`. It names `other` as the address to ask next.
    ///
    /// # Errors
    /// It is no Binding request, or there were too many from there.
    pub fn answer(
        &mut self,
        from: SocketAddr,
        request: &[u8],
        other: Option<SocketAddr>,
        now: Instant,
    ) -> Result<Vec<u8>, Denial> {
        let question = read(request).ok_or(Denial::BadStun)?;
        let answer = encode(&reply(&question, from, other));
        let net = SourceNet::from(from.ip());
        let limits = &self.limits;
        if answer.len() <= request.len() {
            let rate = Rate::new(limits.stun_burst, limits.stun_interval_ms);
            self.even.spend(net, rate, now).map_err(|_| Denial::StunRate)?;
        } else {
            let rate = Rate::new(limits.stun_short_burst, limits.stun_short_interval_ms);
            self.short.spend(net, rate, now).map_err(|_| Denial::StunShortRate)?;
        }
        Ok(answer)
    }

    /// Forgets what time has settled. Called once per tick.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.even.forget_full(now);
        self.short.forget_full(now);
    }
}

/// A Binding request that fills its datagram.
fn read(bytes: &[u8]) -> Option<StunMessage> {
    let (message, len) = MessageDecoder::default().decode(bytes).ok()?;
    let is_question =
        message.method() == BINDING && message.class() == MessageClass::Request && len == bytes.len();
    is_question.then_some(message)
}

fn reply(question: &StunMessage, from: SocketAddr, other: Option<SocketAddr>) -> StunMessage {
    let unknown: Vec<_> = question.attributes().iter().filter_map(unknown).take(UNKNOWN_NAMED_MAX).collect();
    let builder =
        |class| StunMessageBuilder::new(BINDING, class).with_transaction_id(*question.transaction_id());
    if unknown.is_empty() {
        let success = builder(MessageClass::SuccessResponse).with_attribute(XorMappedAddress::from(from));
        return match other {
            Some(other) => success.with_attribute(OtherAddress::from(other)).build(),
            None => success.build(),
        };
    }
    // The reason is for people, and would make the answer longer.
    let code = ErrorCode::new(UNKNOWN_ATTRIBUTE, "").expect("420 is between 300 and 699");
    builder(MessageClass::ErrorResponse)
        .with_attribute(ErrorCodeAttribute::from(code))
        .with_attribute(UnknownAttributes::from(&unknown[..]))
        .build()
}

/// The type of an attribute that the asker insists on, if this server does not know what it asks. Answers from
/// elsewhere than the question went to (CHANGE-REQUEST, RESPONSE-PORT) are not given.
fn unknown(attribute: &StunAttribute) -> Option<u16> {
    let is_unknown = attribute.is_unknown() || attribute.is_change_request() || attribute.is_response_port();
    let kind = attribute.attribute_type();
    (is_unknown && kind.is_comprehension_required()).then(|| kind.as_u16())
}

fn encode(message: &StunMessage) -> Vec<u8> {
    let mut bytes = vec![0; ANSWER_BYTES_MAX];
    let len =
        MessageEncoder::default().encode(&mut bytes, message).expect("the longest answer fits its buffer");
    bytes.truncate(len);
    bytes
}

/// What OTHER-ADDRESS is for a client at `from` that asked the socket at `asked`, out of all that are `open`: one with
/// another port, and on another IP where there is one that the client can reach as well. `None` if there is none.
///
/// `public` is the relay's address as its admin knows it: it stands for an address behind a NAT that passes all ports.
pub fn other_address(
    asked: SocketAddr,
    from: SocketAddr,
    open: &[SocketAddr],
    public: Option<IpAddr>,
) -> Option<SocketAddr> {
    if asked.ip().is_unspecified() {
        return None;
    }
    let near = open.iter().find(|addr| addr.ip() == asked.ip() && addr.port() != asked.port())?;
    let reach = Reach::of(from.ip());
    if Reach::of(asked.ip()) != reach {
        let ip = public.filter(|ip| ip.is_ipv4() == near.is_ipv4()).unwrap_or_else(|| near.ip());
        return Some(SocketAddr::new(ip, near.port()));
    }
    let far = open.iter().find(|addr| {
        addr.ip() != asked.ip()
            && addr.is_ipv4() == asked.is_ipv4()
            && addr.port() == near.port()
            && Reach::of(addr.ip()) == reach
    });
    far.or(Some(near)).copied()
}
