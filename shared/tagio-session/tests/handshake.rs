//! The handshake from both ends: who gets in, and that nobody else does.

#![allow(clippy::unwrap_used, reason = "a test says no by failing")]

mod world;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tagio_session::{
    IdentityKey, OneTimeCode, Secret, StoredSecret,
    handshake::{
        Credential, HandshakeError, HostHandshake, HostStep, ViewerHandshake, ViewerIntent, ViewerStep,
        WrongSecret,
    },
};
use tagio_wire::{
    decode, encode,
    limits::{PEER_NAME_BYTES_MAX, PROTOCOL_VERSION},
    session::{AuthFinish, AuthRefusal, AuthReply, Permission, SecretKind},
};
use world::{End, Knows, World};

const CODE: &str = "BCDF ghjk";
const PASSWORD: &str = "correct horse battery";

#[test]
fn a_viewer_with_the_right_secret_is_admitted() {
    let world = World::new();
    for knows in [Knows::HostKey, Knows::Nothing] {
        for (typed, kind) in [(CODE, SecretKind::Code), (PASSWORD, SecretKind::Password)] {
            let end = world.meet(knows, world.secret(typed));
            let End::Admitted { admission, verified, kind: asked } = end else {
                panic!("{knows:?}: {end:?}")
            };
            assert_eq!(asked, Some(kind));
            assert_eq!(admission.visitor.key, world.viewer.public());
            assert_eq!(admission.visitor.name, "Ada");
            assert_eq!(verified.host_key, world.host.public());
            assert_eq!(admission.phrase, verified.phrase, "{knows:?}");
        }
    }
}

#[test]
fn a_viewer_comes_back_with_its_token() {
    let world = World::new();
    let End::Admitted { admission, verified, kind } =
        world.meet(Knows::HostKey, Credential::Resume(world.token))
    else {
        panic!("not resumed")
    };
    assert_eq!(kind, None);
    assert_eq!(verified.frame, None);
    assert_eq!(admission.phrase, verified.phrase);
}

#[test]
fn an_expired_token_is_told_so() {
    let world = World::new();
    let end = world.meet(Knows::HostKey, Credential::Resume([6; 32]));
    assert!(matches!(end, End::ViewerRefused(AuthRefusal::ResumeExpired)), "{end:?}");
}

#[test]
fn a_token_is_not_shown_to_a_host_whose_key_is_unknown() {
    let world = World::new();
    let started = ViewerHandshake::start(world.intent(None, Credential::Resume(world.token)));
    assert_eq!(started.err(), Some(HandshakeError::ResumeNeedsHostKey));
}

#[test]
fn a_wrong_secret_is_noticed_by_both() {
    let world = World::new();
    for knows in [Knows::HostKey, Knows::Nothing] {
        for typed in ["zzzz-zzzz", "no idea"] {
            let end = world.meet(knows, world.secret(typed));
            assert!(matches!(end, End::WrongSecret(WrongSecret)), "{end:?}");
        }
    }
}

#[test]
fn a_forged_proof_is_no_proof() {
    let world = World::new();
    for forged in [vec![], vec![0; 64], vec![7; 63]] {
        let (challenged, _) = world.challenge(world.secret("no idea"));
        assert_eq!(challenged.handle_finish(&AuthFinish::Proof(forged)), Err(WrongSecret));
    }
}

#[test]
fn another_host_than_the_pinned_one_is_not_spoken_to() {
    let world = World::new();
    let (_, first) = world.start(Some(IdentityKey::generate().public()), world.secret(CODE));
    let refused = world.host_side().handle_frame(&first).err();
    assert_eq!(refused, Some(HandshakeError::NotAuthentic));
}

#[test]
fn two_tls_connections_with_someone_between_fail() {
    let world = World::new();
    for host_key in [Some(world.host.public()), None] {
        let (viewer, first) = world.start(host_key, world.secret(CODE));
        let outcome = match HostHandshake::new(&world.host, [9; 32]).handle_frame(&first) {
            Err(error) => error,
            Ok(HostStep::Continue { frame, .. }) => viewer.handle_frame(&frame).err().unwrap(),
            Ok(step) => panic!("{step:?}"),
        };
        assert_eq!(outcome, HandshakeError::NotAuthentic);
    }
}

#[test]
fn a_proof_made_for_a_stranger_is_worth_nothing_at_the_host() {
    let world = World::new();
    // The worst case: the stranger even has the host's stored secret, and so its challenge is accepted.
    let stranger = World { host: IdentityKey::generate(), ..World::new() };
    let (viewer, first) = world.start(Some(stranger.host.public()), world.secret(CODE));
    let request = HostHandshake::new(&stranger.host, world.exporter).handle_frame(&first).unwrap();
    let HostStep::Secret(request) = request else { panic!() };
    let (_, frame) = request.challenge(&world.stored_code).unwrap();
    let ViewerStep::Finished(verified) = viewer.handle_frame(&frame).unwrap() else { panic!() };
    let proof = world::finish_in(&verified.frame.unwrap());

    let (challenged, _) = world.challenge(world.secret(CODE));
    assert_eq!(challenged.handle_finish(&proof), Err(WrongSecret));
}

#[test]
fn a_proof_cannot_be_replayed() {
    let world = World::new();
    let (challenged, verified) = world.challenge(world.secret(CODE));
    let proof = world::finish_in(&verified.unwrap().frame.unwrap());
    assert!(challenged.handle_finish(&proof).is_ok());
    let (challenged, _) = world.challenge(world.secret(CODE));
    assert_eq!(challenged.handle_finish(&proof), Err(WrongSecret));
}

