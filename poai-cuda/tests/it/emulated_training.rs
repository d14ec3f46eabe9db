//! Every step of training on an emulated GPU: the CPU's bytes, and the CPU's
//! errors.

use crate::emulated_programs::{gpu, with_driver};
use poai_core::program::{
    Builder, Clamp, Dim, Dtype, Form, Op, Program, RunShape, TrainingOp, ValueId,
    training::{Shift, Sign},
};
use poai_core::{Challenge, Difficulty};
use poai_cuda::Cuda;
use poai_engine::MineOptions;
use poai_engine::execute::{Device, Mining, Network, RunError, RunOptions, Session, Tensor};
use poai_testing::emulated::Settings;
use poai_testing::training::{OneStep, one_step_programs, programs_without_output};
use poai_testing::zoo;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Orders of threads: the lowest first, the highest first, and random.
const ORDERS: [Settings<'_>; 3] = [
    &[("POAI_EMULATED_ORDER", "0")],
    &[("POAI_EMULATED_ORDER", "1")],
    &[("POAI_EMULATED_ORDER", "2")],
];

/// The bytes of every value of a traced run, inputs included.
fn values(
    network: &Network,
    (inputs, run): (&[Tensor], RunShape),
    backend: Arc<dyn Device>,
) -> Result<Vec<Vec<u8>>, RunError> {
    let session = Session::new(network.clone(), backend).unwrap();
    let trace = session.trace((run, inputs.to_vec()))?.trace;
    let value = |id: u32| trace.value(ValueId(id)).unwrap().bytes().to_vec();
    Ok((0..network.program().values() as u32).map(value).collect())
}

fn cpu() -> Arc<dyn Device> {
    poai_engine::choose::by_name("cpu-scalar").unwrap()
}

/// Compares a program on the GPU with the CPU: all values of a traced run, and
/// the outputs of one that keeps nothing else. Returns whether it has an output.
fn check(cuda: &Arc<Cuda>, (name, network, inputs, run): &OneStep) -> bool {
    let resident = cuda.resident(&Arc::new(network.clone())).unwrap();
    assert!(resident.is_some(), "{name}: no kernel");
    let outputs = |backend| {
        let session = Session::new(network.clone(), backend).unwrap();
        session.run((*run, inputs.clone())).map(|run| run.outputs).map_err(|e| e.to_string())
    };
    assert_eq!(outputs(cuda.clone() as Arc<dyn Device>), outputs(cpu()), "{name}");
    let run = (&inputs[..], *run);
    match (values(network, run, cuda.clone()), values(network, run, cpu())) {
        (Ok(gpu), Ok(cpu)) => {
            for (value, (gpu, cpu)) in gpu.iter().zip(&cpu).enumerate() {
                let differs = gpu.iter().zip(cpu).position(|(a, b)| a != b);
                assert_eq!(differs, None, "{name}: byte of value {value}");
            }
            assert_eq!(gpu, cpu, "{name}");
            true
        }
        (Err(gpu), Err(cpu)) => {
            assert_eq!(gpu.to_string(), cpu.to_string(), "{name}");
            false
        }
        (gpu, cpu) => panic!("{name}: {:?}, {:?}", gpu.map(drop), cpu.map(drop)),
    }
}

#[test]
fn steps_of_training_are_the_cpus() {
    with_driver(&ORDERS, || {
        let cuda = Arc::new(Cuda::open(&gpu()).unwrap());
        let mut kinds = BTreeSet::new();
        for program in one_step_programs() {
            assert!(check(&cuda, &program), "{}", program.0);
            kinds.insert(program.1.program().steps().last().unwrap().op.name());
        }
        assert_eq!(kinds.len(), 24);
        for program in programs_without_output() {
            assert!(!check(&cuda, &program), "{}", program.0);
        }
    });
}

