//! libFuzzer on [`everwire_fuzz::signalr_events`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| everwire_fuzz::signalr_events(input));
