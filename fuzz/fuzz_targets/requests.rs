//! libFuzzer on [`everwire_fuzz::requests`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| everwire_fuzz::requests(input));