/// Scaled products in several bands, the last one shorter, whose exponents
/// differ by row.
#[test]
fn scaled_products_of_several_bands_are_the_cpus() {
    // With no multiprocessors to keep busy, a band is one row of blocks.
    let settings: [Settings<'_>; 1] = [&[("POAI_EMULATED_MULTIPROCESSORS", "0")]];
    with_driver(&settings, || {
        let cuda = Arc::new(Cuda::open(&gpu()).unwrap());
        let run = RunShape::new(300, 1);
        let (one, columns) = (Dim::fixed(1), Dim::fixed(140));
        let forms = [
            Form::new(one, columns, Dtype::I8),
            Form::shared(Dim::fixed(45), columns, Dtype::I8),
            Form::shared(Dim::fixed(45), one, Dtype::I32),
            Form::new(one, one, Dtype::I32),
        ];
        let mut builder = Builder::new(&forms);
        let inputs: Vec<ValueId> = (0..4).map(|input| builder.input(input)).collect();
        let op = TrainingOp::ScaledProduct {
            shift: Shift::new(3, &[Sign::Plus]),
            bias: true,
            bias_shift: 12,
            clamp: Clamp::full(Dtype::I16),
        };
        builder.step("product", Op::Training(op), &inputs).unwrap();
        let network = Network::new(builder.finish().unwrap(), vec![]).unwrap();
        let tensor = |(rows, columns): (usize, usize), dtype, seed: &str, least, most| {
            let entries = zoo::entries(seed, rows * columns, least, most);
            Tensor::new(rows, columns, dtype, &entries).unwrap()
        };
        let inputs = vec![
            tensor((300, 140), Dtype::I8, "a", -64, 63),
            tensor((45, 140), Dtype::I8, "b", -64, 63),
            tensor((45, 1), Dtype::I32, "bias", i32::MIN, i32::MAX),
            tensor((300, 1), Dtype::I32, "exponents", -9, 9),
        ];
        assert!(check(&cuda, &("bands".into(), network, inputs, run)));
    });
}

/// Operands of the most columns, 2^17 − 1, which only transposed batches have,
/// in a program that lists its outputs.
#[test]
fn the_widest_operands_are_the_cpus() {
    with_driver(&[&[]], || {
        let cuda = Arc::new(Cuda::open(&gpu()).unwrap());
        let one = Dim::fixed(1);
        let forms = [
            Form::new(one, one, Dtype::I8),
            Form::shared(Dim::fixed(8), one, Dtype::I32),
            Form::shared(one, one, Dtype::I32),
        ];
        let mut builder = Builder::new(&forms);
        let [x, seed, t] = [0, 1, 2].map(|input| builder.input(input));
        let mut step = |op: TrainingOp, inputs: &[ValueId]| {
            builder.step(op.name(), Op::Training(op), inputs).unwrap()
        };
        let turned = step(TrainingOp::TransposeTiles, &[x]);
        let (shift, clamp) = (Shift::fixed(4), Clamp::full(Dtype::I8));
        let op = TrainingOp::Rescale { shift, stream: Some(9), multiplier: 15, clamp };
        let rounded = step(op, &[turned, seed, t]);
        let sums = step(TrainingOp::RowSum, &[rounded]);
        let network = builder.finish_with(&[sums, rounded], 0).unwrap();
        let seed = zoo::entries("seed", 8, i32::MIN, i32::MAX);
        let given = [(seed, 8), (vec![3], 1)];
        let widest = Dtype::I8.columns_max();
        assert!(check(&cuda, &wide("widest", network, widest, &given)));

        // Padded columns of an operand are fewer than 2^17.
        let (columns, clamp) = ((1 << 17) - 128, Clamp::full(Dtype::I32));
        let mut builder = Builder::new(&forms[..1]);
        let turn = Op::Training(TrainingOp::TransposeTiles);
        let turned = builder.step("turn", turn, &[builder.input(0)]).unwrap();
        let shift = Shift::fixed(0);
        let op = TrainingOp::ScaledProduct { shift, bias: false, bias_shift: 0, clamp };
        builder.step("product", Op::Training(op), &[turned, turned]).unwrap();
        let network = builder.finish().unwrap();
        // The largest sum.
        assert!(check(&cuda, &wide("product", network, columns, &[])));
    });
}

/// A run of as many items as a program's operands have columns. Its first input
/// has one entry an item, both extremes in turn, or all the least if there is
/// no other input.
fn wide(name: &str, program: Program, batch: u32, given: &[(Vec<i32>, usize)]) -> OneStep {
    let alike = given.is_empty();
    let entry = |at: u32| if alike || at.is_multiple_of(2) { -64 } else { 63 };
    let entries: Vec<i32> = (0..batch).map(entry).collect();
    let mut inputs = vec![Tensor::new(batch as usize, 1, Dtype::I8, &entries).unwrap()];
    let tensor =
        |(entries, rows): &(Vec<i32>, usize)| Tensor::new(*rows, 1, Dtype::I32, entries).unwrap();
    inputs.extend(given.iter().map(tensor));
    let network = Network::new(program, vec![]).unwrap();
    (name.into(), network, inputs, RunShape::new(batch, 1))
}

/// A scaled product that is deep enough to be mined, after one that is not.
#[test]
fn scaled_products_are_mined_as_on_the_cpu() {
    with_driver(&[&[]], || {
        let cuda = Arc::new(Cuda::open(&gpu()).unwrap());
        let (run, one) = (RunShape::new(1100, 1), Dim::fixed(1));
        let forms = [
            Form::new(one, Dim::fixed(40), Dtype::I8),
            Form::new(one, Dim::fixed(33), Dtype::I8),
            Form::shared(one, one, Dtype::I32),
        ];
        let mut builder = Builder::new(&forms);
        let inputs: Vec<ValueId> = (0..3).map(|input| builder.input(input)).collect();
        let mut step = |op: TrainingOp, inputs: &[ValueId]| {
            builder.step(op.name(), Op::Training(op), inputs).unwrap()
        };
        let product = |dtype| TrainingOp::ScaledProduct {
            shift: Shift::new(8, &[Sign::Minus]),
            bias: false,
            bias_shift: 0,
            clamp: Clamp::full(dtype),
        };
        let [a, b] = [0, 1].map(|input| step(TrainingOp::TransposeTiles, &[inputs[input]]));
        let gradient = step(product(Dtype::I8), &[b, a, inputs[2]]);
        step(product(Dtype::I32), &[inputs[0], gradient, inputs[2]]);
        let network = Network::new(builder.finish().unwrap(), vec![]).unwrap();
        let tensor = |(rows, columns): (usize, usize), dtype, seed: &str, least, most| {
            let entries = zoo::entries(seed, rows * columns, least, most);
            Tensor::new(rows, columns, dtype, &entries).unwrap()
        };
        let inputs = vec![
            tensor((1100, 40), Dtype::I8, "a", -64, 63),
            tensor((1100, 33), Dtype::I8, "b", -64, 63),
            tensor((1, 1), Dtype::I32, "exponent", -2, 2),
        ];
        let mining =
            Mining { challenge: Challenge([5; 32]), options: MineOptions::new(Difficulty::ONE) };
        let options = RunOptions::new().sums().mine(mining);
        let on = |backend: Arc<dyn Device>| {
            let session = Session::new(network.clone(), backend).unwrap();
            let run = session.trace_with((run, inputs.clone()), &options).unwrap();
            let proofs: Vec<_> =
                run.mined.iter().map(|step| (step.value, step.found.proof())).collect();
            let sums: Vec<_> = (0..network.program().values() as u32)
                .map(|value| run.trace.sums(ValueId(value)).map(<[i32]>::to_vec))
                .collect();
            (run.trace.root(), proofs, sums)
        };
        let gpu = on(cuda);
        assert!(gpu.1.len() == 1 && gpu.1[0].1.is_some(), "{:?}", gpu.1);
        assert_eq!(gpu, on(cpu()));
    });
}
