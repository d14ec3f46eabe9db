//! Decodes any bytes as a program. A program that decodes has only these bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use poai_core::Program;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(program) = Program::from_bytes(bytes) {
        assert_eq!(program.to_bytes(), bytes);
        let again = Program::from_bytes(&program.to_bytes()).unwrap();
        assert_eq!(again.program_id(), program.program_id());
        assert_eq!(again.architecture_id(), program.architecture_id());
    }
});
