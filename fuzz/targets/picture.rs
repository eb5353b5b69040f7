//! Any bytes as all that a viewer's picture is made of.
#![no_main]

#[path = "../../shared/tagio-media/tests/any_bytes/bodies.rs"]
#[allow(dead_code, reason = "each target runs one body")]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bodies::picture(data);
});
