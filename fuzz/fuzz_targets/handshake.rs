//! libFuzzer on [`everwire_fuzz::handshake`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| everwire_fuzz::handshake(input));
