//! Layers of all kinds, quantised alone, and the steps that they become.

use crate::quantise::{
    cnn, graph, inputs, layer, linear, matrix, mean, mlp, numbers, relative_error, relu, residual,
    run, sum, window,
};
use ndarray::Array2;
use poai_core::program::ops::{Local, Read, RowSource, StepError};
use poai_core::program::{RunShape, ValueId};
use poai_engine::backend::cpu::Cpu;
use poai_engine::execute::{Session, Tensor};
use poai_import::float;
use poai_import::graph::Reduction;
use poai_import::graph::expression::{Function, Operation};
use poai_import::graph::{Expression, Graph, GraphConstant, GraphError, ImageWindow, Input, Kind};
use poai_import::quantise::{QuantiseError, QuantiseOptions, quantise};
use std::sync::Arc;

/// Every kind of layer alone, on an image and on rows.
#[test]
fn every_layer_alone_is_close() {
    let constant = |shape: &[usize]| {
        let count = shape.iter().product();
        GraphConstant { shape: shape.to_vec(), entries: numbers(11, count) }
    };
    let norm = |centre| Kind::Normalise {
        centre,
        epsilon: 1e-5,
        gamma: numbers(12, 4),
        beta: numbers(13, 4),
    };
    let grouped = Kind::Conv {
        weights: matrix(3, 6, 2 * 2).into(),
        bias: numbers(4, 6),
        window: ImageWindow { dilation: [2, 1], ..window(2, 1, 1) },
        groups: 3,
    };
    let take = |axis, indices: &[Option<usize>]| Kind::Take { axis, indices: indices.to_vec() };
    let kinds = [
        (relu(), &[0][..]),
        (Kind::Pointwise(Expression::call(Function::Tanh)), &[0]),
        (Kind::Pointwise(Expression::X.by(Operation::Max, -0.5).by(Operation::Min, 0.5)), &[0]),
        (Kind::MaxPool { window: window(2, 2, 1) }, &[0]),
        (Kind::AveragePool { window: window(3, 1, 0) }, &[0]),
        (Kind::AveragePool { window: window(3, 2, 1) }, &[0]),
        (grouped, &[0]),
        (linear(5, 7, 4), &[0]),
        (mean(), &[0]),
        (Kind::Reduce { axes: vec![1], how: Reduction::Max }, &[0]),
        (Kind::Reshape { shape: vec![1, 48] }, &[0]),
        (Kind::Transpose { permutation: vec![0, 2, 3, 1] }, &[0]),
        (take(3, &[Some(3), None, Some(0), Some(3)]), &[0]),
        (sum(), &[0, 0]),
        (Kind::Add { factors: [0.5, -2.0] }, &[0, 0]),
        (Kind::Mul, &[0, 0]),
        (Kind::MatMul, &[0, 0]),
        (Kind::Concat { axis: 2 }, &[0, 0]),
        (Kind::Softmax, &[0]),
        (norm(true), &[0]),
        (norm(false), &[0]),
        (Kind::Scale { by: constant(&[1, 3, 1, 1]) }, &[0]),
        (Kind::Scale { by: constant(&[1, 1, 4, 4]) }, &[0]),
        (Kind::Scale { by: constant(&[1, 1, 1, 1]) }, &[0]),
        (Kind::Offset { by: constant(&[1, 3, 4, 1]) }, &[0]),
    ];
    for (kind, reads) in kinds {
        let graph = graph([1, 3, 4, 4], vec![layer("only", kind, reads)]);
        let calibration = inputs(&graph, 5, 3);
        let quantised = quantise(&graph, calibration.view(), &QuantiseOptions::default()).unwrap();
        let floats = float::run(&graph, calibration.view()).unwrap();
        let error = relative_error(&run(&quantised, calibration.view()), &floats[1]);
        assert!(error < 0.04, "{:?}: {error}", graph.layers[0].kind);
    }
}

