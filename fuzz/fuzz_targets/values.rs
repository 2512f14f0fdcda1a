#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (walspring_fuzzing::target("values").run)(data));
