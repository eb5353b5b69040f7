//! What strangers' bytes are fed to: everything that this crate reads. Shared by the test here and a target in `fuzz/`.

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};
use tagio_wire::{
    control::{ClientMessage, Hello, HelloReply, Preface, RelayMessage},
    decode, encode,
    input::{InputEvent, PointerMove},
    leg::Datagram,
    picture::{CursorUpdate, UpdateHeader, VideoHeader},
    port::{PortPiece, PortReply, PortRequest},
    session::{AuthFinish, AuthReply, AuthRequest, HostMessage, StreamKind, ViewWish, ViewerMessage},
    trunk::TrunkFrame,
    tunnel::{ClientNote, DataHello, Open, OpenReply, RelayNote, Visit},
};

/// Reads the bytes as each kind of message there is. What is read is written and read again as the same. Returns how
/// many kinds took them.
pub(crate) fn messages(data: &[u8]) -> usize {
    let mut taken = [
        same::<Hello>(data),
        same::<HelloReply>(data),
        same::<ClientMessage>(data),
        same::<RelayMessage>(data),
        same::<AuthRequest>(data),
        same::<AuthReply>(data),
        same::<AuthFinish>(data),
        same::<ViewerMessage>(data),
        same::<HostMessage>(data),
        same::<ViewWish>(data),
        same::<PointerMove>(data),
        same::<InputEvent>(data),
        same::<PortRequest>(data),
        same::<PortReply>(data),
        same::<Open>(data),
        same::<OpenReply>(data),
        same::<ClientNote>(data),
        same::<RelayNote>(data),
        same::<DataHello>(data),
        same::<Visit>(data),
    ]
    .into_iter()
    .filter(|taken| *taken)
    .count();
    if let Ok(header) = decode::<UpdateHeader>(data) {
        assert!(same::<UpdateHeader>(data));
        // Whoever allocates asks this first, and may then believe the sizes.
        if header.is_sound() {
            header.payload_len();
        }
        taken += 1;
    }
    if let Ok(header) = decode::<VideoHeader>(data) {
        assert!(same::<VideoHeader>(data));
        assert!(!header.is_sound() || header.rect.fits(header.picture()));
        taken += 1;
    }
    if let Ok(update) = decode::<CursorUpdate>(data) {
        assert!(same::<CursorUpdate>(data));
        if let CursorUpdate::Shape(shape) = update {
            shape.is_sound();
        }
        taken += 1;
    }
    if let Some(datagram) = Datagram::parse(data) {
        assert_eq!(Datagram::parse(&datagram.bytes()), Some(datagram));
        taken += 1;
    }
    if let Some(piece) = PortPiece::parse(data) {
        assert_eq!(piece.bytes(), data);
        taken += 1;
    }
    if let Ok(Some((visit, frame, len))) = TrunkFrame::parse(data) {
        let mut bytes = Vec::new();
        frame.put(visit, &mut bytes);
        let again = TrunkFrame::parse(&bytes).expect("it was written here").expect("all of it");
        assert!((again.0, again.1) == (visit, frame) && len <= data.len());
        taken += 1;
    }
    if let Some(first) = data.first_chunk() {
        Preface::parse(*first).inspect(|preface| assert_eq!(preface.bytes(), *first));
        StreamKind::parse(first[0]).inspect(|kind| assert_eq!(kind.byte(), first[0]));
    }
    taken
}

/// Whether the bytes are a message of this kind.
fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) -> bool {
    let Ok(message) = decode::<T>(data) else { return false };
    assert_eq!(decode::<T>(&encode(&message)).as_ref(), Ok(&message));
    true
}
