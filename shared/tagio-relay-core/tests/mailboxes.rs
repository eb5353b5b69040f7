//! What waits for a client of TAGIO messages: in its transport's form, within bounds, and all of it paid back.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::sync::Arc;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tagio_relay_core::messages::{
    Bounds, Budget, Framing, Mailbox,
    mailbox::{ANSWER_BYTES_MAX, Refused},
};

const WIDE: Bounds = Bounds { own_bytes_max: 1 << 20, all_bytes_max: 1 << 20 };

fn mailbox(framing: Framing) -> (Mailbox, Arc<Budget>) {
    let budget = Arc::new(Budget::default());
    (Mailbox::new(framing, Arc::clone(&budget)), budget)
}

#[test]
fn websocket_frames_have_the_three_lengths_of_the_rfc() {
    for (len, head) in [
        (0, &[0x82, 0][..]),
        (125, &[0x82, 125]),
        (126, &[0x82, 126, 0, 126]),
        (65_535, &[0x82, 126, 0xff, 0xff]),
        (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let (mut mailbox, budget) = mailbox(Framing::WebSocket);
        mailbox.push(&[&vec![7; len]], WIDE).unwrap();
        assert_eq!(budget.used(), head.len() + len, "what waits is what is charged");
        let bytes = mailbox.take_all(Vec::new());
        assert_eq!((&bytes[..head.len()], bytes.len()), (head, head.len() + len));
        mailbox.written();
        assert_eq!(budget.used(), 0);
    }
}

#[test]
fn a_full_mailbox_refuses_the_whole_message_and_keeps_the_others() {
    let bounds = Bounds { own_bytes_max: 100, all_bytes_max: 150 };
    let (mut first, budget) = mailbox(Framing::Length);
    first.push(&[b"MSG", &[1; 60]], bounds).unwrap();
    assert_eq!(first.push(&[&[2; 60]], bounds), Err(Refused::Full));
    let mut second = Mailbox::new(Framing::Length, Arc::clone(&budget));
    second.push(&[&[3; 60]], bounds).unwrap();
    let mut third = Mailbox::new(Framing::Length, Arc::clone(&budget));
    assert_eq!(third.push(&[&[4; 30]], bounds), Err(Refused::AllFull));
    assert_eq!(first.take_one().unwrap(), [b"MSG", &[1; 60][..]].concat());
    assert_eq!(first.take_one(), None);
    third.push(&[&[4; 30]], bounds).unwrap();
    drop((first, second, third));
    assert_eq!(budget.used(), 0);
}

#[test]
fn what_is_being_written_still_counts() {
    let bounds = Bounds { own_bytes_max: 100, all_bytes_max: 1000 };
    let (mut mailbox, budget) = mailbox(Framing::Bare);
    mailbox.push(&[&[1; 80]], bounds).unwrap();
    let written = mailbox.take_all(Vec::new());
    assert!(mailbox.is_empty());
    assert_eq!(mailbox.push(&[&[2; 80]], bounds), Err(Refused::Full));
    mailbox.push(&[b"short"], bounds).unwrap();
    mailbox.written();
    assert_eq!(budget.used(), 5);
    mailbox.push(&[&[2; 80]], bounds).unwrap();
    assert_eq!(mailbox.take_all(written).len(), 85);
}

#[test]
fn whatever_comes_and_goes_nothing_is_lost_and_everything_is_paid_back() {
    let mut rng = StdRng::seed_from_u64(5);
    for _ in 0..200 {
        let (mut mailbox, budget) = mailbox(Framing::Length);
        let (mut sent, mut received) = (Vec::new(), Vec::new());
        for _ in 0..100 {
            match rng.random_range(0..4) {
                0 | 1 => {
                    let message = vec![rng.random(); rng.random_range(0..200)];
                    mailbox.push(&[&message], WIDE).unwrap();
                    sent.push(message);
                }
                2 => received.extend(mailbox.take_one()),
                _ => {
                    let all = mailbox.take_all(Vec::new());
                    received.extend(split(&all));
                    mailbox.written();
                }
            }
            assert_eq!(mailbox.is_empty(), sent.len() == received.len());
        }
        received.extend(std::iter::from_fn(|| mailbox.take_one()));
        assert_eq!(received, sent);
        assert_eq!(budget.used(), 0);
    }
}

fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<4>() {
        let (message, rest) = rest.split_at(u32::from_be_bytes(*len) as usize);
        messages.push(message.to_vec());
        bytes = rest;
    }
    messages
}

#[test]
fn nobody_can_take_the_relays_answers_away_by_filling_a_mailbox() {
    let bounds = Bounds { own_bytes_max: 100, all_bytes_max: 100 };
    let (mut mailbox, _budget) = mailbox(Framing::WebSocket);
    mailbox.push(&[&[1; 80]], bounds).unwrap();
    assert_eq!(mailbox.push(&[&[1; 80]], bounds), Err(Refused::Full));
    mailbox.answer(b"TAGIO\0\0\0\x01ACK\x01\x02\x03\x04", bounds).unwrap();
    mailbox.push_raw(&[0x8a, 0], bounds).unwrap();
    // Yet a client that reads nothing at all is found out.
    assert_eq!(mailbox.answer(&vec![0; ANSWER_BYTES_MAX], bounds), Err(Refused::Full));
}
