//! libFuzzer on [`everwire_fuzz::hub_nodes`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| everwire_fuzz::hub_nodes(input));