#[test]
fn a_host_that_skips_the_challenge_is_not_believed() {
    let world = World::new();
    let (viewer, first) = world.start(None, world.secret(CODE));
    let HostStep::Continue { frame, next } = world.host_side().handle_frame(&first).unwrap() else {
        panic!()
    };
    let ViewerStep::Continue { frame, next: viewer } = viewer.handle_frame(&frame).unwrap() else { panic!() };
    drop(next.handle_frame(&frame).unwrap());
    let outcome = viewer.handle_frame(&encode(&AuthReply::Resumed)).err();
    assert_eq!(outcome, Some(HandshakeError::UnfitReply));
}

#[test]
fn a_refusal_reaches_the_viewer() {
    let world = World::new();
    let why = AuthRefusal::TooMany(77);
    for knows in [Knows::HostKey, Knows::Nothing] {
        let end = world.meet_refused(knows, why);
        assert_eq!(end, why);
    }
}

#[test]
fn another_version_is_told_ours_whatever_follows_it() {
    let world = World::new();
    for version in [PROTOCOL_VERSION + 1, 9000] {
        let later_format = [encode(&version), vec![0xff; 9]].concat();
        let (frame, mut noise) = world.raw_known_host_request(&later_format);
        let HostStep::Refuse { frame, why } = world.host_side().handle_frame(&frame).unwrap() else {
            panic!()
        };
        assert_eq!(why, AuthRefusal::WrongVersion(PROTOCOL_VERSION));
        let mut payload = vec![0; frame.len()];
        let len = noise.read_message(&frame, &mut payload).unwrap();
        assert_eq!(decode::<AuthReply>(&payload[..len]), Ok(AuthReply::Refused(why)));
    }
}

#[test]
fn wishes_and_names_arrive_fit_for_a_prompt() {
    let world = World::new();
    let name = format!("Eve\u{202e}\n{}", "x".repeat(500));
    let intent = ViewerIntent {
        name: &name,
        wants: Permission::Ports,
        ..world.intent(Some(world.host.public()), world.secret(CODE))
    };
    let (_, first) = ViewerHandshake::start(intent).unwrap();
    let HostStep::Secret(request) = world.host_side().handle_frame(&first).unwrap() else { panic!() };
    assert_eq!(request.visitor().wants, Permission::Ports);
    assert_eq!(request.visitor().name.len(), PEER_NAME_BYTES_MAX);
    assert!(request.visitor().name.starts_with("Evexxx"));
}

#[test]
fn unknown_patterns_and_empty_frames_are_refused() {
    let world = World::new();
    let outcome = |frame: &[u8]| world.host_side().handle_frame(frame).err();
    assert_eq!(outcome(&[]), Some(HandshakeError::Malformed));
    assert_eq!(outcome(&[3, 1, 2]), Some(HandshakeError::UnknownPattern(3)));
    assert_eq!(outcome(&[1]), Some(HandshakeError::Malformed));
}

#[test]
fn a_stored_password_survives_the_disk_and_tells_nothing() {
    let world = World::new();
    let bytes = world.stored_password.to_bytes();
    assert!(!bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes()));
    let read = StoredSecret::from_bytes(&bytes).unwrap();
    assert_eq!(read.kind(), SecretKind::Password);
    assert!(StoredSecret::from_bytes(&bytes[1..]).is_err());
    let world = World { stored_password: read, ..world };
    assert!(matches!(world.meet(Knows::HostKey, world.secret(PASSWORD)), End::Admitted { .. }));
}

#[test]
fn codes_are_the_same_however_they_are_typed() {
    let code = OneTimeCode::parse(CODE).unwrap();
    assert_eq!(*code.spelled(), "bcdf-ghjk");
    assert_eq!(Secret::from(code).kind(), Secret::from_typed(" bcdf\u{2013}GHJK ").kind());
}

#[test]
fn tampered_frames_never_let_anybody_in() {
    const ROUNDS: u64 = 5000;
    let world = World::new();
    for seed in 0..ROUNDS {
        let mut rng = StdRng::seed_from_u64(seed);
        let knows = if rng.random() { Knows::HostKey } else { Knows::Nothing };
        // What follows the challenge costs an Argon2 run, so it is tampered with less often.
        let (early, all) = if matches!(knows, Knows::HostKey) { (2, 3) } else { (3, 5) };
        let victim =
            if rng.random_ratio(9, 10) { rng.random_range(..early) } else { rng.random_range(early..all) };
        let tamper = |number: usize, frame: &mut Vec<u8>| {
            if number == victim {
                spoil(frame, &mut rng);
            }
        };
        let end = world.meet_tampered(knows, world.secret(CODE), tamper);
        assert!(!matches!(end, Ok(End::Admitted { .. })), "seed {seed}: {knows:?}, frame {victim}");
    }
}

/// Changes a frame in one of the ways in which a line or a stranger may.
fn spoil(frame: &mut Vec<u8>, rng: &mut StdRng) {
    let index = rng.random_range(..frame.len());
    match rng.random_range(..4u8) {
        0 => frame[index] ^= 1 << rng.random_range(..8u8),
        1 => frame.truncate(index),
        2 => frame.push(rng.random()),
        _ => {
            frame.remove(index);
        }
    }
}
