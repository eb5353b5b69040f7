//! What went through a tunnel by HTTP: the last requests and their answers, to be looked at and sent once more.

mod mask;
mod recorder;

pub use mask::{MASK, masked_field, masked_target};
pub use recorder::{
    BODY_BYTES_MAX, Body, EXCHANGES_MAX, Exchange, ExchangeState, ExchangeSummary, Fields, Head, Recorder,
    Recording,
};
