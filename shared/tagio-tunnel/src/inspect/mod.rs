//! What went through a tunnel by HTTP: the last requests and their answers, to be looked at and sent once more.

mod mask;
mod page;
mod passing;
mod recorder;
mod replay;

pub use mask::{MASK, masked_field, masked_target};
pub use page::Inspector;
pub use recorder::{
    BODY_BYTES_MAX, Body, EXCHANGES_MAX, Exchange, ExchangeState, ExchangeSummary, Fields, Head, Recorder,
    Recording,
};
pub use replay::{ReplayError, replay};

pub(crate) use passing::{is_http, serve};
