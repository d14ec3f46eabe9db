//! Peak memory of runs, compared with its bound.

use crate::{PEAK, alone};
use poai_core::program::{Builder, Clamp, Dim, Dtype, Form, Op, RunShape};
use poai_core::{Challenge, Difficulty};
use poai_engine::execute::{Constants, Mining, Network, RunOptions, Session, Tensor};
use poai_engine::{Cpu, Keep, MineOptions};
use poai_testing::zoo;
use std::sync::Arc;

/// Twelve products of 1024 columns and their ReLUs.
fn deep() -> Network {
    let mut builder = Builder::new(&[Form::new(Dim::fixed(1), Dim::fixed(1024), Dtype::I8)]);
    let mut constants = Constants::default();
    let entries = zoo::entries("weights", 1024 * 1024, -63, 63);
    let scales = [0, 1 << 20, 0].repeat(1024);
    let mut value = builder.input(0);
    for layer in 0..12 {
        let size = (1024, 1024);
        let name = format!("weights {layer}");
        let weights = constants.add(&mut builder, &name, size, Dtype::I8, &entries).unwrap();
        let name = format!("scales {layer}");
        let requantise =
            constants.add(&mut builder, &name, (1024, 3), Dtype::I32, &scales).unwrap();
        let op = Op::Linear { weights, requantise, shifts: [28, 0, 0], clamp: Clamp::SYMMETRIC };
        value = builder.step("linear", op, &[value]).unwrap();
        value = builder.step("relu", Op::Relu, &[value]).unwrap();
    }
    Network::new(builder.finish().unwrap(), constants.into_tensors()).unwrap()
}

#[test]
fn runs_take_no_more_than_their_bound() {
    let _alone = alone();
    let encoder = RunShape::new(25, 64);
    let rows = RunShape::new(512, 1);
    let entries = zoo::entries("input", 512 * 1024, -63, 63);
    let input = Tensor::new(512, 1024, Dtype::I8, &entries).unwrap();
    let mining =
        Mining { challenge: Challenge([1; 32]), options: MineOptions::new(Difficulty::BLOCK_MIN) };
    let many = Mining {
        challenge: Challenge([1; 32]),
        options: MineOptions::new(Difficulty::ONE).keep(Keep::UpTo(usize::MAX)),
    };
    for (network, run, inputs) in [
        (zoo::encoder(), encoder, zoo::tokens(&encoder)),
        (zoo::gates(), rows, zoo::small_images(&rows)),
        (zoo::relative(), encoder, zoo::states(&encoder)),
        (deep(), rows, vec![input]),
    ] {
        let session = Session::new(network, Arc::new(Cpu::new())).unwrap();
        session.keep_at_most(0);
        // The pool's threads keep some memory from their first work on.
        session.trace((run, inputs.clone())).unwrap();
        let plain = RunOptions::new();
        for (options, traced) in [
            (plain.clone(), false),
            (plain.clone(), true),
            (plain.clone().sums(), true),
            (plain.clone().mine(mining.clone()), false),
            (plain.clone().mine(mining.clone()), true),
            (plain.mine(many.clone()), false),
        ] {
            let bound = match traced {
                true => session.trace_memory_bytes(&run, &options).unwrap(),
                false => session.memory_bytes(&run, &options).unwrap(),
            };
            let asked = (run, inputs.clone());
            let before = PEAK.current_usage() as u64;
            PEAK.reset_peak_usage();
            match traced {
                true => drop(session.trace_with(asked, &options).unwrap()),
                false => drop(session.run_with(asked, &options).unwrap()),
            }
            // The inputs were allocated before.
            let own: u64 = inputs.iter().map(|input| input.bytes().len() as u64).sum();
            let peak = PEAK.peak_usage() as u64 - before + own;
            println!("{options:?}, traced {traced}: {peak} of {bound} bytes");
            assert!(peak <= bound, "{peak} of {bound}");
            assert!(bound <= 3 * peak + (4 << 20), "{peak} of {bound}");
        }
    }
}
