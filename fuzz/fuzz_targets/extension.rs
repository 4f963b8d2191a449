//! libFuzzer on [`everwire_fuzz::extension`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| everwire_fuzz::extension(input));
