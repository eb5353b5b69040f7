//! Any bytes as every kind of message.
#![no_main]

#[path = "../../shared/tagio-wire/tests/any_bytes/bodies.rs"]
#[allow(dead_code, reason = "each target runs one body")]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bodies::messages(data);
});
