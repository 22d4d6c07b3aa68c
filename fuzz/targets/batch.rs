#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| depinmesh_fuzz::batch(data));
