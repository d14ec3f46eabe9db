//! Small programs of a few steps, in real numbers and in integers.

use ndarray::Array2;
use poai_core::program::{
    BatchAxis, Builder, Clamp, ConstantId, Dim, Dtype, Form, Op, RunShape, ValueId,
};
use poai_engine::backend::cpu::Cpu;
use poai_engine::execute::{Constants, Inputs, Network, Tensor};
use poai_train::real::{RealNetwork, RealValue};
use std::sync::Arc;

pub const FULL: Clamp = Clamp::full(Dtype::I32);

/// An input of a program, with the batch axis of its form.
pub struct Given {
    pub dtype: Dtype,
    pub axis: BatchAxis,
    pub entries: Array2<i32>,
}

/// Entries in −half..=half that a label fixes.
pub fn noise(label: &str, rows: usize, columns: usize, half: u32) -> Array2<i32> {
    let mut bytes = vec![0; 4 * rows * columns];
    blake3::Hasher::new().update(label.as_bytes()).finalize_xof().fill(&mut bytes);
    let word = |word: &[u8; 4]| (u32::from_le_bytes(*word) % (2 * half + 1)) as i32 - half as i32;
    let entries = bytes.as_chunks::<4>().0.iter().map(word).collect();
    Array2::from_shape_vec((rows, columns), entries).unwrap()
}

pub fn rows(dtype: Dtype, entries: Array2<i32>) -> Given {
    Given { dtype, axis: BatchAxis::Rows, entries }
}

pub fn shared(dtype: Dtype, entries: Array2<i32>) -> Given {
    Given { dtype, axis: BatchAxis::None, entries }
}

pub fn reals(given: &Given) -> Array2<f64> {
    given.entries.mapv(f64::from)
}

/// A small program: `build` adds its steps and returns nothing, as the last step is
/// the output.
pub struct Small {
    pub network: Network,
    real: RealNetwork<f64>,
    run: RunShape,
}

impl Small {
    pub fn new(
        batch: u32,
        inputs: &[&Given],
        build: impl FnOnce(&mut Builder, &mut Constants, &[ValueId]),
    ) -> Small {
        let form = |given: &&Given| {
            let items = if given.axis == BatchAxis::Rows { batch } else { 1 };
            let (rows, columns) = given.entries.dim();
            let (rows, columns) = (Dim::fixed(rows as u32 / items), Dim::fixed(columns as u32));
            Form { rows, columns, dtype: given.dtype, batch: given.axis }
        };
        let forms: Vec<Form> = inputs.iter().map(form).collect();
        let mut builder = Builder::new(&forms);
        let mut constants = Constants::default();
        let values: Vec<ValueId> = (0..inputs.len()).map(|index| builder.input(index)).collect();
        build(&mut builder, &mut constants, &values);
        let network = Network::new(builder.finish().unwrap(), constants.into_tensors()).unwrap();
        let real = RealNetwork::new(&network);
        Small { network, real, run: RunShape::new(batch, 1) }
    }

    /// One step of all inputs.
    pub fn step(batch: u32, inputs: &[&Given], op: Op) -> Small {
        Small::new(batch, inputs, |builder, _, values| {
            builder.step("step", op, values).unwrap();
        })
    }

    pub fn real(&self, inputs: &[&Array2<f64>]) -> Array2<f64> {
        let inputs = inputs.iter().map(|&x| RealValue::Real(x.clone())).collect();
        self.real.run(&self.run, inputs).unwrap()[0].reals().into_owned()
    }

    pub fn integers(&self, inputs: &[&Given]) -> Array2<f64> {
        let tensor = |given: &&Given| {
            let (rows, columns) = given.entries.dim();
            let entries: Vec<i32> = given.entries.iter().copied().collect();
            Tensor::new(rows, columns, given.dtype, &entries).unwrap()
        };
        let tensors: Vec<Tensor> = inputs.iter().map(tensor).collect();
        let session = self.network.clone().on(Arc::new(Cpu::new())).unwrap();
        let output = session.run(Inputs::from((self.run, tensors))).unwrap().output;
        let size = (output.extent().rows as usize, output.extent().columns as usize);
        Array2::from_shape_vec(size, output.entries()).unwrap().mapv(f64::from)
    }

    /// Compares the integers' output with the real one on the same inputs, and
    /// returns the real one. No entry is farther than `bound`.
    pub fn compared(&self, inputs: &[&Given], bound: f64) -> Array2<f64> {
        let numbers: Vec<Array2<f64>> = inputs.iter().map(|given| reals(given)).collect();
        let real = self.real(&numbers.iter().collect::<Vec<_>>());
        let integers = self.integers(inputs);
        let far = (&integers - &real).mapv(f64::abs).fold(0.0, |max: f64, &x| max.max(x));
        assert!(far <= bound, "expected integers within {bound}, got {far}");
        // A bound above what is compared would not compare.
        let largest = real.fold(0.0, |max: f64, x| max.max(x.abs()));
        assert!(bound < largest / 4.0, "bound {bound} of numbers up to {largest}");
        real
    }
}

/// A constant of one column.
pub fn table(
    builder: &mut Builder,
    constants: &mut Constants,
    dtype: Dtype,
    entries: &[i32],
) -> ConstantId {
    constants.add(builder, "table", (entries.len(), 1), dtype, entries).unwrap()
}
