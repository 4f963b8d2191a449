//! libFuzzer on [`everwire_fuzz::payload`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| everwire_fuzz::payload(input));
