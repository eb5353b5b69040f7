//! Bounds that both ends of a wire must agree on. Each says why it has this value.

/// Version of every TagIO wire format. Ends that differ refuse each other with a clear word.
pub const PROTOCOL_VERSION: u16 = 1;

/// ALPN of a session's QUIC connection.
pub const SESSION_ALPN: &[u8] = b"tagio/1";

/// Longest name that a peer may give itself, in bytes: one line of a prompt.
pub const PEER_NAME_BYTES_MAX: usize = 64;

/// Longest text that one input event may carry, in bytes. Longer text travels as several events.
pub const INPUT_TEXT_BYTES_MAX: usize = 1024;

/// Most candidates that a peer may name in one message: more would let it spread probes over strangers.
pub const CANDIDATES_MAX: usize = 16;

/// Largest side of a host's screen in pixels. X11 coordinates end here too.
pub const SCREEN_SIDE_MAX: u32 = 32_767;

/// Most pixels of a host's screen: three 8K monitors.
pub const SCREEN_AREA_MAX: u64 = 3 * 7680 * 4320;

/// Most rectangles in one picture update. An encoder that has more merges them.
pub const BANDS_MAX: usize = 512;

/// Largest cursor side in pixels: what X11 and Windows offer at most at 400 % scaling.
pub const CURSOR_SIDE_MAX: u32 = 256;

/// Largest payload of one picture update in bytes: an incompressible full screen of the largest size
/// would not fit, so an encoder splits it.
pub const UPDATE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most rectangles of one picture that come as video: more than one film at a time is rare, more than two is
/// a page of advertisements.
pub const VIDEO_SLOTS: u8 = 2;

/// Largest video frame in bytes: a JPEG of the largest screen at a high quality.
pub const VIDEO_FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Cursor shapes that a viewer keeps: a desktop has about thirty.
pub const CURSOR_SLOTS: u8 = 64;

/// Most monitors that a host offers: their message has to fit into a frame of the lane of messages.
pub const MONITORS_MAX: usize = 16;
