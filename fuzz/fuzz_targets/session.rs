//! libFuzzer on [`everwire_fuzz::session`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| everwire_fuzz::session(input));