/// Ids choose rows of a table, and several inputs have scales of their own.
#[test]
fn ids_and_several_inputs() {
    let table = matrix(1, 9, 6);
    let layers = vec![
        layer("rows", Kind::Lookup { table: table.clone() }, &[1]),
        layer("flat", Kind::Reshape { shape: vec![1, 12] }, &[2]),
        layer("both", Kind::Concat { axis: 1 }, &[0, 3]),
    ];
    let mut ids = Input::new("ids", [1, 2]);
    ids.ids = Some(9);
    let graph = Graph::new(vec![Input::new("reals", [1, 3]), ids], layers);
    let samples = Array2::from_shape_fn((9, 5), |(row, column)| match column {
        0..3 => (row as f32 - 4.0) * 100.0 / (column + 1) as f32,
        column => ((row * (column + 1)) % 9) as f32,
    });
    let quantised = quantise(&graph, samples.view(), &QuantiseOptions::default()).unwrap();
    assert_eq!(quantised.inputs[1].top, 0);
    let got = run(&quantised, samples.view());
    for (sample, got) in samples.outer_iter().zip(got.outer_iter()) {
        let rows = [3, 4].map(|at| table.row(sample[at] as usize));
        let expected = sample.iter().take(3).chain(rows.into_iter().flatten());
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() < 0.05, "{got} {expected}");
        }
    }
    let mut wrong = samples.clone();
    wrong[[2, 4]] = 9.0;
    let error = quantised.quantise_input(wrong.view()).unwrap_err();
    assert!(matches!(error, QuantiseError::Graph(GraphError::Id { .. })), "{error}");
}

/// A step's slots with only the rows that the step declares.
struct Declared<'a> {
    tensors: Vec<&'a Tensor>,
    reads: Vec<Read>,
}

impl RowSource for Declared<'_> {
    fn read(&self, slot: usize, row: u32, to: &mut [i32]) -> Result<(), StepError> {
        let declared = self.reads.iter().any(|read| read.slot == slot && read.rows.contains(&row));
        let read = || self.tensors[slot].rows().read(row, to);
        declared.then(read).flatten().ok_or(StepError::Missing { slot, row })
    }
}

#[test]
fn every_tile_is_made_of_the_rows_that_it_declares() {
    for graph in [mlp(), cnn(), residual()] {
        let calibration = inputs(&graph, 9, 5);
        let quantised = quantise(&graph, calibration.view(), &QuantiseOptions::default()).unwrap();
        let (network, program) = (&quantised.network, quantised.network.program());
        let model = Session::new(network.clone(), Arc::new(Cpu::new())).unwrap();
        let shape = RunShape::new(5, 1);
        let inputs = quantised.quantise_input(calibration.view()).unwrap();
        let run = model.trace((shape, inputs)).unwrap();
        let trace = run.trace;
        let extents = program.extents(&shape).unwrap();
        for value in (0..program.values() as u32).map(ValueId) {
            let Some(step) = program.step_of(value) else { continue };
            let local = Local::new(program, &extents, shape, value).unwrap();
            let (constants, count) = step.op.constants();
            let constants = constants[..count].iter();
            let constants = constants.map(|id| &network.constants()[id.0 as usize].tensor);
            let values = step.inputs.iter().map(|&input| trace.value(input).unwrap());
            let tensors: Vec<&Tensor> = values.chain(constants).collect();
            let output = trace.value(value).unwrap();
            let (columns, entries) = (output.extent().columns as usize, output.entries());
            for tile in 0..local.grid().tiles() {
                let Some(region) = local.within(&local.grid().tile(tile).unwrap()) else {
                    continue;
                };
                let source = Declared { tensors: tensors.clone(), reads: local.reads(&region) };
                let mut got = vec![0; region.rows.len() * region.width()];
                local.compute(&source, &region, None, &mut got).unwrap();
                for (row, got) in region.rows.clone().zip(got.chunks(region.width())) {
                    let first = row as usize * columns + region.columns.start as usize;
                    assert_eq!(got, &entries[first..first + got.len()], "{} {row}", step.name);
                }
            }
        }
    }
}
