//! libFuzzer on [`everwire_fuzz::signalr_publication`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| everwire_fuzz::signalr_publication(input));
