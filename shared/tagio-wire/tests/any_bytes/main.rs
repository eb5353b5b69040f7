//! Whatever bytes arrive, they are messages or they are refused: honest ones, honest ones that were bent, and noise.
//!
//! `fuzz/` runs the same body for as long as one likes. `TAGIO_CORPUS=fuzz/corpus` writes the honest input there, to
//! begin with.

mod bodies;

use std::path::Path;

use tagio_testkit::seeded::Seeded;
use tagio_wire::{
    Point, Rect, Size, encode,
    input::{InputEvent, PointerMove},
    leg::{Channel, Datagram, PunchToken},
    nat::Mapping,
    picture::{Band, Codec, CursorShape, CursorUpdate, Timing, UpdateHeader, VideoCodec, VideoHeader},
    port::{PortPiece, PortRefusal, PortReply, PortRequest, PortTarget},
    session::{
        AuthRequest, Candidates, HostMessage, Monitor, Permission, ProofRequest, SecretKind, ViewWish,
        ViewerMessage,
    },
    trunk::TrunkFrame,
    tunnel::{ClientNote, Manners, Open, OpenReply, Opened, Place, RelayNote, TunnelSecret},
};

const ROUNDS: u64 = 20_000;

/// One of many kinds of message.
fn honest() -> Vec<Vec<u8>> {
    let (screen, rect, timing) = (Size::new(1920, 1080), Rect::new(3, 4, 500, 600), Timing::default());
    let bands = vec![
        Band { rect, codec: Codec::Copy { x: 9, y: 9 }, len: 0 },
        Band { rect, codec: Codec::ZstdPrefix, len: 70_000 },
    ];
    let update = UpdateHeader { number: 7, screen, scale: 1, video_until: 5, timing, bands };
    let codec = VideoCodec::H264;
    let video = VideoHeader { number: 8, screen, scale: 2, slot: 1, rect, codec, after: 6, timing };
    let shape = CursorShape { size: Size::new(2, 3), hotspot: Point::new(1, 1), rgba: vec![9; 24] };
    let proof = ProofRequest::Secret { kind: SecretKind::Code, ke1: vec![7; 96] };
    let addrs =
        vec!["192.0.2.7:9".parse().expect("an address"), "[2001:db8::1]:70".parse().expect("one too")];
    let candidates = Candidates {
        public: addrs.first().copied(),
        addrs,
        token: PunchToken([3; 8]),
        mapping: Mapping::Sequential { step: -2 },
        guess: true,
    };
    let monitor = Monitor { name: "HDMI-1".to_owned(), rect, is_primary: true };
    let secret = TunnelSecret([6; 32]);
    let open = Open {
        version: 1,
        run: secret,
        proof: Some(secret),
        place: Place::Name("app".to_owned()),
        manners: Manners { allow: vec!["192.0.2.0/24".to_owned()], ..Manners::default() },
    };
    let opened =
        Opened { session: 9, pool_key: secret, host: None, port: 8081, pool: 8, proof: Some(secret) };
    let pointer = PointerMove { number: 5, to: Point::new(-3, 700) };
    vec![
        encode(&update),
        encode(&video),
        encode(&CursorUpdate::Shape(shape)),
        encode(&AuthRequest { version: 1, name: "desk".to_owned(), wants: Permission::Control, proof }),
        encode(&ViewerMessage::Candidates(candidates)),
        encode(&ViewerMessage::View(ViewWish::default())),
        encode(&HostMessage::Monitors(vec![monitor])),
        encode(&InputEvent::Pointer(pointer)),
        encode(&PortRequest::Connect(PortTarget { host: "localhost".to_owned(), port: 5432 })),
        encode(&PortReply::Refused(PortRefusal::ViewOnly)),
        PortPiece::Credit(32_768).bytes(),
        encode(&open),
        encode(&OpenReply::Opened(opened)),
        encode(&ClientNote::Healthy(true)),
        encode(&RelayNote::Dial(5)),
        frame(TrunkFrame::Open(([192, 0, 2, 7], 9).into())),
        frame(TrunkFrame::Data(&[8; 100])),
        frame(TrunkFrame::Credit(32_768)),
        encode(&InputEvent::Text("grüße".to_owned())),
        Datagram::Punch { token: PunchToken([1; 8]) }.bytes(),
        Datagram::Data { channel: Channel(4), packet: &[5; 100] }.bytes(),
    ]
}

fn frame(frame: TrunkFrame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.put(7, &mut bytes);
    bytes
}

/// Bends bits and numbers, cuts, or puts noise at the end.
fn bend(honest: &[u8], random: &mut Seeded) -> Vec<u8> {
    let mut bytes = honest.to_vec();
    for _ in 0..1 + random.below(3) {
        let at = random.below(bytes.len().max(1));
        match random.below(5) {
            0 => bytes.truncate(at),
            1 => bytes.extend(random.bytes(20)),
            // The marks of longer numbers.
            2 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = 250 + random.byte() % 6),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
        }
    }
    bytes
}

#[test]
fn any_bytes_are_a_message_or_refused() {
    let honest = honest();
    for (i, bytes) in honest.iter().enumerate() {
        assert!(bodies::messages(bytes) > 0, "message {i} is refused");
        if let Ok(folder) = std::env::var("TAGIO_CORPUS") {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder).join("messages");
            std::fs::create_dir_all(&folder).expect("a place for the input");
            std::fs::write(folder.join(format!("honest-{i}")), bytes).expect("a place for the input");
        }
    }
    let only: Option<u64> = std::env::var("TAGIO_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let mut taken = 0;
    for seed in only.map_or(0..ROUNDS, |seed| seed..seed + 1) {
        let mut random = Seeded::new(seed);
        let count = random.below(300);
        let input = match seed % 8 {
            0 => random.bytes(count),
            _ => bend(&honest[random.below(honest.len())], &mut random),
        };
        let outcome = std::panic::catch_unwind(|| bodies::messages(&input));
        taken += usize::from(outcome.unwrap_or_else(|_| panic!("TAGIO_SEED={seed} repeats it")) > 0);
    }
    assert!(only.is_some() || taken > 1000, "only {taken} of the bent messages are still messages");
}
