//! Networks in standard form: one circuit, and so one key, for each
//! architecture.
use crate::shared::{JOB, PROVER, SALTS, circuit, key};
use ark_bn254::Fr;
use ndarray::Array2;
use poai_core::inference::{Layout, TensorVisibility, Visibility, WeightsVisibility};
use poai_core::program::{Op, RunShape, standard};
use poai_engine::Cpu;
use poai_engine::execute::{Network, Session, Tensor};
use poai_import::graph::{Expression, Graph, ImageWindow, Input, Kind, Layer, Reduction};
use poai_import::quantise::{Numbers, QuantiseOptions, Quantised, quantise};
use poai_prover::internal::{Witness, matrices, synthesise};
use poai_prover::{Circuit, CircuitError, ProveOptions, Ranges, commit_weights};
use poai_testing::onnx::numbers;
use std::collections::HashSet;
use std::sync::Arc;

const RUN: RunShape = RunShape::new(1, 1);
const SEEN: Visibility = Visibility {
    input: TensorVisibility::Hashed,
    output: TensorVisibility::Hashed,
    weights: WeightsVisibility::Committed,
};

fn matrix(seed: u64, rows: usize, columns: usize, scale: f32) -> Array2<f32> {
    Array2::from_shape_vec((rows, columns), numbers(seed, rows * columns)).unwrap() * scale
}

fn layer(name: &str, kind: Kind, inputs: &[usize]) -> Layer {
    Layer { name: name.to_owned(), kind, inputs: inputs.to_vec() }
}

/// Two layers with weights of any size, as from some training.
fn mlp(seed: u64, size: f32) -> Graph {
    let linear = |seed, outputs, inputs| Kind::Linear {
        weights: matrix(seed, outputs, inputs, size).into(),
        bias: numbers(seed + 1, outputs),
    };
    let layers = vec![
        layer("first", linear(seed, 12, 8), &[0]),
        layer("relu", Kind::Pointwise(Expression::relu()), &[1]),
        layer("second", linear(seed + 2, 5, 12), &[2]),
    ];
    Graph::new(vec![Input::new("input", [1, 8])], layers)
}

/// A network with a sum of branches and a mean, whose multipliers belong to
/// steps.
fn residual(seed: u64, size: f32) -> Graph {
    let window = ImageWindow { pads: [1; 4], ..ImageWindow::of([3; 2]) };
    let conv = |seed, outputs, inputs: usize| Kind::Conv {
        weights: matrix(seed, outputs, 9 * inputs, size).into(),
        bias: numbers(seed + 1, outputs),
        window,
        groups: 1,
    };
    let layers = vec![
        layer("stem", conv(seed, 3, 1), &[0]),
        layer("relu", Kind::Pointwise(Expression::relu()), &[1]),
        layer("branch", conv(seed + 2, 3, 3), &[2]),
        layer("sum", Kind::Add { factors: [1.0; 2] }, &[3, 2]),
        layer("mean", Kind::Reduce { axes: vec![2, 3], how: Reduction::Mean }, &[4]),
        layer("flat", Kind::Reshape { shape: vec![1, 3] }, &[5]),
        layer(
            "logits",
            Kind::Linear {
                weights: matrix(seed + 4, 4, 3, size).into(),
                bias: numbers(seed + 5, 4),
            },
            &[6],
        ),
    ];
    Graph::new(vec![Input::new("input", [1, 1, 4, 4])], layers)
}

fn quantised(graph: &Graph, numbers_of: Numbers) -> Quantised {
    let size = (32, graph.sample_entries());
    let samples = Array2::from_shape_vec(size, numbers(9, size.0 * size.1)).unwrap();
    let options = QuantiseOptions { numbers: numbers_of, ..QuantiseOptions::default() };
    quantise(graph, samples.view(), &options).unwrap()
}

fn network(graph: &Graph, numbers_of: Numbers) -> Network {
    quantised(graph, numbers_of).network
}

/// The standard circuit of a network.
fn standard_circuit(network: &Network) -> Circuit {
    Circuit::new(network).visibility(SEEN).standard().build().unwrap()
}

fn input(network: &Network) -> Tensor {
    let extent = network.program().extents(&RUN).unwrap()[0];
    let (rows, columns) = (extent.rows as usize, extent.columns as usize);
    let entries: Vec<i32> = numbers(77, rows * columns).iter().map(|x| (x * 63.0) as i32).collect();
    Tensor::new(rows, columns, extent.dtype, &entries).unwrap()
}

/// Networks of one architecture, with weights that differ by a factor of a
/// hundred.
fn trainings(graph: fn(u64, f32) -> Graph, numbers_of: Numbers) -> Vec<Network> {
    [(1, 1.0), (20, 0.05), (300, 5.0)]
        .map(|(seed, size)| network(&graph(seed, size), numbers_of))
        .to_vec()
}

