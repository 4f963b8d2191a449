//! libFuzzer on [`everwire_fuzz::envelope`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| everwire_fuzz::envelope(input));
