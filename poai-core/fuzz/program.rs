//! Decodes any bytes, and altered programs of every step of training and of
//! decoders, as programs. A program that decodes has only these bytes, and its tiles read
//! no more than their bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use poai_core::Program;
use poai_core::program::ops::Local;
use poai_core::program::{Builder, Op, RunShape, TrainingOp, ValueId};
use poai_core::trace::TraceRules;
use poai_testing::edges::decoder_cases;
use poai_testing::training::one_step_programs;
use poai_verify::trace::Checker;
use std::sync::OnceLock;

/// The first bytes of every program.
const MAGIC: &[u8] = b"poai program";

/// The bytes of a program of each step, without a list and with one.
fn seeds() -> &'static [[Vec<u8>; 2]] {
    static SEEDS: OnceLock<Vec<[Vec<u8>; 2]>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let both = |program: &Program| [program.to_bytes(), listed(program).to_bytes()];
        let of_training = one_step_programs().into_iter().map(|(_, network, ..)| network);
        let of_decoders = decoder_cases().into_iter().map(|case| case.network);
        of_training.chain(of_decoders).map(|network| both(network.program())).collect()
    })
}

/// The program with a list of its output and the sums of the output's rows.
fn listed(program: &Program) -> Program {
    let mut builder = Builder::new(program.inputs());
    for constant in program.constants() {
        builder.constant(&constant.name, constant.root, constant.extent);
    }
    for step in program.steps() {
        builder.step(&step.name, step.op.clone(), &step.inputs).unwrap();
    }
    let output = program.output();
    let sums = builder.step("sums", Op::Training(TrainingOp::RowSum), &[output]).unwrap();
    builder.finish_with(&[output, sums], 0).unwrap()
}

/// Compares what the first and the last tile of every step read with the bounds.
fn check_tiles(program: &Program, run: RunShape) {
    let checker = Checker::new(program.clone(), TraceRules::DEFAULT);
    let Ok(extents) = program.extents(&run) else { return };
    for value in (0..program.values() as u32).map(ValueId) {
        let Some(local) = Local::new(program, &extents, run, value) else { continue };
        let bound = checker.tile_bound(&run, value).unwrap().unwrap();
        // No checker reads such a tile.
        if bound.memory > TraceRules::DEFAULT.tile_memory_max {
            continue;
        }
        let grid = local.grid();
        for tile in [0, grid.tiles() - 1] {
            let region = grid.tile(tile).unwrap();
            let own = local.own_chunks(&region).unwrap();
            let mut opened = own.opened_len() + 32 * u64::from(own.siblings());
            let Some(within) = local.within(&region) else { continue };
            for read in local.reads(&within) {
                let strip = local.slot(read.slot).strip(&read.rows).unwrap();
                opened += strip.opened_len() + 32 * u64::from(strip.siblings());
            }
            assert!(opened <= bound.bytes, "{opened} {bound:?}");
        }
    }
}

/// Bytes that do not start as a program's do are read as the number of a
/// program of a step of training or of decoders, whether it has a list of outputs, and places
/// with masks.
fn altered(script: &[u8]) -> Vec<u8> {
    let seeds = seeds();
    let [low, high, list, changes @ ..] = script else { return script.to_vec() };
    let number = usize::from(u16::from_le_bytes([*low, *high]));
    let mut bytes = seeds[number % seeds.len()][usize::from(list & 1)].clone();
    for change in changes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        bytes[at] ^= change[2];
    }
    bytes
}

fuzz_target!(|bytes: &[u8]| {
    let bytes = if bytes.starts_with(MAGIC) { bytes.to_vec() } else { altered(bytes) };
    if let Ok(program) = Program::from_bytes(&bytes) {
        assert_eq!(program.to_bytes(), bytes);
        let again = Program::from_bytes(&program.to_bytes()).unwrap();
        assert_eq!(again.program_id(), program.program_id());
        assert_eq!(again.architecture_id(), program.architecture_id());
        assert_eq!(program.is_causal(), program.causality().is_ok());
        for (batch, sequence) in [(1, 1), (3, 40), (33, 2)] {
            let sequence = if program.has_tokens() { sequence } else { 1 };
            let answers = if program.has_answers() { batch + 1 } else { 0 };
            check_tiles(&program, RunShape::new(batch, sequence).answers(answers));
        }
    }
});
