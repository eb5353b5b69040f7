//! What host and viewer say to each other, end to end, inside the session's QUIC connection.
//!
//! The viewer opens one bidirectional *control* stream. It starts with the handshake (see
//! `docs/PROTOCOL.md`): frames of `u16be length` + bytes, a Noise handshake between the identity keys whose
//! payloads are [`AuthRequest`] and [`AuthReply`], and then in the same framing what is said until the viewer is let
//! in: [`ViewerMessage::Auth`], and [`HostMessage`] up to [`HostMessage::Accepted`]. What follows travels in *lanes*:
//! unidirectional streams of `u32be length` + frame, each of which begins with its [`StreamKind`] and the `u64be`
//! number of its first frame. Video frames have a stream each.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{
    geometry::{Rect, Size},
    leg::PunchToken,
    nat::Mapping,
    picture::UpdateNumber,
};

/// Longest frame in bytes of the control stream, and of the lanes of messages and inputs.
pub const CONTROL_FRAME_BYTES_MAX: usize = 8192;

/// First byte of a unidirectional stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Host → viewer: [`crate::picture`].
    Picture,
    /// Host → viewer: [`crate::picture::CursorUpdate`].
    Cursor,
    /// Viewer → host: [`crate::input::InputEvent`].
    Input,
    /// Host → viewer: one [`crate::picture::VideoHeader`] and its frame.
    Video,
    /// Either way: [`ViewerMessage`] or [`HostMessage`].
    Messages,
}

impl StreamKind {
    /// Its byte.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Picture => 1,
            Self::Cursor => 2,
            Self::Input => 3,
            Self::Video => 4,
            Self::Messages => 5,
        }
    }

    /// The kind of this byte.
    pub fn parse(byte: u8) -> Option<Self> {
        [Self::Picture, Self::Cursor, Self::Input, Self::Video, Self::Messages]
            .into_iter()
            .find(|kind| kind.byte() == byte)
    }

    /// QUIC send priority: higher goes first, so that a picture never delays a key.
    pub const fn priority(self) -> i32 {
        match self {
            Self::Input => 40,
            Self::Messages => CONTROL_PRIORITY,
            Self::Cursor => 30,
            Self::Picture => 10,
            Self::Video => 8,
        }
    }
}

/// Priority of the control stream and of messages, between input and cursor.
pub const CONTROL_PRIORITY: i32 = 35;

/// Viewer → host, in the Noise handshake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthRequest {
    /// [`crate::limits::PROTOCOL_VERSION`] of the viewer.
    pub version: u16,
    /// What the viewer calls itself.
    pub name: String,
    /// Whether it wants to look only.
    pub view_only: bool,
    /// How it means to be let in.
    pub proof: ProofRequest,
}

/// How a viewer means to be let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProofRequest {
    /// Knows a secret: OPAQUE's first message (RFC 9807, KE1).
    Secret {
        /// Which secret.
        kind: SecretKind,
        /// KE1.
        ke1: Vec<u8>,
    },
    /// Was let in before and lost the connection: the token of [`Terms`].
    Resume([u8; 32]),
}

/// Which of a host's secrets a viewer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SecretKind {
    /// The one-time code.
    Code,
    /// The unattended password.
    Password,
}

/// Host → viewer: answer to [`AuthRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthReply {
    /// OPAQUE's second message (KE2); the viewer answers with [`AuthFinish`].
    Challenge(Vec<u8>),
    /// The resume token is good.
    Resumed,
    /// No.
    Refused(AuthRefusal),
}

/// Viewer → host: the proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthFinish {
    /// OPAQUE's third message (KE3).
    Proof(Vec<u8>),
    /// The host's answer does not fit the secret that the viewer has: it was wrong.
    WrongSecret,
}

/// Why a host lets a viewer not in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthRefusal {
    /// Wrong code or password.
    WrongSecret,
    /// The host has no secret of this kind.
    NoSuchSecret,
    /// Too many attempts; seconds until the next is allowed.
    TooMany(u16),
    /// The host's user said no, or did not answer.
    Declined,
    /// Resume tokens are good for some minutes only.
    ResumeExpired,
    /// The viewer speaks another version; the host's is given.
    WrongVersion(u16),
    /// The host serves as many viewers as it can.
    Full,
    /// The host cannot show its screen: no display, or no permission.
    NoScreen,
}

