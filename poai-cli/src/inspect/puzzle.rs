//! Mined proofs and programs.

use super::found::Found;
use poai::verify::proof_hash;
use poai::{Params, Program, ProofView};

/// A mined proof.
pub fn proof(bytes: &[u8]) -> Option<Found> {
    let view = ProofView::from_bytes(&Params::CONSENSUS, bytes).ok()?;
    let shape = view.statement.shape;
    Some(
        Found::new("mined proof")
            .text_of("shape", format!("{}×{}×{}", shape.m, shape.n, shape.k))
            .text_of("macs", shape.macs())
            .text_of("root_a", view.statement.root_a)
            .text_of("root_b", view.statement.root_b)
            .text_of("tile", view.tile)
            .with("claimed_transcript", hex::encode(view.transcript.to_bytes()))
            .text_of("proof_hash", poai::Root(proof_hash(bytes)))
            .with("bytes", bytes.len()),
    )
}

/// A program.
pub fn program(bytes: &[u8]) -> Option<Found> {
    let program = Program::from_bytes(bytes).ok()?;
    let inputs: Vec<String> = program.inputs().iter().map(|form| form.to_string()).collect();
    let constants = program
        .constants()
        .iter()
        .map(|constant| format!("{}: {}, root {}", constant.name, constant.extent, constant.root));
    let constants: Vec<String> = constants.collect();
    let steps = program.steps().iter().enumerate().map(|(index, step)| {
        let value = program.inputs().len() + index;
        let reads: Vec<_> = step.inputs.iter().map(|input| input.0.to_string()).collect();
        format!("{value}: {} of {} → {}", step.name, reads.join(", "), step.form)
    });
    let steps: Vec<String> = steps.collect();
    Some(
        Found::new("program")
            .text_of("program_id", program.program_id())
            .text_of("architecture_id", program.architecture_id())
            .with("bytes", bytes.len())
            .with("inputs", inputs)
            .with("constants", constants)
            .with("steps", steps),
    )
}
