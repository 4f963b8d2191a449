//! libFuzzer on [`everwire_fuzz::frame`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| everwire_fuzz::frame(input));