/// What a viewer may do, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Permission {
    /// Look only.
    View,
    /// Look, point and type.
    Control,
}

/// What both agreed on when a session starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// What the viewer may do.
    pub permission: Permission,
    /// What the host calls itself.
    pub host_name: String,
    /// Size of the host's screen.
    pub screen: Size,
    /// Lets the same viewer in again after a lost connection.
    pub resume: [u8; 32],
}

/// Where a peer may be reached directly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidates {
    /// At most [`crate::limits::CANDIDATES_MAX`].
    pub addrs: Vec<SocketAddr>,
    /// What a [`PUNCH`](crate::leg) to any of them carries.
    pub token: PunchToken,
    /// The newest mapping of its NAT that it knows of.
    pub public: Option<SocketAddr>,
    /// What its NAT does.
    pub mapping: Mapping,
    /// Whether ports that cannot be known are to be guessed in this round, as the viewer says and the host repeats.
    pub guess: bool,
}

/// Viewer → host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ViewerMessage {
    /// The proof, right after the handshake.
    Auth(AuthFinish),
    /// Where the viewer may be reached directly. Starts a punching round; the host answers with its own.
    Candidates(Candidates),
    /// Everything up to this number is decoded.
    Ack {
        /// The newest.
        number: UpdateNumber,
        /// How long this message was held back, in tenths of a millisecond: several small updates are
        /// acknowledged at once.
        held: u16,
    },
    /// Whether the picture is wanted: not while the window is hidden.
    Watching(bool),
    /// What is wanted of the picture, from now on.
    View(ViewWish),
    /// A video frame could not be decoded: the next one must need no other.
    Refresh,
    /// Goodbye.
    Leave,
}

/// Host → viewer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostMessage {
    /// The proof is good and the host's user is being asked.
    Asking,
    /// Come in.
    Accepted(Terms),
    /// No.
    Refused(AuthRefusal),
    /// Where the host may be reached directly.
    Candidates(Candidates),
    /// What the viewer may do has changed.
    Permission(Permission),
    /// The session is over.
    Ended(EndReason),
    /// The monitors that the viewer may choose from, in the order of the host's system; at most
    /// [`crate::limits::MONITORS_MAX`]. Comes at the start and at every change.
    Monitors(Vec<Monitor>),
}

/// One of a host's monitors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitor {
    /// What the system calls it.
    pub name: String,
    /// Where it is on the host's screen.
    pub rect: Rect,
    /// Whether it is the one with the task bar.
    pub is_primary: bool,
}

/// What a viewer wants of the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewWish {
    /// Which part of the screen.
    pub area: ViewArea,
    /// What it may cost.
    pub quality: Quality,
    /// Most pictures a second; `None` is as many as the link carries.
    pub fps_max: Option<u8>,
    /// How video comes.
    pub video: VideoWish,
}

/// Which part of a host's screen a viewer wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ViewArea {
    /// All monitors, as one picture.
    #[default]
    All,
    /// The monitor at this place of [`HostMessage::Monitors`]; all, if there is none.
    Monitor(u8),
}

/// What a picture may cost, in words that a person understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quality {
    /// Exact text, video where much moves, as much as the link carries.
    #[default]
    Auto,
    /// Everything exact as soon as possible: video only where nothing else would do, and at a high rate.
    Sharp,
    /// As many pictures a second as possible: video and JPEG sooner, exact when it rests.
    Smooth,
    /// As few bytes as possible.
    Saver {
        /// Without colour.
        grey: bool,
        /// At half of the resolution.
        half: bool,
    },
}

/// How a viewer wants what moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum VideoWish {
    /// By H.264.
    #[default]
    H264,
    /// By JPEG only.
    Jpeg,
}

/// Why a host ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// The host's user pressed the button.
    ByHost,
    /// The host program stops.
    HostStops,
    /// The host can show its screen no longer.
    ScreenLost,
    /// The viewer broke the protocol.
    Protocol,
}