#[test]
fn trainings_of_an_architecture_share_one_circuit() {
    for (name, graph) in [("mlp", mlp as fn(u64, f32) -> Graph), ("residual", residual)] {
        let networks = trainings(graph, Numbers::Standard);
        let first = standard_circuit(&networks[0]);
        let shared = matrices(&first);
        let tight = circuit(&networks[0], SEEN);
        println!("{name}: {} constraints, fitted {}", shared.rows(), matrices(&tight).rows());
        let mut commitments: Vec<Fr> = vec![];
        for network in &networks {
            let program = network.program();
            assert_eq!(program.architecture_id(), networks[0].program().architecture_id());
            // Both networks give the same circuit.
            let circuit = first.for_network(network).unwrap();
            assert_eq!(matrices(&circuit), shared, "{name}");
            assert_eq!(matrices(&standard_circuit(network)), shared, "{name}");
            // The circuit computes what the executor computes, and its signals
            // identify the network.
            let input = input(network);
            let model = Session::new(network.clone(), Arc::new(Cpu::new())).unwrap();
            let run = model.run((RUN, vec![input.clone()])).unwrap();
            let witness = Witness { input, binding: Fr::from(7u64), salts: SALTS };
            let built = synthesise(&circuit, Some(&witness)).unwrap();
            assert_eq!(built.output, run.output.entries(), "{name}");
            let mut assignment = built.system.assignment().to_vec();
            assert_eq!(built.system.first_unsatisfied(&assignment), None, "{name}");
            let commitment = Fr::from(commit_weights(network, &SALTS.weights).unwrap());
            assert_eq!(assignment[3], commitment, "{name}");
            // No other network's commitment passes.
            for other in &commitments {
                assignment[3] = *other;
                assert!(built.system.first_unsatisfied(&assignment).is_some(), "{name}");
            }
            commitments.push(commitment);
        }
        let distinct: HashSet<_> = commitments.iter().collect();
        assert_eq!(distinct.len(), networks.len(), "{name}");
        // Fitted numbers belong to one network, and so does a circuit of them.
        let fitted = trainings(graph, Numbers::Fitted);
        let error = circuit(&fitted[0], SEEN).for_network(&fitted[1]).unwrap_err();
        assert!(matches!(error, CircuitError::Numbers), "{name}: {error}");
    }
}

/// Networks that differ only in one step's multiplier have different
/// commitments, so that a proof shows which multiplier was used.
#[test]
fn multipliers_are_committed() {
    let network = network(&residual(1, 1.0), Numbers::Standard);
    let mut programs = vec![network.clone()];
    for at in 0..network.program().steps().len() {
        for slot in 0..2 {
            programs.extend(with_multiplier(&network, at, slot));
        }
    }
    // Two multipliers of the sum, one before the mean, and one after it.
    assert_eq!(programs.len(), 1 + 4);
    let circuit = standard_circuit(&network);
    let commitments: HashSet<_> = programs
        .iter()
        .map(|network| {
            let circuit = circuit.for_network(network).unwrap();
            let input = input(network);
            let witness = Witness { input, binding: Fr::from(7u64), salts: SALTS };
            let system = synthesise(&circuit, Some(&witness)).unwrap().system;
            assert_eq!(system.first_unsatisfied(system.assignment()), None);
            system.assignment()[3]
        })
        .collect();
    assert_eq!(commitments.len(), programs.len());
}

/// The network with one multiplier of a step increased by one, if the step has
/// a shift.
fn with_multiplier(network: &Network, at: usize, slot: usize) -> Option<Network> {
    let program = network.program();
    let mut builder = poai_core::program::Builder::new(program.inputs());
    for constant in program.constants() {
        builder.constant(&constant.name, constant.root, constant.extent);
    }
    let mut changed = false;
    for (index, step) in program.steps().iter().enumerate() {
        let mut op = step.op.clone();
        match &mut op {
            Op::Add { multipliers, shift: 1.., .. } if index == at => {
                multipliers[slot] += 1;
                changed = true;
            }
            Op::Requantise { multiplier, shift: 1.., .. } if index == at && slot == 0 => {
                *multiplier += 1;
                changed = true;
            }
            _ => {}
        }
        builder.step(&step.name, op, &step.inputs).unwrap();
    }
    let tensors = network.constants().iter().map(|held| held.tensor.clone()).collect();
    changed.then(|| Network::new(builder.finish().unwrap(), tensors).unwrap())
}

/// One key proves for all networks of the architecture.
#[test]
fn one_key_proves_for_all_trainings() {
    let networks = trainings(residual, Numbers::Standard);
    let key = key(&standard_circuit(&networks[0]));
    let options = ProveOptions::new().salts(SALTS);
    for network in &networks {
        let key = key.for_network(network).unwrap();
        let proven = key.prove_with(&input(network), JOB, PROVER, &options).unwrap();
        let layout: &Layout = key.circuit().layout();
        let parts = layout.split(&proven.proof.signals).unwrap();
        assert_eq!(parts.weights, Some(commit_weights(network, &SALTS.weights).unwrap()));
    }
}

/// The form's numbers depend on types only. The numbers of a network in another
/// form do not fit.
#[test]
fn the_form_is_of_the_architecture() {
    let (one, other) = (mlp(1, 1.0), mlp(2, 9.0));
    let standard_of = |graph: &Graph| network(graph, Numbers::Standard);
    let ranges = Ranges::standard(standard_of(&one).program());
    assert_eq!(ranges, Ranges::standard(standard_of(&other).program()));
    for step in standard_of(&one).program().steps() {
        if let Op::Linear { shifts, clamp, .. } = step.op {
            assert_eq!(shifts, [standard::shift(clamp.dtype), 0, 0]);
        }
    }
    // Fitted multipliers use all 30 bits; the form has 26 bits.
    let fitted = network(&one, Numbers::Fitted);
    let error = Circuit::new(&fitted).visibility(SEEN).standard().build().unwrap_err();
    assert!(matches!(error, CircuitError::Constant { .. }), "{error}");
}
